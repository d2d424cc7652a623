"""Centers: who came, who was refused and why, what each declares, and how far each is from the training centers."""

import math
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from penumbra import cohort
from penumbra.base.refusal import Refusal
from penumbra.commands import drift, rules
from penumbra.commands.baseline import baseline
from penumbra.console.pages import Page
from penumbra.console.patients import TONES, listed, typed
from penumbra.console.visit import Visit
from penumbra.pipeline import people
from penumbra.pipeline.people import Flow
from penumbra.pipeline.workspace import Work
from penumbra.report.words import count
from penumbra.store.statements import literal

LINE, BOX, LETTERS = 24, 46, 62  # heights in the drawing, and letters of a reason that fit
REFUSED = 100  # rejected patients of a page; the list of patients has every one
REFUSALS = """
SELECT patient, status, rule, found, advice FROM people WHERE center = ? AND status IN ('rejected', 'excluded')
ORDER BY rule, patient LIMIT ?
"""
NAMES = """
SELECT coalesce(certificate ->> 'roi_name', '') AS name, count(*) AS patients FROM images WHERE center = ? GROUP BY ALL ORDER BY patients DESC, name LIMIT 50
"""
COVERAGE = """
WITH held AS (
    SELECT 'radiomics' AS kind, version, roi, center = $1 AS here FROM stored.radiomics_vectors
    UNION ALL
    SELECT 'deep', version, roi, center = $1 FROM stored.deep_vectors)
SELECT kind, version, roi, count(*) FILTER (here) AS present, (SELECT count(*) FROM images WHERE center = $1) AS patients FROM held
GROUP BY ALL ORDER BY kind DESC, roi
"""


@dataclass(frozen=True)
class Reason:
    """One line next to the flow: words and the patients that it stands for."""

    words: str
    address: str
    patients: int
    tone: str
    y: int


@dataclass(frozen=True)
class Drawing:
    """A center's flow with places: found at the top, the reasons next to the arrow, used at the bottom, remarks next to it."""

    flow: Flow
    out: tuple[Reason, ...]
    remarks: tuple[Reason, ...]
    used_y: int
    height: int


def centers(visit: Visit) -> Response:
    """Every center's flow."""
    flows = _flows(visit)
    drawings = [_drawing(visit, flow) for flow in flows]
    declared = _declared(visit)
    return visit.page(
        "centers.html",
        title="Centers",
        command=typed("SELECT center, status, rule, count(*) FROM cohort GROUP BY ALL"),
        drawings=drawings,
        declared=declared,
        **_words(),
    )


def center(visit: Visit) -> Response:
    """One center."""
    flow = _flow(visit)
    name = flow.center
    refused = listed(visit).people.rows(REFUSALS, [name, REFUSED])

    def read() -> dict[str, Any]:
        with visit.store() as lake:
            tables = lake.sql('SELECT stage, rule, found, advice, "at" FROM rejections WHERE patient IS NULL AND center = ?', [name]).to_pylist()
            arrived = lake.sql("SELECT arrived_at FROM centers WHERE center = ?", [name]).column("arrived_at").to_pylist()
            names, covered = lake.sql(NAMES, [name]).to_pylist(), lake.sql(COVERAGE, [name]).to_pylist()
        known = cohort.roi_rules(visit.console.settings.rois).of(name)
        structures = [(row["name"] or "mask file", row["patients"], known.meaning(row["name"])[1] if row["name"] else "sent as a mask") for row in names]
        return {"tables": tables, "arrived": arrived[0] if arrived else None, "structures": structures, "covered": covered}

    return visit.page(
        "center.html",
        title=name,
        command=typed(f"FROM cohort WHERE center = {literal(name)}"),
        drawing=_drawing(visit, flow),
        declared=_declared(visit).get(name, {}),
        intended=visit.console.settings.intended_use,
        refused=refused,
        more=max(0, sum(n for status, _, n in flow.out if status != "without scan") - len(refused)),
        table=_baseline(visit, flow),
        has_reference=any(other.used for other in _flows(visit) if other.center in visit.console.settings.cohort.train_centers and other.center != name),
        **visit.console.kept.get(("center", visit.as_of, name), read),
        **_words(),
    )


def shift(visit: Visit) -> Response:
    """The features of a center that are distributed otherwise than at the training centers, by family."""
    flow, settings = _flow(visit), visit.console.settings

    def read() -> list[drift.FamilyShift]:
        with visit.store() as lake:
            return drift.by_family(drift.shifted(lake, settings, flow.center), settings)

    families = visit.console.kept.get(("drift", visit.as_of, flow.center), read)
    return visit.page(
        "center_drift.html",
        title=f"{flow.center}, shifted features",
        command=f"penumbra drift {flow.center}",
        flow=flow,
        families=families,
        limits=settings.drift,
    )


def _words() -> dict[str, Any]:
    return {"tones": TONES, "fault": rules.fault, "known": rules.declared(), "count": count, "finite": math.isfinite}


def _flows(visit: Visit) -> list[Flow]:
    def read() -> list[Flow]:
        with visit.store() as lake:
            names = lake.sql("SELECT center FROM centers UNION SELECT center FROM rejections WHERE center IS NOT NULL").column("center").to_pylist()
        return people.flows(listed(visit).people, names, visit.console.settings.cohort.train_centers)

    return visit.console.kept.get(("flows", visit.as_of), read)


def _flow(visit: Visit) -> Flow:
    name = visit.path("center")
    flow = next((flow for flow in _flows(visit) if flow.center == name), None)
    if flow is None:
        raise Refusal("center", "no center of this name has sent a patient", "the list of centers has every one")
    return flow


def _declared(visit: Visit) -> dict[str, dict[str, Any]]:
    def read() -> dict[str, dict[str, Any]]:
        with visit.store() as lake:
            rows = lake.sql("SELECT center, treatment, intent, imaging FROM center_declarations").to_pylist()
        return {row.pop("center"): row for row in rows}

    return visit.console.kept.get(("declared", visit.as_of), read)


def _drawing(visit: Visit, flow: Flow) -> Drawing:
    """Where everything of the flow is drawn."""

    def reason(words: str, n: int, tone: str, y: int, **query: Any) -> Reason:
        shown = words if len(words) <= LETTERS else f"{words[: LETTERS - 1].rstrip()}…"
        return Reason(f"{n:,} {shown}", visit.url("patients", center=flow.center, **query), n, tone, y)

    top = BOX + 24
    out = [
        reason(f"{status}: {rules.fault(rule) if rule else 'no accepted scan'}", n, TONES[status], top + k * LINE, status=status, rule=rule or None)
        for k, (status, rule, n) in enumerate(flow.out)
    ]
    used_y = top + max(len(out), 1) * LINE + 8
    remarks = [
        reason(f"remarked: {rules.fault(rule)}", n, "warn", used_y + 18 + k * LINE, status="remarked", rule=rule) for k, (rule, n) in enumerate(flow.remarks)
    ]
    return Drawing(flow, tuple(out), tuple(remarks), used_y, used_y + max(BOX + 16, 18 + len(remarks) * LINE) + 8)


def _baseline(visit: Visit, flow: Flow) -> tuple[list[str], list[list[str]]] | Refusal:
    """The center against the other training centers; why there is none."""
    training = [name for name in visit.console.settings.cohort.train_centers if name != flow.center]

    def read() -> tuple[list[str], list[list[str]]] | Refusal:
        try:
            present = [other.center for other in _flows(visit) if other.center in training and other.used]
            return baseline(Work(visit.home, visit.console.settings, "console"), [flow.center, *([",".join(present)] if present else [])], as_of=visit.as_of)
        except Refusal as refusal:
            return refusal

    return visit.console.kept.get(("baseline", visit.as_of, flow.center), read)


ROUTES = (
    Page("/centers", centers, "centers"),
    Page("/centers/{center}", center, "center"),
    Page("/centers/{center}/drift", shift, "center_drift", costly=True),
)
