"""The last bounds of a process that answers one statement: time and address space."""

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Iterator

from penumbra.base.refusal import Refusal

MEMORY_MB = 2000  # of one statement at the command line
GRACE_S = 5.0  # until the engine notices the interruption
OWN_BYTES = 6 * 1024**3  # address space of Arrow and the engine's threads on top of what the statement may take; most of it is never touched


@contextlib.contextmanager
def bounded(timeout_s: float, memory_mb: int) -> Iterator[None]:
    """Last resort against a statement that ignores both the interruption and the engine's own limit.

    Inside, this process exits when the time is over and cannot allocate more memory than allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 a process that has worked before has taken much already
        used_bytes = int(sizes.read().split()[0]) * resource.getpagesize()
    allowed_bytes = min([used_bytes + OWN_BYTES + memory_mb * 1024**2, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (allowed_bytes, hard))

    def end() -> None:
        late = Refusal("sql_timeout", f"no answer within {timeout_s:g} s", "narrow the query or raise --timeout")
        print(f"Error: {late}", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(timeout_s + GRACE_S, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
