"""How much memory this process needs."""

import resource
import sys
from pathlib import Path


def most_memory() -> float:
    """Give the most memory that this process has needed so far, in megabytes (2**20 bytes).

    Not of the processes that it has started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage begins with the peak of the process that started this one.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
