"""One question of a colleague, answered in a process of its own: python -m penumbra.store.answering, the question on stdin as JSON, judged already.

The first line of stdout is `answer`, followed by the answer, or a refusal as JSON. Whatever a statement does to this process, the server survives.
"""

import contextlib
import io
import json
import os
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from penumbra.base import tables
from penumbra.base.refusal import Refusal
from penumbra.store.answer import commit_of, query
from penumbra.store.guard import Verdict

ANSWER = b"answer\n"
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


def main() -> None:
    """Answer or refuse; ends by itself when the time is over."""
    question = json.load(sys.stdin)
    out = sys.stdout.buffer
    try:
        home, as_of = Path(question["home"]), question["as_of"]
        with bounded(question["timeout_s"], question["memory_mb"]):
            table = query(
                home,
                question["sql"],
                question["values"],
                as_of=None if as_of is None else commit_of(home, as_of),
                timeout_s=question["timeout_s"],
                memory=f"{question['memory_mb']}MB",
                max_rows=question["max_rows"],
                first=question["first"],
                verdict=Verdict(**question["verdict"]),
            )
            stream = io.TextIOWrapper(buffer := io.BytesIO(), encoding="utf-8", write_through=True)
            tables.write(table, question["format"], stream)
    except Refusal as refusal:
        return _refuse(out, refusal)
    except MemoryError:
        return _refuse(out, Refusal("sql_memory", "the answer needs more memory than is allowed", "narrow the query"))
    out.write(ANSWER)
    out.write(buffer.getbuffer())


def _refuse(out: IO[bytes], refusal: Refusal) -> None:
    out.write(json.dumps({"rule": refusal.rule, "found": refusal.found, "advice": refusal.advice, "place": refusal.place}).encode() + b"\n")


if __name__ == "__main__":
    main()
