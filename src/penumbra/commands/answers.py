"""Answers about a finished run: SQL, versions side by side, the final table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra import cohort, registry, store
from penumbra.base import tables
from penumbra.base.cells import p_value
from penumbra.base.params import project_root, read_yaml, state_home
from penumbra.base.refusal import Refusal, choose
from penumbra.cohort.baseline import baseline_table
from penumbra.cohort.rois import RoiSurvey
from penumbra.cohort.rois import list_rois as survey
from penumbra.evaluate import EXTERNAL, TRAINING
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.manifests import DecisionManifest, EvaluateManifest, IngestManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

if TYPE_CHECKING:
    pass


def models(home: Path, name: str | None = None) -> str:
    """Every version of a model: when, its aliases, and the C-index of each center.

    Those that somebody made in MLflow are shown as such; then follows which other models there are.

    Parameters
    ----------
    name
        Of the model; None: the one that params.yaml names.
    """
    shelf = registry.shelf(home, name)
    entries: list[registry.RegisteredVersion | registry.ForeignVersion] = sorted((*shelf.versions, *shelf.foreign), key=lambda entry: entry.version)
    if not entries:
        registry.find(home, model=name)  # says what there is
    found = store.query(
        home, "SELECT model, version, center, split, value FROM model_metrics WHERE metric = 'harrell_c' AND split IN ('train', 'test')"
    ).to_pylist()
    model = entries[0].model
    pools = (TRAINING, EXTERNAL)  # after the centers
    centers = sorted({row["center"] for row in found if row["model"] == model}, key=lambda center: (center in pools, center))
    values = {(row["version"], row["center"]): row for row in found if row["model"] == model}

    def cell(version: str, center: str) -> str:
        row = values.get((version, center))
        if row is None or row["value"] is None:
            return "-"
        return f"{row['value']:.3f}" + (" *" if row["split"] == "train" else "")

    body = [
        [
            entry.version,
            ", ".join(entry.aliases) or "-",
            entry.created_at,
            *("-" if isinstance(entry, registry.ForeignVersion) else cell(str(entry.version), center) for center in centers),
        ]
        for entry in entries
    ]
    others = [other for other in registry.models(home) if other != model]
    listed = f"\nalso registered: {', '.join(others)} (penumbra models --model NAME)" if others else ""
    foreign = "".join(f"\n{entry.version}: not registered by penumbra, made in MLflow" for entry in shelf.foreign)
    header = ["version", "alias", "registered", *(f"C {center}" for center in centers)]
    return tables.render(header, body, model) + f"\n\n* fitted on this center{foreign}{listed}"


def comparison_of(home: Path, name: str | None = None) -> str:
    """The command that compares the champion with the newest other version of a model; where there is one alone, its card of metrics."""
    entries = registry.shelf(home, name).versions
    champion = next((entry for entry in entries if "champion" in entry.aliases), None)
    others = [entry for entry in entries if entry is not champion]
    of = f"{entries[0].model}/" if name and entries else ""
    if champion is not None and others:
        return f"penumbra compare {of}{champion.version} {of}{max(entry.version for entry in others)}"
    if len(others) > 1:
        return f"penumbra compare {of}{others[-2].version} {of}{others[-1].version}"
    return "penumbra compare"


def model_rows(home: Path, name: str | None = None) -> tables.Answer:
    """The same for other programs: one row per version and center, with all digits; a version made in MLflow has a row without a center."""
    shelf = registry.shelf(home, name)
    if not (shelf.versions or shelf.foreign):
        registry.find(home, model=name)  # says what there is
    measured = store.query(
        home, "SELECT model, version, center, split, value, n, events FROM model_metrics WHERE metric = 'harrell_c' AND split IN ('train', 'test')"
    ).to_pylist()
    entries: list[registry.RegisteredVersion | registry.ForeignVersion] = sorted((*shelf.versions, *shelf.foreign), key=lambda entry: entry.version)
    records: list[dict[str, object]] = []
    for entry in entries:
        known = {"model": entry.model, "version": entry.version, "alias": ", ".join(entry.aliases) or None, "registered": entry.created_at}
        mine = [row for row in measured if (row["model"], row["version"]) == (entry.model, str(entry.version))]
        values = [{"center": row["center"], "split": row["split"], "harrell_c": row["value"], "n": row["n"], "died": row["events"]} for row in mine]
        records += [{**known, **value} for value in values or [{}]]
    return tables.Answer.of(records, ("model", "version", "alias", "registered", "center", "split", "harrell_c", "n", "died"))


MEASURED = ("model", "center", "split", "metric", "value", "lower", "upper", "n", "events", "reason")  # of models at centers, for other programs
DECIDED = ("arrived", *MEASURED, "decision")  # by a retraining


def decision(decided: DecisionManifest) -> str:
    """What a retraining decided: champion, challenger and baselines per center on patients that none was fitted on, and the verdict.

    A decision from before the gate recorded its limits is shown as it was taken, by C over the pool of all centers.
    """
    c = [row for row in decided.comparison if row.metric == "harrell_c"]
    models = list(dict.fromkeys(row.model for row in c))
    value = {(row.model, row.center): row.value for row in c}
    if decided.evidence is not None:
        evidence = decided.evidence
        places = (*evidence.centers, evidence.overall)
        value |= {("champion", row.center): row.other for row in places} | {("challenger", row.center): row.challenger for row in places}
        value |= {(row.against, row.center): row.other for row in evidence.baselines}
        sure, both = f"{100 * (1 - evidence.limits.noise):g} %", f"{100 * evidence.limits.confidence:g} %"
        header = [f"difference ({both})", f"at least\n({sure})"]
        sizes = {row.center: (row.n, row.events) for row in places}
        last = {
            row.center: [f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})", f"{row.lower_one_sided:+.3f}"] if row.defined else ["-", "-"]
            for row in places
        }
    else:
        header = ["difference", "p"]
        sizes = {row.center: (row.n, row.events) for row in c}
        old = {(row.center, row.metric): row.value for row in decided.comparison if row.model == "champion"}
        last = {place: [_form(old.get((place, "delta_c_combined")), "+.3f"), _p(old.get((place, "delta_c_combined_p")))] for place in sizes}
    body = [[place, *size, *(_form(value.get((model, place)), ".3f") for model in models), *last[place]] for place, size in sizes.items()]
    table = tables.render(["center", "n", "died", *(f"C {model}" for model in models), *header], body) + "\n\n" if body else ""
    return table + decided.reason


def decision_rows(decided: DecisionManifest) -> list[dict[str, Any]]:
    """The comparison of a retraining for other programs: one row per model, center and metric, with the center that arrived and the reason."""
    given = {"arrived": decided.center, "decision": decided.reason}
    rows = decided.to_json()["comparison"]
    return [{name: {**row, **given}.get(name) for name in DECIDED} for row in rows]


def _form(value: float | None, form: str) -> str:
    return "-" if value is None or value != value else format(value, form)


def _p(value: float | None) -> str:
    return "-" if value is None or value != value else p_value(value)


def cohort_flow(ingested: IngestManifest) -> str:
    """Found, accepted, flagged and rejected per center, with the rules."""
    rows = [
        [
            center,
            facts.found,
            len(facts.accepted),
            ", ".join(f"{rule} {count}" for rule, count in facts.remarks.items()) or "-",
            ", ".join(f"{rule} {count}" for rule, count in facts.rejected.items()) or "-",
        ]
        for center, facts in ingested.centers.items()
    ]
    return tables.render(["center", "found", "accepted", "remarks", "rejected"], rows)


def cohort_flow_rows(ingested: IngestManifest) -> tables.Answer:
    """The same for other programs: patients per center, outcome and rule."""
    records = []
    for center, facts in ingested.centers.items():
        counts: list[tuple[str, str | None, int]] = [("found", None, facts.found), ("accepted", None, len(facts.accepted))]
        counts += [("remark", rule, count) for rule, count in facts.remarks.items()]
        counts += [("rejected", rule, count) for rule, count in facts.rejected.items()]
        records += [{"center": center, "outcome": outcome, "rule": rule, "patients": count} for outcome, rule, count in counts]
    return tables.Answer.of(records, ("center", "outcome", "rule", "patients"))


def summary(work: Work) -> str:
    """The tables at the end of a run: C of every model on every set of patients, the cohort, the version, the report."""
    rows = [row for row in manifests.read(work.home, EvaluateManifest).metrics if row.metric == "harrell_c"]
    sets = list(dict.fromkeys((row.center, row.split) for row in rows))
    sizes = {(row.center, row.split): (row.n, row.events) for row in rows}
    header = ["C-index (95 % CI)", *(f"{center}, {split}\nn {sizes[center, split][0]}, died {sizes[center, split][1]}" for center, split in sets)]
    by_place = {(row.model, row.center, row.split): row for row in rows}
    body = []
    for model in dict.fromkeys(row.model for row in rows):
        cells = [by_place[model, *place] for place in sets]
        body.append([model, *(f"{row.value:.2f} ({row.lower:.2f}-{row.upper:.2f})" if row.value == row.value else "-" for row in cells)])
    registered, page = manifests.read(work.home, RegisterManifest), manifests.read(work.home, ReportManifest).page
    lines = [tables.render(header, body, whole="the report"), "", cohort_flow(manifests.read(work.home, IngestManifest)), ""]
    if registered.version is None:
        lines.append(f"registered  nothing: {registered.reason}")
    else:
        entry = registry.find(work.home, registered.version, registered.model)
        aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
        lines.append(f"registered  {entry.model}/{entry.version}{aliases}, digest {entry.digest[:12]}, trained on {', '.join(entry.train_centers)}")
    return "\n".join([*lines, f"report      {work.home / page}"])


def example_patient(work: Work) -> str:
    """The folder of some accepted patient, to type after `penumbra predict`."""
    folders = arrivals.center_folders(work.home)
    for center, facts in sorted(manifests.read(work.home, IngestManifest).centers.items(), key=lambda item: item[0] in work.settings.cohort.train_centers):
        for patient in facts.accepted:
            place = folders[center].resolve() / patient
            if place.is_dir():
                return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)
    return "FOLDER"


def baseline(work: Work, groups: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the baseline table of the accepted patients: one column per group of centers, then p and its test.

    Parameters
    ----------
    groups
        Each "east" or "east,south"; none: the training centers against all others.

    Raises
    ------
    Refusal
        "center_accepted".
    """
    accepted = {center: set(facts.accepted) for center, facts in manifests.read(work.home, IngestManifest).centers.items()}
    sets = [group.split(",") for group in groups]
    if not sets:
        trains = [center for center in accepted if center in work.settings.cohort.train_centers]
        sets = [centers for centers in (trains, [center for center in accepted if center not in trains]) if centers]
    unknown = sorted({center for centers in sets for center in centers} - set(accepted))
    if unknown:
        raise Refusal("center_accepted", f"no center {unknown[0]!r}", f"{choose(unknown[0], accepted, what='ingested')}; name groups like north east,south")
    with store.connect(work.home, read_only=True) as lake:
        patients = lake.rows("patients")
    columns = {", ".join(centers): [row for row in patients if row["center"] in centers and row["patient"] in accepted[row["center"]]] for centers in sets}
    header = ["", *(f"{name}\nn {len(found)}" for name, found in columns.items()), "p", "test"]
    lines = [
        [f"  {row.level}" if row.level else row.variable, *row.cells, "" if row.p is None else f"{row.p:.2f}" if row.p >= 0.01 else f"{row.p:.1g}", row.test]
        for row in baseline_table(columns)
    ]
    return header, lines


def rois(folder: Path, center: str) -> str:
    """All structure names below a center's folder, in how many patients, and what each maps to; then who would be refused."""
    found = _survey(folder, center)
    text = tables.render(["name", "patients", "maps to", "why"], [[entry.name, entry.patients, entry.meaning, entry.reason] for entry in found.names])
    if found.refused:
        text += "\n\n" + tables.render(["refused patient", "why"], [[patient, str(refusal)] for patient, refusal in found.refused])
    return text


def roi_rows(folder: Path, center: str) -> tables.Answer:
    """The same for other programs: one row per name, then one per refused patient."""
    found = _survey(folder, center)
    records: list[dict[str, object]] = [
        {"kind": "structure", "name": entry.name, "patients": entry.patients, "maps_to": entry.meaning, "why": entry.reason} for entry in found.names
    ]
    records += [{"kind": "refused patient", "name": patient, "patients": 1, "why": str(refusal)} for patient, refusal in found.refused]
    return tables.Answer.of(records, ("kind", "name", "patients", "maps_to", "why"))


def _survey(folder: Path, center: str) -> RoiSurvey:
    rules = cohort.roi_rules(read_yaml(project_root() / "features" / "rois.yaml"))
    return survey(folder, rules.of(center), arrivals.link_roots(state_home(), folder, load_settings().ingest.roots))
