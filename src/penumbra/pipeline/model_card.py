"""What is known of a registered version, gathered from the registry, the store and its report: the model card."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base.blocks import DEEP, GTV
from penumbra.cohort.intended_use import IntendedUse, read_intended_use
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, LEFT_OUT, TRAINING
from penumbra.fusion.applicability import BEFORE
from penumbra.pipeline import looks
from penumbra.pipeline.applicability import intended_for
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.prospective import LIVE
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel, RegisteredVersion
from penumbra.report.card import CardCenter, CardSubgroup, Lines, Measured, ModelCard
from penumbra.report.words import NOT_KNOWN, count
from penumbra.survival.horizons import horizon_name, horizon_words, middle

ORDER = (CROSS_FITTED, "test", LEFT_OUT, LIVE, "train")  # of the splits: inside first, then outside, and last what the fit saw
EVIDENCE = ("harrell_c", "delta_c_volume", "delta_c_volume_within", "auc_{}")  # {}: the middle one of the horizons
CALIBRATION = ("calibration_slope", "calibration_intercept", "observed_expected_{}", "brier_integrated")
SHOWN_GROUPS = ("profile", "fuse.", "train.", "evaluate.", "crossfit.", "applicability.", "ensemble.", "network.")  # of params.yaml
GOOD_ICC = 0.75  # Koo and Li 2016, J Chiropr Med 15:155: good reliability begins there
DEVICE = "research on retrospective cohorts; not a medical device, no decision on a patient rests on it"
OUTCOME = "overall survival in days from the start of radiotherapy"
_METRICS = "SELECT center, split, metric, value, lower, upper, n, events FROM model_metrics WHERE model = ? AND version = ? AND value IS NOT NULL"
_SCORED = (
    "SELECT center, applicability, count(*) AS patients FROM predictions WHERE model = ? AND version = ? AND applicability IS NOT NULL"
    " GROUP BY center, applicability ORDER BY center, applicability = 'outside', applicability = 'edge'"
)
_WEAKEST = "SELECT version, roi, feature, min(icc) AS icc FROM feature_stability GROUP BY ALL"
_USES = "SELECT center, count(*) AS patients FROM model_uses WHERE model = ? AND version = ? AND split = 'train' GROUP BY center ORDER BY center"


def model_card(work: Work, registered: RegisterManifest) -> ModelCard:
    """The card of what a run registered, for its report, whose other sections have the subgroups."""
    if registered.version is None:
        settings = work.settings
        return ModelCard(settings.register.model, 0, (), "", settings.cohort.train_centers, "", 0, "", "", purpose=_purpose(read_intended_use()))
    return card_of(work.home, registry.find(work.home, registered.version, registered.model))


def whole_card(home: Path, entry: RegisteredVersion, as_of: int | None = None) -> ModelCard:
    """The card with the subgroups as its report drew them, and how often each center outside was read.

    Parameters
    ----------
    as_of
        A commit: the card as the store was then, without the subgroups, which its report alone has; None: the newest.
    """
    with store.connect(home, read_only=True, as_of=as_of) as lake:
        counted, since = looks.ledger(lake), looks.begun(lake)
    read = {center: sum(row.times for row in counted if row.center == center) for center in dict.fromkeys(row.center for row in counted)}
    lines = tuple((center, f"read {count(times, 'time')}") for center, times in read.items())
    lines = (*lines, ("Counted since", f"{since:%Y-%m-%d}; SQL that a person writes is not counted"))
    return replace(card_of(home, entry, as_of), subgroups=tuple(subgroups_of(home, entry)) if as_of is None else (), looks=lines)


def card_of(home: Path, entry: RegisteredVersion, as_of: int | None = None) -> ModelCard:
    """The card of a registered version; see `whole_card`."""
    loaded = registry.load(home, entry.version, model=entry.model)
    with store.connect(home, read_only=True, as_of=as_of) as lake:
        rows = lake.sql(_METRICS, [entry.model, str(entry.version)]).to_pylist()
        uses = lake.sql(_USES, [entry.model, str(entry.version)]).to_pylist()
        applicability, stability = tuple(_applicability(lake, loaded)), tuple(_stability(lake, loaded))
    params, at = loaded.lineage.params, horizon_name(middle(loaded.horizons_days)[0])
    model = loaded.model
    return ModelCard(
        model=entry.model,
        version=entry.version,
        aliases=entry.aliases,
        digest=entry.digest,
        train_centers=entry.train_centers,
        registered_at=entry.created_at.date().isoformat(),
        store_commit=entry.store_commit,
        store_digest=entry.store_digest,
        code_commit=entry.code_commit,
        parameters=tuple((name, str(value)) for name, value in params.items() if name.startswith(SHOWN_GROUPS)),
        environment=tuple(loaded.lineage.environment.items()),
        served=f"{model.label} ({model.kind}, {count(len(model.columns), 'column')}), fitted on {count(model.training.patients, 'patient')}"
        f" of whom {model.training.events} died",
        purpose=_purpose(intended_for(loaded.settings)),
        data=tuple(_centers(rows, uses)),
        evidence=tuple(_measured(rows, [name.format(at) for name in EVIDENCE])),
        calibration=tuple(row for row in _measured(rows, [name.format(at) for name in CALIBRATION]) if row.split != "train"),
        applicability=applicability,
        stability=stability,
        limits=tuple(_limits(loaded, rows)),
    )


def _purpose(intended: IntendedUse) -> Lines:
    """What the models are for, and for whom, as models/intended_use.yaml says, or said when the version was registered."""
    patients = "; ".join(f"{name} {words}" for name, words in intended.rows)
    return (("Intended use", DEVICE), ("Patients", patients), ("Outcome", OUTCOME), ("Input", f"planning CT and GTV; ROIs {GTV} and rings"))


def _centers(rows: Sequence[Mapping[str, Any]], uses: Sequence[Mapping[str, Any]]) -> Iterator[CardCenter]:
    """Who trained, and who was outside; deaths as the metrics counted them."""
    sizes = {(row["split"], row["center"]): (row["n"], row["events"]) for row in rows if row["metric"] == "harrell_c"}
    trained = {row["center"]: row["patients"] for row in uses}
    for center, patients in trained.items():
        yield CardCenter(center, "train", *sizes.get(("train", center), (patients, 0)))
    for (split, center), size in sorted(sizes.items()):
        if split in ("test", LIVE) and center != EXTERNAL and center not in trained:
            yield CardCenter(center, split, *size)


def _measured(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Iterator[Measured]:
    """Rows of some metrics, inside first; a pool of one center is left out where the center is there, and so is an apparent difference."""
    single = {split: len({row["center"] for row in rows if row["split"] == split} - {TRAINING, EXTERNAL, LEFT_OUT}) == 1 for split in ORDER}
    ordered = []
    for row in rows:
        metric, split = row["metric"], row["split"]
        if metric not in metrics or split not in ORDER or (single[split] and row["center"] in (TRAINING, EXTERNAL)):
            continue
        if split == "train" and metric != "harrell_c":
            continue
        lower, upper = (math.nan if row[name] is None else float(row[name]) for name in ("lower", "upper"))
        place = (ORDER.index(split), metrics.index(metric), row["center"] in (TRAINING, EXTERNAL), row["center"])
        ordered.append((place, Measured(row["center"], split, metric, row["value"], lower, upper, row["n"], row["events"])))
    yield from (measured for _, measured in sorted(ordered, key=lambda pair: pair[0]))


def _applicability(lake: store.Store, loaded: LoadedModel) -> Iterator[tuple[str, str]]:
    """What the version has learned of its training patients, and of how many scored patients of each center it says that they are like them."""
    domain = loaded.model.domain
    if domain is None:
        yield "Training patients", f"{NOT_KNOWN}: {BEFORE}"
    else:
        yield (
            "Training patients",
            f"{domain.patients}; a patient is at the edge beyond a share of {domain.edge.share:.2f} of the columns or a distance of {domain.edge.distance:.1f},"
            f" and outside beyond {domain.outside.share:.2f} or {domain.outside.distance:.1f}",
        )
    counted: dict[str, list[str]] = {}
    for row in lake.sql(_SCORED, [loaded.entry.model, str(loaded.entry.version)]).to_pylist():
        counted.setdefault(row["center"], []).append(f"{row['patients']} {row['applicability']}")
    for center, counts in counted.items():
        yield f"Scored at {center}", ", ".join(counts)


def _stability(lake: store.Store, loaded: LoadedModel) -> Iterator[tuple[str, str]]:
    """How many of the radiomics columns that the version reads stay the same when scan or mask is perturbed."""
    weakest = {(row["version"], f"{row['roi']}.{row['feature']}"): row["icc"] for row in lake.sql(_WEAKEST).to_pylist()}
    blocks = {name: version for name, version in loaded.feature_versions.items() if name != DEEP}
    columns = [name for name in loaded.model.columns if name.partition(".")[0] in blocks]
    measured = [icc for name in columns if (icc := weakest.get((blocks[name.partition(".")[0]], name))) is not None]
    if measured:
        stable = sum(icc >= GOOD_ICC for icc in measured)
        yield (
            "Columns it reads",
            f"{stable} of {len(measured)} have an ICC of at least {GOOD_ICC:g} under every perturbation; {len(columns) - len(measured)} not measured",
        )
    elif columns:
        yield "Columns it reads", f"{NOT_KNOWN}: penumbra stability measures it"
    else:
        yield "Columns it reads", "no radiomics feature"


def _limits(loaded: LoadedModel, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    model, outside = loaded.model, {row["center"]: row["events"] for row in rows if row["split"] == "test" and row["center"] != EXTERNAL}
    days = ", ".join(map(horizon_words, loaded.horizons_days))
    yield "Survival", f"at {days}, and not beyond day {math.floor(model.baseline.last_day)} of the training follow-up"
    yield "Refused", "a scan, a contour or a record that breaks a rule is refused with the rule and what was found; penumbra rules lists them"
    enough = loaded.lineage.params.get("evaluate.external_events")
    if not outside:
        yield "Outside", "no center outside: how well it ranks patients elsewhere is not known"
    elif isinstance(enough, int) and sum(outside.values()) < enough:
        yield "Outside", f"{count(sum(outside.values()), 'death')} at {', '.join(sorted(outside))}; calibration can be judged from {enough} on (Collins 2016)"
    for part in model.parts:
        for remark in part.training.remarks:
            yield f"Remark on {part.label}", remark
    yield "Not stored", f"ethnicity, dose, treatment, scanner: whether it differs by them is {NOT_KNOWN}"


def subgroups_of(home: Path, entry: RegisteredVersion) -> Iterator[CardSubgroup]:
    """What the report of the version wrote about subgroups; apparent sets are left out, and so is a pool of one center, whose numbers are the center's."""
    path = home / "reports" / f"{entry.model}-{entry.version}" / "subgroup_measures.csv"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] != "train"]
    single = len({row["set"] for row in rows if row["split"] == "test"} - {EXTERNAL}) == 1
    for row in rows:
        if not (single and row["set"] == EXTERNAL):
            numbers = (float(row[name] or "nan") for name in ("c", "c_lower", "c_upper", "observed_expected"))
            yield CardSubgroup(row["set"], row["subgroup"], int(row["patients"]), int(row["deaths"]), *numbers)
