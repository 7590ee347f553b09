"""What the routes of a server share."""

from collections.abc import Callable, Iterator, Mapping
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
    """Requests that wait or run."""

    held: int = 0
    """Bytes of the bodies of all requests."""

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

    def check_room(self, pool: Pool) -> None:
        """Check that a pool can take another request.

        Raises:
            ProblemError: If no worker can take it, or too many requests wait.
        """
        if pool.failure is not None:
            raise ProblemError(503, "no worker is ready; try again later", {"Retry-After": "5"})
        if self.pending >= self.limits.pending:
            raise _busy(f"{self.pending} requests are pending", pool)

    @contextmanager
    def admitted(self, pool: Pool) -> Iterator[None]:
        """Count a request while it waits and runs; see `check_room`."""
        self.check_room(pool)
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1

    @contextmanager
    def holding(self, pool: Pool) -> Iterator[Callable[[int], None]]:
        """Count the bytes of a body while it is in memory.

        Slow clients hold few bytes, so they keep no one out.

        Yields:
            Function that is told of further bytes; it raises a `ProblemError` if all bodies
            together would be too large.
        """
        own = 0

        def hold(count: int) -> None:
            nonlocal own
            if self.held + count > self.limits.held:
                raise _busy("the bodies of other requests fill the memory", pool)
            own += count
            self.held += count

        try:
            yield hold
        finally:
            self.held -= own


def _busy(what: str, pool: Pool) -> ProblemError:
    return ProblemError(429, f"{what}; try again later", {"Retry-After": str(pool.retry_after)})
