"""One registered version: what it is worth, where it comes from, what it reads, and when it was in use and why."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from penumbra import registry
from penumbra.base.refusal import Refusal
from penumbra.commands.standing import VersionStanding, standings
from penumbra.console.evidence import rows_of
from penumbra.console.visit import Visit
from penumbra.pipeline import in_use
from penumbra.pipeline.lineage import Lineage, lineage
from penumbra.pipeline.model_card import whole_card
from penumbra.pipeline.model_columns import ModelColumn, model_columns
from penumbra.registry import LoadedModel, RegisteredVersion
from penumbra.report import strips
from penumbra.report.audit import Audit, read_audit
from penumbra.report.card import SPLITS, Measured, ModelCard, limits
from penumbra.report.lineage import Node, drawing
from penumbra.report.words import metric_words

MAX_KEPT = 40  # columns of the table; the report has all
_FITTED = "SELECT patient, center, split FROM model_uses WHERE model = '{model}' AND version = '{version}' ORDER BY center, patient"
_SCORED = (
    "SELECT patient, center, log_risk, risk_group, survival_2y, applicability FROM predictions WHERE model = '{model}' AND version = '{version}'"
    " ORDER BY log_risk DESC"
)


def model(visit: Visit) -> Response:
    """The page of one version."""
    entry = registered(visit, visit.path("version"), chosen_model(visit))
    facts = visit.console.kept.get(("model", visit.as_of, entry.model, entry.version), lambda: _facts(visit, entry))
    card: ModelCard = facts["card"]
    graph: Lineage = facts["lineage"]
    audit: Audit | None = facts["audit"]
    kept: Sequence[ModelColumn] = facts["kept"]
    now = datetime.now(UTC)
    return visit.page(
        "model.html",
        title=entry.label,
        command=f"penumbra card {entry.model}/{entry.version}",
        entry=entry,
        card=card,
        standing=facts["standing"],
        evidence=rows_of(visit, facts["standing"]) if facts["standing"] else [],
        scale=strips.scale(strips.C_AXIS),
        lineage=drawing(graph.nodes, graph.links, lambda node: _address(visit, node, entry), f"Where {entry.model}/{entry.version} comes from"),
        nodes=[(node, _address(visit, node, entry)) for node in graph.nodes],
        kept=_kept_rows(visit, kept[:MAX_KEPT]),
        columns=len(kept),
        measures=_measures((*card.evidence, *card.calibration)),
        periods=facts["periods"],
        spans=strips.spans(_spans(facts["periods"], entry.version), now, _spans_words(facts["periods"])),
        events=facts["events"],
        updates=facts["updates"],
        report=facts["report"],
        audit=audit,
        statements={name: text.format(model=entry.model, version=entry.version) for name, text in (("fitted", _FITTED), ("scored", _SCORED))},
        others=[other for other in facts["others"] if other.version != entry.version],
    )


def registered(visit: Visit, which: str, model: str | None) -> RegisteredVersion:
    """The version that an alias or a number names: of now, or as of the commit of the page.

    Raises
    ------
    Refusal
        "version_registered", "version_then" and others of `registry.find`.
    """

    def found() -> RegisteredVersion:
        if visit.as_of is None:
            return registry.find(visit.home, which, model)
        with visit.store() as lake:
            return in_use.find_then(visit.home, lake, which, model)

    return visit.console.kept.get(("registered", visit.as_of, which, model), found)


def chosen_model(visit: Visit) -> str | None:
    """The model that the query names; None: the one of params.yaml.

    Raises
    ------
    Refusal
        "version_registered" where there is none of that name.
    """
    name = visit.value("model")
    if name and name not in registry.models(visit.home):
        raise Refusal("version_registered", f"no model {name[:60]!r} is registered", f"registered: {', '.join(registry.models(visit.home)) or 'none yet'}")
    return name or None


def _facts(visit: Visit, entry: RegisteredVersion) -> dict[str, Any]:
    loaded = registry.load(visit.home, entry.version, model=entry.model)
    with visit.store() as lake:
        entries = standings(visit.home, lake, entry.model)
        facts = {
            "lineage": lineage(lake, loaded),
            "kept": model_columns(lake, loaded),
            "periods": in_use.periods(lake, entry.model),
            "events": in_use.events(lake, entry.model),
        }
    folder = f"{entry.model}-{entry.version}"
    return {
        **facts,
        "card": whole_card(visit.home, entry, visit.as_of),
        "standing": _standing(entries, entry.version),
        "others": entries,
        "updates": _updates(loaded),
        "report": f"{folder}/index.html" if visit.as_of is None and (visit.home / "reports" / folder / "index.html").is_file() else "",
        "audit": read_audit(visit.home / "reports" / folder) if visit.as_of is None else None,
    }


def _standing(entries: Sequence[VersionStanding], version: int) -> VersionStanding | None:
    return next((each for each in entries if each.version == version), None)


def _updates(loaded: LoadedModel) -> list[tuple[str, str, str, str, int, int]]:
    return [
        (center, update.step, f"{update.intercept:+.3f}", f"{update.slope:.3f}", update.patients, update.deaths) for center, update in loaded.updates.items()
    ]


def _measures(rows: Sequence[Measured]) -> list[tuple[str, str, str, str, int, int]]:
    return [
        (SPLITS.get(row.split, row.split), row.center, metric_words(row.metric), limits(row.value, row.lower, row.upper), row.patients, row.deaths)
        for row in rows
    ]


def _kept_rows(visit: Visit, kept: Sequence[ModelColumn]) -> list[tuple[ModelColumn, str, str]]:
    """Each column with its feature's page, and its coefficient as a strip."""
    axis = strips.around([row.coefficient for row in kept], least=0.01)
    return [
        (
            row,
            visit.url("feature", feature=row.feature, roi=row.roi) if "feature" in visit.console_paths and row.roi != "deep" else "",
            strips.strip(
                axis, (strips.Dot(row.coefficient, min(0.0, row.coefficient), max(0.0, row.coefficient), "other" if row.coefficient > 0 else "model"),), ""
            ),
        )
        for row in kept
    ]


def _address(visit: Visit, node: Node, entry: RegisteredVersion) -> str:
    """Of what a node of the lineage stands for; "" where it has no page."""
    paths = visit.console_paths
    if node.kind == "center" and "center" in paths:
        return visit.url("center", center=node.name)
    if node.kind == "commit" and "table" in paths:
        return visit.url("table", relation="patients", as_of=node.name)
    if node.kind == "features" and "table" in paths:
        return visit.url("table", relation="feature_versions")
    return "#kept" if node.kind == "kept" else "#in-use" if node.kind == "version" else ""


def _spans(periods: Sequence[in_use.Period], version: int) -> list[strips.Span]:
    return [
        strips.Span(period.since, period.until, "none" if period.version is None else str(period.version), "this" if period.version == version else "that")
        for period in periods
    ]


def _spans_words(periods: Sequence[in_use.Period]) -> str:
    return "Champions in turn: " + "; ".join(f"{period.version or 'none'} from {period.since:%Y-%m-%d %H:%M} UTC" for period in periods)
