"""The state of a folder: `penumbra status`, and `penumbra` without a command."""

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from penumbra.base import layout, tables
from penumbra.base.faults import fault
from penumbra.cli.formatter import MAX_COLUMNS
from penumbra.cli.group import command, form_option

if TYPE_CHECKING:
    from penumbra.commands.status_data import Place, Status

MAX_RULES = 4  # of the rejections: the most frequent
MORE = "penumbra card champion says all that is known of it; penumbra audit tries what could be wrong with that"


@command("penumbra status --format json")
@form_option("text", "json")
def status(form: str) -> None:
    """Show the state of this folder: what is served and how good it is, what arrived, waits, failed or runs, and what to type next.

    `penumbra` without a command shows the same. Nothing is changed.
    """
    from penumbra.commands.status import is_waiting, look

    state = look()
    if form == "json":
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(state)))
    else:
        click.echo(shown(state, min(tables.terminal_width(), MAX_COLUMNS)))
    if is_waiting():  # for a store that does not answer: the interpreter's own end would abort its thread
        sys.stdout.flush()
        os._exit(0)


POOL = "training"  # all training centers together


def shown(status: "Status", width: int) -> str:
    """The status as text of at most `width` columns; a word that is longer is not broken."""
    parts = []
    if status.home is not None and not status.is_empty:
        facts = [*_served(status), *_patients(status), *_work(status), *_machine(status)]
        parts = [f"penumbra in {status.home}", "\n".join(f"  {line}" for line in layout.pairs(facts, width - 2).split("\n"))]
    parts += ["\n".join(layout.wrap(f"Note: {remark}", width)[0]) for remark in status.remarks]
    return "\n\n".join([*parts, "\n".join(layout.wrap(status.because, width)[0]), f"Next:\n  {status.next}"])


def _served(status: "Status") -> list[tuple[str, str]]:
    champion = status.champion
    if champion is None:
        return [("champion", "none yet" if not any("store" in remark for remark in status.remarks) else "not known")]
    trained = f", fitted on {', '.join(champion.train_centers)}" if champion.train_centers else ""
    others = f"; {champion.versions} versions are registered" if champion.versions is not None and champion.versions > 1 else ""
    since = f", registered {_when(champion.registered_at)}" if champion.registered_at else ""
    outside = f"C {_compared(champion.outside)}" if champion.outside else "no external center has been measured"
    inside = next((_with_volume(place, first=True) for place in champion.inside if place.center == POOL), "")
    inside = f"C {inside}, cross-fitted" if inside else "not measured yet"
    return [("champion", f"{champion.model}/{champion.version}{trained}{since}{others}"), ("inside", inside), ("outside", outside), ("more", MORE)]


def _compared(places: "tuple[Place, ...]") -> str:
    return ", ".join(f"{_with_volume(place, first=place is places[0])} at {place.center}" for place in places)


def _with_volume(place: "Place", *, first: bool) -> str:
    return f"{place.model_c:.2f}" + ("" if place.volume_c is None else f" ({'tumor volume alone ' if first else ''}{place.volume_c:.2f})")


def _patients(status: "Status") -> list[tuple[str, str]]:
    centers = status.centers
    if not centers:
        return [("patients", "none yet")]
    accepted = sum(each.patients or 0 for each in centers)
    complete = all(each.events is not None for each in centers)
    died = f", {sum(each.events or 0 for each in centers)} died" if complete else ""
    each_center = ", ".join(f"{each.center} {each.patients}" + ("" if each.events is None else f" ({each.events} died)") for each in centers)
    count = f"{len(centers)} {'center' if len(centers) == 1 else 'centers'}"
    facts = [("patients", f"{accepted} accepted at {count}{died}: {each_center}")]
    if status.rejected:
        top = [f"{fault(rule)} {count}" for rule, count in list(status.rejected.items())[:MAX_RULES]]
        more = len(status.rejected) - len(top)
        facts.append(
            ("rejected", f"{sum(status.rejected.values())}: {', '.join(top)}" + (f", and {more} more {'reason' if more == 1 else 'reasons'}" if more else ""))
        )
    return facts


def _work(status: "Status") -> list[tuple[str, str]]:
    waiting = "; ".join(f"{each.center}: {each.why}" + (f" ({each.command})" if each.command else "") for each in status.waiting) or "nothing"
    failed = " ".join(f"{each.what}{f' ({_when(each.at)})' if each.at else ''}: {each.why}" for each in status.failures) or "nothing"
    running = "nothing"
    if status.running is not None:
        since = f" since {_when(status.running.since)}" if status.running.since else ""
        running = f"{status.running.command}{since}" + (f" (process {status.running.pid})" if status.running.pid else "")
        running += f": {status.running.progress.words}" if status.running.progress else ""
    return [("waiting", waiting), ("failed", failed), ("running", running)]


def _machine(status: "Status") -> list[tuple[str, str]]:
    facts = []
    if status.disk is not None:
        more = "" if status.disk.counted else "more than "
        facts.append(("disk", f"{more}{_size(status.disk.used)} used here, {_size(status.disk.free)} free"))
    if status.checked is None:
        facts.append(("last check", "none yet; penumbra doctor checks everything"))
    else:
        bad = status.checked.bad
        facts.append(("last check", f"{_when(status.checked.at)}: " + (f"{len(bad)} found: {bad[0]}" if bad else "nothing wrong")))
    return facts


def _when(at: str | None) -> str:
    """A time in the user's zone, which is named."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M %Z}" if at else "at an unknown time"


def _size(count: int) -> str:
    """Bytes as a person reads them, in powers of ten as disks are sold."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"
