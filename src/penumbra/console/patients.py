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
from penumbra.commands.rules import fault
from penumbra.console.context import Console
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.pipeline import people
from penumbra.pipeline.people import Named
from penumbra.store.in_memory import InMemory
from penumbra.store.statements import literal

ROWS = 50  # a page
PIXELS = 112  # edge of a thumbnail
SORTS = {  # words, and how the list is ordered
    "suspicion": ("most suspicious mask", "status = 'rejected' DESC, status = 'excluded' DESC, findings DESC, apart DESC NULLS LAST, lost DESC NULLS LAST"),
    "risk": ("highest risk", "log_risk DESC NULLS LAST"),
    "-risk": ("lowest risk", "log_risk NULLS LAST"),
    "patient": ("name", "patient"),
    "center": ("center", "center"),
    "stage": ("stage, early first", "overall_stage NULLS LAST"),
    "-stage": ("stage, late first", "overall_stage DESC NULLS LAST"),
    "volume": ("largest tumor", "volume_mm3 DESC NULLS LAST"),
    "-volume": ("smallest tumor", "volume_mm3 NULLS LAST"),
    "time": ("longest follow-up", "time DESC NULLS LAST"),
    "-time": ("shortest follow-up", "time NULLS LAST"),
}
STATUSES = {"used": people.USED, "out": people.OUT}  # words for several statuses
MATCHES = {  # filter -> condition with one or more ? of its value
    "center": "center = ?",
    "group": "risk_group = ?",
    "applicability": "applicability = ?",
    "rule": "CASE WHEN status IN ('rejected', 'excluded') THEN rule = ? ELSE list_contains(rules, ?) END",
    "q": "contains(lower(concat_ws(' ', patient, center, histology, overall_stage, sex)), lower(?))",
}
TONES = {"accepted": "good", "remarked": "warn", "excluded": "bad", "rejected": "bad", "without scan": "quiet"}
RULES = "SELECT rule AS value, count(*) AS n FROM (SELECT DISTINCT patient, center, unnest(rules) AS rule FROM people) GROUP BY ALL ORDER BY n DESC, rule"


@dataclass(frozen=True)
class Listed:
    """Everybody, the versions, and the one whose risks are shown."""

    people: InMemory
    versions: list[Named]
    version: Named | None


@dataclass(frozen=True)
class Question:
    """What a list shows: conditions in SQL, with their values."""

    conditions: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    def where(self) -> str:
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""

    def typed(self) -> str:
        """The same with the values in it, to be typed by a person."""
        parts, values = [], iter(self.values)
        for condition in self.conditions:
            pieces = condition.split("?")
            parts.append(pieces[0] + "".join(literal(str(next(values))) + piece for piece in pieces[1:]))
        return f" WHERE {' AND '.join(parts)}" if parts else ""


@dataclass
class Thumbnails:
    """Pictures of masks, in memory until the next commit; one is drawn at a time, so that a list leaves a core to the pages."""

    most: int = 3000  # about 4 kB each
    drawn: dict[tuple[str, str], bytes] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)


def listed(visit: Visit) -> Listed:
    """The list of everybody, read once per commit and version."""
    return _listed(visit.console, visit.as_of, visit.value("version"))


def warm(console: Console) -> None:
    """Read the list before the first page asks for it."""
    _listed(console, None, "")


def _listed(console: Console, as_of: int | None, version: str) -> Listed:
    def read() -> Listed:
        with console.readers.lend(as_of) as lake:
            every = people.versions(lake)
            chosen = people.chosen(every, version)
            return Listed(people.in_memory(console.home, lake, chosen), every, chosen)

    return console.kept.get(("people", as_of, version), read)


def patients(visit: Visit) -> Response:
    """The list, as the address filters and sorts it."""
    shown, question, page = listed(visit), asked(visit), visit.number("page", 1, least=1, most=10**6)
    sort = visit.value("sort", "suspicion")
    sort = sort if sort in SORTS else "suspicion"
    total = shown.people.sql(f"SELECT count(*) AS n FROM people{question.where()}", question.values)[0]["n"]  # noqa: S608 conditions of this module
    statement = f"FROM people{question.where()} ORDER BY {SORTS[sort][1]}, patient, center LIMIT {ROWS} OFFSET {(page - 1) * ROWS}"
    rows = shown.people.sql(statement, question.values)
    options = {
        "status": [("used", "used: accepted or remarked"), *_options(shown.people, "status")],
        "center": _options(shown.people, "center"),
        "group": _options(shown.people, "risk_group"),
        "applicability": _options(shown.people, "applicability"),
        "rule": [(row["value"], f"{fault(row['value'])} ({row['n']:,})") for row in shown.people.sql(RULES)],
    }
    return visit.page(
        "patients.html",
        title="Patients",
        command=command(shown.version, question, sort),
        rows=rows,
        total=total,
        page=page,
        size=ROWS,
        sort=sort,
        sorts={name: words for name, (words, _) in SORTS.items()},
        options=options,
        picked={name: visit.value(name) for name in ("status", "center", "group", "applicability", "rule", "q", "version")},
        shown=shown,
        tones=TONES,
        fault=fault,
    )


def asked(visit: Visit) -> Question:
    """The filters of the address."""
    conditions: list[str] = []
    values: list[Any] = []
    status = visit.value("status")
    if status:
        names = STATUSES.get(status, (status,))
        conditions.append(f"status IN ({', '.join('?' * len(names))})")
        values += names
    for name, condition in MATCHES.items():
        value = visit.value(name).strip()
        if value:
            conditions.append(condition)
            values += [value] * condition.count("?")
    return Question(tuple(conditions), tuple(values))


def command(version: Named | None, question: Question, sort: str) -> str:
    """What gives the same list at the command line; risks of training patients are the stored, apparent ones there."""
    scored = ""
    if version is not None and ("risk" in sort or any("risk_group" in each or each.startswith("applicability") for each in question.conditions)):
        chosen = f"model = {literal(version.model)} AND version = {literal(version.version)}"
        scored = f" LEFT JOIN (FROM predictions WHERE {chosen}) AS scored USING (patient, center)"
    return typed(f"FROM cohort{scored}{question.typed()} ORDER BY {SORTS[sort][1]}, patient")


def typed(statement: str) -> str:
    """`penumbra sql` with a statement, as a person types it into a shell."""
    plain = not set(statement) & set('"$`\\!')
    return f'penumbra sql "{statement}"' if plain else f"penumbra sql {shlex.quote(statement)}"


def _options(listed_people: InMemory, column: str) -> list[tuple[str, str]]:
    """The values of a column with how many patients have each."""
    counted = f"SELECT {column} AS value, count(*) AS n FROM people WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY value"  # noqa: S608 a column of this module
    return [(row["value"], f"{row['value']} ({row['n']:,})") for row in listed_people.sql(counted)]


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
