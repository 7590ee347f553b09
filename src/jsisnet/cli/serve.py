"""`jsisnet serve`: models over HTTP."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, join_names
from jsisnet.cli.options import Overrides, RunOptions, listed

if TYPE_CHECKING:
    from jsisnet.serve import AppConfig, Limits, Pool

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
"""Names of models in URLs."""

_Number = Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))]
_Seconds = Annotated[
    float, Parameter(metavar="SECONDS", validator=validators.Number(gt=0, lte=86_400))
]


Models = Annotated[
    tuple[str, ...],
    Parameter(alias="-m", metavar="NAME|DIR", negative=(), show_default=False),
]
"""Models, some of them with a name of their own."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AddressOptions:
    """Where the server listens."""

    host: Annotated[str, Parameter(metavar="HOST")] = "127.0.0.1"
    """Address to listen at; 0.0.0.0 for all, so that other machines reach the server."""

    port: Annotated[
        int, Parameter(alias="-p", metavar="PORT", validator=validators.Number(gte=0, lte=65535))
    ] = 8000
    """Port to listen at; 0 for any free one."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Who may use the server."""

    api_key_file: Annotated[Path | None, Parameter(metavar="FILE")] = None
    """File with API keys, one a line. Requests then need one, as "Authorization: Bearer KEY" or
    "X-API-Key: KEY". Default: no key is needed."""

    cors_origin: Annotated[
        tuple[str, ...], Parameter(metavar="ORIGIN", negative=(), show_default=False)
    ] = ()
    """Site whose pages may use the server, such as https://example.org; may be repeated. Default:
    none but the server's own page."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What the server accepts."""

    max_upload: Annotated[
        float, Parameter(metavar="NUMBER", validator=validators.Number(gt=0, lte=2_048))
    ] = 32.0
    """Size limit of a request in MiB (413)."""

    max_megapixels: Annotated[
        float, Parameter(metavar="NUMBER", validator=validators.Number(gt=0, lte=200))
    ] = 50.0
    """Size limit of a photo, before it is decoded (413)."""

    max_pending: _Number = 64
    """Requests that may wait or run at a time; others are told to come back (429)."""

    time_limit: _Seconds = 60.0
    """Time that a photo may take; its process is then replaced (504)."""

    read_timeout: _Seconds = 10.0
    """Time that a client may pause while it sends a request (408)."""

    grace: _Number = 30
    """Seconds that accepted requests have to be finished after SIGTERM."""


def serve(  # noqa: PLR0913 - options of the command line
    *,
    model: Models = ("coco",),
    workers: Annotated[
        int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))
    ] = None,
    address: AddressOptions = AddressOptions(),
    access: AccessOptions = AccessOptions(),
    limits: LimitOptions = LimitOptions(),
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> None:
    """Serve models over HTTP: REST, and a page to drop photos on.

    POST /v1/panoptic segments the photo in its body; the answer is JSON with the
    mask of each segment, a zip in COCO panoptic format, an overlay or a labelme
    file. GET / is a page for people, and /openapi.json describes the rest. Logs
    are JSON on standard error. SIGTERM or Ctrl-C lets accepted requests finish.

    On CPUs each worker is a process with one thread (--threads); on a GPU one
    worker runs photos of several requests in batches.

    For example
        jsisnet serve
        jsisnet serve --model coco --model city=runs/mine --workers 4
        jsisnet serve --host 0.0.0.0 --api-key-file keys.txt
        curl -F image=@photo.jpg localhost:8000/v1/panoptic
        curl -F image=@photo.jpg "localhost:8000/v1/panoptic?as=overlay" -o o.png

    Args:
        model: Built-in model (coco, street), or the folder of a model or training run; may be
            repeated. The first is the default of requests. NAME=DIR gives it a name for URLs,
            which is that of the folder otherwise. Default: coco.
        workers: Processes for each model. Default: one per core, or one on a GPU.
        address: Where the server listens.
        access: Who may use the server.
        limits: What the server accepts.
        run: How the network runs. Default of --threads: one for each worker.
        overrides: Settings that override those of the models.
    """
    from jsisnet.serve import Pool, PoolConfig, ServerConfig, Work, run_server
    from jsisnet.serve.logs import configure

    config = ServerConfig(
        host=address.host,
        port=address.port,
        grace=limits.grace,
        app=_app_config(access, _limits(limits)),
    )
    options = replace(run, threads=run.threads or 1).options(overrides)
    pools = {
        name: Pool(
            Work(
                model=path, engine=run.engine, options=options, max_pixels=config.app.limits.pixels
            ),
            PoolConfig(workers=workers, seconds=limits.time_limit),
        )
        for name, path in _named(listed(model)).items()
    }
    configure()
    run_server(pools, config, lambda url: _announce(pools, url))


def _limits(options: LimitOptions) -> "Limits":
    from jsisnet.serve import Limits

    return Limits(
        body=ceil(options.max_upload * 2**20),
        pixels=ceil(options.max_megapixels * 1_000_000),
        pending=options.max_pending,
        read_seconds=options.read_timeout,
    )


def _app_config(access: AccessOptions, limits: "Limits") -> "AppConfig":
    from jsisnet.serve import AppConfig
    from jsisnet.serve.access import read_keys

    keys = () if access.api_key_file is None else read_keys(access.api_key_file)
    return AppConfig(limits=limits, keys=keys, origins=access.cors_origin)


def _named(models: Sequence[str]) -> dict[str, str]:
    """Return the models by their names in URLs.

    Raises:
        ValueError: If a name is not plain, or two models have the same one.
    """
    named: dict[str, str] = {}
    for model in models:
        given, isnamed, path = model.partition("=")
        name, path = (given, path) if isnamed else (_folder_name(model), model)
        if not _NAME.fullmatch(name) or not path:
            raise ValueError(
                f"--model {model}: expected a name of letters, digits, dots and dashes, as in "
                "--model city=runs/mine"
            )
        if name in named:
            raise ValueError(
                f"--model {model}: another model is named {name!r}; name one, as in "
                "--model city=runs/mine"
            )
        named[name] = path
    return named


def _folder_name(model: str) -> str:
    return Path(model).absolute().name.removesuffix(".onnx")


def _announce(pools: "dict[str, Pool]", url: str) -> None:
    workers = sum(pool.workers for pool in pools.values())
    count = f"{workers} worker{'s' if workers != 1 else ''}"
    display(f"Serving {join_names(list(pools))} on {url} ({count})")
