"""The way from one static page to the others: a list of all of them in reports/index.html, and on every page links to what there is.

The links are written again into the pages whenever one is made or removed, so that they lead only to what exists; relative, so that they work from a disk.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from penumbra.base.whole_files import write_whole
from penumbra.report.audit import DATA as AUDITED
from penumbra.report.audit import PAGE as AUDIT
from penumbra.report.templates import rendered

REPORTS, GALLERY, PATIENTS, INDEX = "reports", "gallery", "patients", "index.html"
COMPARISON, DECISION = "compare-", "retrain-"
BEGIN, END = "<!-- pages -->", "<!-- end of pages -->"
MAX_LINKS = 5  # of one kind on a page; the list has all
LINKED = ("Report", "Masks", "Comparison", "Decision")
KINDS = (*LINKED, "Audit", "Patient")


@dataclass(frozen=True)
class Place:
    """A page: its kind, what it is called there, and where it is."""

    kind: str
    name: str
    path: Path


def places(home: Path) -> list[Place]:
    """Every static page of a state folder, by kind and name."""
    return sorted(_places(home), key=lambda place: (KINDS.index(place.kind), place.name))


def _places(home: Path) -> Iterator[Place]:
    for path in home.glob(f"{REPORTS}/*/{INDEX}"):
        folder = path.parent.name
        if folder.startswith(COMPARISON):
            yield Place(
                "Comparison", folder.removeprefix(COMPARISON).replace("-", " and ") if folder.count("-") == 2 else folder.removeprefix(COMPARISON), path
            )
        elif folder.startswith(DECISION):
            yield Place("Decision", folder.removeprefix(DECISION), path)
        elif folder != PATIENTS:
            model, _, version = folder.rpartition("-")
            yield Place("Report", f"{model}/{version}", path)
            if (audit := path.with_name(AUDIT)).is_file() and path.with_name(AUDITED).is_file():  # without it the page only says that nothing was audited
                yield Place("Audit", f"{model}/{version}", audit)
    for path in home.glob(f"{GALLERY}/*/{INDEX}"):
        yield Place("Masks", path.parent.name, path)
    for path in home.glob(f"{REPORTS}/{PATIENTS}/*.html"):
        yield Place("Patient", path.stem, path)


def link(home: Path) -> Path | None:
    """Write the list of all pages, and the links of every page; returns the list, None where there is no page."""
    listed, index = places(home), home / REPORTS / INDEX
    if not listed:
        index.unlink(missing_ok=True)
        return None
    kinds = [(kind, [(place.name, _relative(place.path, index)) for place in listed if place.kind == kind]) for kind in KINDS]
    page = rendered("index.html", kinds=[(kind, entries) for kind, entries in kinds if entries])
    _write(index, page)
    for place in listed:
        text = place.path.read_text(encoding="utf-8")
        before, begin, remainder = text.partition(BEGIN)
        _, end, after = remainder.partition(END)
        if begin and end:  # a page of an older program has no place for them
            _write(place.path, f"{before}{BEGIN}{_links(listed, place.path, index)}{END}{after}", text)
    return index


def _links(listed: list[Place], of: Path, index: Path) -> str:
    parts = [f'<a href="{escape(_relative(index, of))}">All pages</a>']
    for kind in LINKED:
        entries = [place for place in listed if place.kind == kind]
        if of not in {place.path for place in entries} and len(entries) > MAX_LINKS:
            entries = entries[-MAX_LINKS:]
        shown = [_one(place, of) for place in entries]
        if shown:
            parts.append(f"<span>{kind} {' '.join(shown)}</span>")
    return "\n".join(parts)


def _one(place: Place, of: Path) -> str:
    return f"<b>{escape(place.name)}</b>" if place.path == of else f'<a href="{escape(_relative(place.path, of))}">{escape(place.name)}</a>'


def _relative(path: Path, of: Path) -> str:
    from urllib.parse import quote

    return quote(Path(os.path.relpath(path, of.parent)).as_posix())


def _write(path: Path, text: str, before: str | None = None) -> None:
    """Write what differs from what is there."""
    if before is None:
        before = path.read_text(encoding="utf-8") if path.is_file() else None
    if text != before:
        write_whole(path, text)
