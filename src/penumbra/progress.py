"""Progress of long work on stderr: a bar with remaining time on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LOG_EVERY_S = 15.0


class Advance(Protocol):
    """Called once per finished item, or with how many finished."""

    def __call__(self, items: int = 1) -> None: ...


@contextmanager
def track(what: str, total: int) -> Iterator[Advance]:
    """Show `what` advancing to `total` items; yields the function to call after each."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda items=1: bar.advance(task, items)
        return

    began = said = time.monotonic()
    done = 0

    def advance(items: int = 1) -> None:
        nonlocal done, said
        done += items
        now = time.monotonic()
        if now - said >= LOG_EVERY_S and done:
            said = now
            say(f"{what} {done}/{total}, about {(now - began) / done * (total - done):.0f} s left")

    yield advance
    say(f"{what} {done}/{total} in {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    """One line for the person who waits, on stderr; results go to stdout."""
    print(f"  {line}", file=sys.stderr, flush=True)
