"""Photos among the arguments of `jsisnet predict`, and what is printed of them."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.default_folder import next_folder
from jsisnet.cli.errors import STOPPED, TERMINATED, describe_error

if TYPE_CHECKING:
    from jsisnet.files.remote import RemoteFile
    from jsisnet.inference.batch import BatchConfig, Summary
    from jsisnet.inference.photo_files import FoundPhotos, Photo
    from jsisnet.inference.photo_job import Outcome
    from jsisnet.inference.predictor import Predictor


def found_photos(
    arguments: Sequence[str],
    out: Path | str | None,
    find_stored: "Callable[[str], Iterable[RemoteFile]] | None" = None,
) -> "FoundPhotos":
    """Find the photos that arguments stand for, and say which arguments stand for none.

    Args:
        arguments: Files, folders, zips, patterns, or ``-`` for standard input.
        out: Folder of the results, which are no photos.
        find_stored: Finds the photos at a URL of an object store.

    Raises:
        ValueError: If there is no photo.
    """
    from jsisnet.inference.photo_files import find_photos
    from jsisnet.inference.results_folder import results_in

    earlier = results_in(out) if isinstance(out, Path) else set()
    found = find_photos(arguments, _read_standard_input, without=earlier, find_stored=find_stored)
    for problem in found.problems:
        say(problem)
    return found


def segment_photos(
    found: "FoundPhotos",
    predictor: "Predictor",
    out: Path | str | None,
    config: "BatchConfig",
    *,
    quiet: bool,
) -> int:
    """Segment photos, print a line for each and one for all, and return the exit code.

    Args:
        found: The photos.
        predictor: The model.
        out: Folder of the results or URL of one; ``None`` for the next default folder.
        config: How the photos are segmented.
        quiet: Whether to print errors only.
    """
    from jsisnet.inference.batch import Listener, predict_photos

    photos = found.photos
    folder = out or next_folder(partial(_is_unfinished, photos, predictor, config))
    began = time.perf_counter()
    isfew = len(photos) == 1 and config.tiles is None
    bar = nullcontext(lambda *_: None) if quiet or isfew else progress("segmenting")
    with bar as advance:
        view = _View(advance, quiet=quiet)
        listener = Listener(
            on_start=view.start, on_photo=view.photo, on_warning=say, on_tile=view.tile
        )
        try:
            if isinstance(folder, str):
                from jsisnet.scale.store import predict_to_store

                summary = predict_to_store(photos, predictor, folder, config, listener)
            else:
                summary = predict_photos(photos, predictor, folder, config, listener)
        except (KeyboardInterrupt, SystemExit) as error:
            say(
                f"interrupted after {view.done} of {len(photos)} images; rerun the same command to "
                "resume"
            )
            return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if not quiet and summary.segmented + summary.earlier:
        seconds = time.perf_counter() - began
        display(f"{_counts(summary, len(photos), seconds)}; {_where(photos, folder, config)}")
    return int(summary.failed > 0 or bool(found.problems))


class _View:
    """What is shown of a run: a line per photo, and the progress."""

    def __init__(self, advance: Callable[[int, int], None], *, quiet: bool) -> None:
        self.advance, self.quiet = advance, quiet
        self.done = self.total = 0

    def start(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.advance(done, total)

    def tile(self, done: int, total: int) -> None:
        self.advance(done, total)

    def photo(self, outcome: "Outcome") -> None:
        title = outcome.photo.title
        if outcome.error is not None:
            say(f"{title}: {describe_error(outcome.error).removeprefix(f'{title}: ')}")
        elif not self.quiet:
            height, width = outcome.size
            display(f"{title}: {width} x {height}, {_classes(outcome)} ({outcome.seconds:.2f} s)")
        self.done += 1
        self.advance(self.done, self.total)


def _classes(outcome: "Outcome") -> str:
    """Return the classes of an image in short, such as ``3 person, 1 dog, sky``."""
    things = [f"{count} {name}" for name, count in outcome.things.items()]
    return ", ".join([*things, *outcome.stuff]) or "nothing"


def _counts(summary: "Summary", photos: int, seconds: float) -> str:
    done = summary.segmented + summary.earlier
    images = _plural(done, "image") if done == photos else f"{done} of {photos} images"
    segments = _plural(summary.segments, "segment")
    if not summary.segmented and not summary.failed:
        return f"Already complete: {images}, {segments}"
    before = f", {summary.earlier} of them before" if summary.earlier else ""
    return f"Segmented {images}{before}: {segments} in {seconds:.1f} s"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _where(photos: "Sequence[Photo]", folder: Path | str, config: "BatchConfig") -> str:
    """Say where the most telling results are."""
    if isinstance(folder, str):
        return f"results in {folder}"
    names = config.outputs.names(photos[0])
    what = "overlay" if config.outputs.overlay is not None else "map"
    if not names:
        return f"nothing written to {folder}"
    isreduced = config.tiles is not None and config.outputs.overlay is not None
    size = " (at most 8 megapixels)" if isreduced else ""
    if len(photos) == 1:
        written = (folder / name for name in names if (folder / name).is_file())
        return f"{what} in {next(written, folder / names[0])}{size}"
    first = folder / names[0]
    return f"{what}s in {first.with_name(f'*{first.name.removeprefix(photos[0].name)}')}{size}"


def _is_unfinished(
    photos: "Sequence[Photo]", predictor: "Predictor", config: "BatchConfig", folder: Path
) -> bool:
    from jsisnet.inference.batch import purpose_of_run
    from jsisnet.inference.results_folder import is_unfinished

    purpose = purpose_of_run(predictor, config.outputs, config.tiles)
    return not config.overwrite and is_unfinished(folder, purpose, photos)


def _read_standard_input(size: int) -> bytes:
    # Python has no stream if standard input is closed.
    return b"" if sys.stdin is None else sys.stdin.buffer.read(size)
