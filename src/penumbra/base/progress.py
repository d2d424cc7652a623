"""Progress of long work on stderr: a bar with remaining time on a terminal, a line now and then in a log; and to listeners in the same process.

A watcher is told more: every sentence, the parts that the work has, and what they made; so a server shows the run as it goes.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

LOG_EVERY_S = 15.0


@dataclass(frozen=True)
class Reached:
    """How far some work is: `done` of `total` items, 0 of 0 where a stage begins.

    Parameters
    ----------
    left_s
        Seconds that the rest will take, None: not known yet.
    batch
        Items that belong together, such as the epochs of one network; 0: each stands for itself.
    """

    what: str
    done: int
    total: int
    left_s: float | None = None
    batch: int = 0


Listener = Callable[[Reached], None]
_listeners: list[Listener] = []


class Watcher(Protocol):
    """Told of everything that a person who waits is told, in the thread that makes it; it has to be quick, and never fails."""

    def sentence(self, line: str) -> None:
        """A sentence, without anything that identifies a person."""

    def reached(self, reached: Reached) -> None:
        """Work has come so far."""

    def began(self, part: str) -> None:
        """A part of the work begins: a stage, or a step of a protocol."""

    def ended(self, part: str, error: BaseException | None) -> None:
        """The part that began last ended; with the error that ended it."""

    def made(self, result: object) -> None:
        """What a part left: a manifest, or a registered version."""


_watchers: list[Watcher] = []


class Advance(Protocol):
    """Called once per finished item, or with how many finished; `cost` where `track` was given the total cost; `note` is shown as well."""

    def __call__(self, items: int = 1, *, cost: float | None = None, note: str = "") -> None: ...


@contextmanager
def track(what: str, total: int, *, cost: float | None = None, batch: int = 0) -> Iterator[Advance]:
    """Show `what` advancing to `total` items; yields the function to call after each. Nothing is shown where there is nothing to do.

    Parameters
    ----------
    cost
        Of all items together, in any unit, when they differ much: the remaining time then follows the cost that is left, not the number.
    batch
        Items that belong together, see Reached.
    """
    whole = total if cost is None else cost
    if total == 0:
        yield lambda items=1, *, cost=None, note="": None
        return
    with _shown(what, total, whole) as show:
        began, done, spent = time.monotonic(), 0, 0.0
        _tell(Reached(what, 0, total, batch=batch))

        def advance(items: int = 1, *, cost: float | None = None, note: str = "") -> None:
            nonlocal done, spent
            done += items
            spent += items if cost is None else cost
            show(items, cost=cost, note=note)
            _tell(Reached(what, done, total, (time.monotonic() - began) / spent * max(0.0, whole - spent) if spent else None, batch))

        yield advance
    for watcher in tuple(_watchers):
        watcher.sentence(_summary(what, done, total, began))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of all progress in this process, in the thread that makes it; it is called after every item and has to be quick."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of everything in this process."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


@contextmanager
def part(name: str) -> Iterator[None]:
    """A part of the work, which watchers show as one of its own."""
    for watcher in tuple(_watchers):
        watcher.began(name)
    try:
        yield
    except BaseException as error:
        for watcher in tuple(_watchers):
            watcher.ended(name, error)
        raise
    for watcher in tuple(_watchers):
        watcher.ended(name, None)


def made(result: object) -> None:
    """Tell the watchers what a part of the work left."""
    for watcher in tuple(_watchers):
        watcher.made(result)


def begin(stage: str) -> None:
    """Tell the listeners that a stage begins: nothing of it is counted yet."""
    _tell(Reached(stage, 0, 0))


def _tell(reached: Reached) -> None:
    for listener in tuple(_listeners):
        listener(reached)
    for watcher in tuple(_watchers):
        watcher.reached(reached)


@contextmanager
def _shown(what: str, total: int, whole: float) -> Iterator[Advance]:
    """On a terminal as a bar, else as lines."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        times = TimeElapsedColumn(), TimeRemainingColumn()
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[items]}"),
            *times,
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=whole, done=0, items=total, note="")

            def draw(items: int = 1, *, cost: float | None = None, note: str = "") -> None:
                bar.update(task, advance=items if cost is None else cost, done=bar.tasks[0].fields["done"] + items, note=note)

            yield draw
        return

    began = last_report = time.monotonic()
    done, spent = 0, 0.0

    def advance(items: int = 1, *, cost: float | None = None, note: str = "") -> None:
        nonlocal done, spent, last_report
        done += items
        spent += items if cost is None else cost
        now = time.monotonic()
        if now - last_report >= LOG_EVERY_S and spent:
            last_report = now
            _print(f"{what} {done}/{total}, about {(now - began) / spent * (whole - spent):.0f} s left{'; ' + note if note else ''}")

    yield advance
    _print(_summary(what, done, total, began))


def _summary(what: str, done: int, total: int, began: float) -> str:
    return f"{what} {done}/{total} in {time.monotonic() - began:.0f} s"


def say(line: str) -> None:
    """One line for the person who waits, on stderr, and for watchers; results go to stdout. It holds nothing that identifies a person."""
    _print(line)
    for watcher in tuple(_watchers):
        watcher.sentence(line)


def _print(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
