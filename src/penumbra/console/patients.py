"""The patients as a list: most suspicious mask or highest risk first, whom to look at and why."""

import io
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from penumbra import cohort, imaging
from penumbra.base.refusal import Refusal
from penumbra.commands.gallery import painted
from penumbra.commands.patients import FILTERS, ROWS, Question
from penumbra.commands.rules import fault
from penumbra.console.context import Console
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.pipeline import people
from penumbra.pipeline.people import Named, OwnColumn
from penumbra.store.in_memory import InMemory

PIXELS = 112  # edge of a thumbnail
TONES = {"accepted": "good", "remarked": "warn", "excluded": "bad", "rejected": "bad", "without scan": "quiet"}
RULES = "SELECT rule AS value, count(*) AS n FROM (SELECT DISTINCT patient, center, unnest(rules) AS rule FROM people) GROUP BY ALL ORDER BY n DESC, rule"


@dataclass(frozen=True)
class Listed:
    """Everybody, the versions, the one whose risks are shown, and the columns of features/clinical.yaml."""

    people: InMemory
    versions: list[Named]
    version: Named | None
    own: tuple[OwnColumn, ...]


@dataclass
class Thumbnails:
    """Pictures of masks, in memory until the next commit; one is drawn at a time, so that a list leaves a core to the pages."""

    most: int = 3000  # about 4 kB each
    drawn: dict[tuple[str, str], bytes] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)


def listed(visit: Visit) -> Listed:
    """The list of everybody, read once per commit and version."""
    return _listed(visit.console, visit.as_of, visit.value("version"))


def _listed(console: Console, as_of: int | None, version: str) -> Listed:
    def read() -> Listed:
        with console.readers.lend(as_of) as lake:
            every = people.versions(lake)
            chosen = people.chosen(every, version)
            return Listed(people.in_memory(console.home, lake, chosen), every, chosen, people.own_columns(lake))

    return console.kept.get(("people", as_of, version), read)


def patients(visit: Visit) -> Response:
    """The list, as the address filters and sorts it."""
    shown, page = listed(visit), visit.number("page", 1, least=1, most=10**6)
    question = Question({name: visit.value(name).strip() for name in FILTERS}, visit.value("sort"), shown.own)
    total, rows = question.total(shown.people), question.rows(shown.people, ROWS, (page - 1) * ROWS)
    options = {
        "status": [("used", "used: accepted or remarked"), *_options(shown.people, "status")],
        "center": _options(shown.people, "center"),
        "group": _options(shown.people, "risk_group"),
        "applicability": _options(shown.people, "applicability"),
        "rule": [(row["value"], f"{fault(row['value'])} ({row['n']:,})") for row in shown.people.rows(RULES)],
    }
    return visit.page(
        "patients.html",
        title="Patients",
        command=question.words(visit.value("version"), (page - 1) * ROWS),
        rows=rows,
        total=total,
        page=page,
        size=ROWS,
        sort=question.sort,
        sorts={name: words for name, (words, _) in question.sorts.items()},
        options=options,
        picked={name: visit.value(name) for name in (*FILTERS, "version")},
        shown=shown,
        tones=TONES,
        fault=fault,
    )


def typed(statement: str) -> str:
    """`penumbra sql` with a statement, as a person types it into a shell."""
    plain = not set(statement) & set('"$`\\!')
    return f'penumbra sql "{statement}"' if plain else f"penumbra sql {shlex.quote(statement)}"


def _options(listed_people: InMemory, column: str) -> list[tuple[str, str]]:
    """The values of a column with how many patients have each."""
    counted = f"SELECT {column} AS value, count(*) AS n FROM people WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY value"  # noqa: S608 a column of this module
    return [(row["value"], f"{row['value']} ({row['n']:,})") for row in listed_people.rows(counted)]


def thumbnail(visit: Visit) -> Response:
    """The tumor's largest axial slice with the outline of the mask."""
    row = _image(visit)
    if row is None:
        raise no_patient()
    kept: Thumbnails = visit.console.kept.get("thumbnails", Thumbnails)
    key = (row["patient"], row["image_version"])
    if key not in kept.drawn:
        with kept.turn:
            if key not in kept.drawn and len(kept.drawn) < kept.most:
                kept.drawn[key] = _drawn(visit, row)
    content = kept.drawn[key] if key in kept.drawn else _drawn(visit, row)
    return Response(content, media_type="image/png")


def _image(visit: Visit) -> dict[str, Any] | None:
    """The row of `images` that the address names; None where the store shows none."""
    query = "SELECT patient, center, image_version FROM images WHERE patient = ? AND image_version = ?"
    with visit.store() as lake:
        rows = lake.sql(query, [visit.path("patient"), visit.path("image_version")]).to_pylist()
    return rows[0] if rows else None


def _drawn(visit: Visit, row: Mapping[str, Any]) -> bytes:
    report, content = visit.console.settings.report, io.BytesIO()
    scan = cohort.load_patient(visit.home / "images", row)
    planes = imaging.three_planes(scan, {}, margin_mm=report.slice_margin_mm / 2, pixels=PIXELS)
    painted(planes, report.window_hu, only=slice(0, 1)).save(content, format="PNG")
    return content.getvalue()


def _tag(visit: Visit) -> str:
    row = _image(visit)
    report = visit.console.settings.report
    return "" if row is None else f"{row} {report.slice_margin_mm} {report.window_hu} {PIXELS}"


def no_patient() -> Refusal:
    """The one answer for a patient who is not here: never was, was withdrawn, or left."""
    return Refusal("patient", "no such patient", "the list of patients has everybody who is here")


ROUTES = (
    Page("/patients", patients, "patients"),
    Page("/patients/{patient}/thumbnail/{image_version}.png", thumbnail, "thumbnail", etag=_tag),
)
