"""What the routes of a server share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from jsisnet.serve.limits import Limits
from jsisnet.serve.metrics import Metrics
from jsisnet.serve.pool import Pool
from jsisnet.serve.problems import ProblemError


@dataclass(slots=True)
class Service:
    """The models of a server, and the requests that it works on."""

    pools: Mapping[str, Pool]
    """Pools by the names of their models; the first is the default."""

    limits: Limits

    metrics: Metrics

    pending: int = 0
    """Requests that are read, wait or run."""

    draining: bool = False
    """Whether the server stops, and only finishes what it has accepted."""

    @property
    def default(self) -> str:
        """Name of the model of requests that name none."""
        return next(iter(self.pools))

    def pool(self, model: str) -> Pool:
        """Return the pool of a model.

        Raises:
            ProblemError: If there is no such model.
        """
        if model not in self.pools:
            raise ProblemError(404, f"no model {model[:80]!r}; models: {', '.join(self.pools)}")
        return self.pools[model]

    @contextmanager
    def admitted(self, pool: Pool) -> Iterator[None]:
        """Count a request while it is worked on.

        Raises:
            ProblemError: If no worker can take it, or too many requests wait.
        """
        if pool.failure is not None:
            raise ProblemError(503, "no worker is ready; try again later", {"Retry-After": "5"})
        if self.pending >= self.limits.pending:
            raise ProblemError(
                429,
                f"{self.pending} requests are pending; try again later",
                {"Retry-After": str(pool.retry_after)},
            )
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1
