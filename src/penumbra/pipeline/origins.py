"""What every manifest was made from, and the refusal of one that was made from something else than what is there now.

A stage leaves under `made_from` fingerprints of the data that it read and the value of every parameter that decides its result. A later stage works
out both again before it trusts the manifest. A manifest without `made_from` was left by an earlier program: it is taken as it is, but for what its
own key tells.
"""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from importlib.metadata import version as installed
from typing import Any, TypeVar

from penumbra import cohort, store
from penumbra.base.refusal import Refusal
from penumbra.cohort.record import READER
from penumbra.pipeline import manifests
from penumbra.pipeline.definition import image_versions, radiomics_definition
from penumbra.pipeline.manifests import IngestManifest, Manifest, Origin
from penumbra.pipeline.workspace import Work
from penumbra.registry import older_names

PROGRAM = "program"  # the number among a stage's numbers that its code has
SHOWN = 40  # letters of a parameter's value in a refusal
NOT_DECIDING = ("batch",)  # parameters of ingest that change no row

_last: tuple[Any, dict[str, dict[str, str]]] = (None, {})  # clinical versions by center, and the store that shows them

AnyManifest = TypeVar("AnyManifest", bound=Manifest)
Images = dict[str, dict[str, str]]  # patient -> center and image_version of the accepted scan


def origin(work: Work, data: Mapping[str, str], numbers: Mapping[str, Any]) -> Origin:
    """What a manifest keeps under `made_from`, as JSON gives it back."""
    return Origin.from_json(json.loads(json.dumps({"data": data, "numbers": numbers, "profile": work.profile})))


def flat(group: str, values: Any) -> dict[str, Any]:
    """A frozen dataclass of settings, or a mapping, as "group.name" -> value at every depth."""
    entries = values if isinstance(values, Mapping) else asdict(values)
    numbers: dict[str, Any] = {}
    for name, value in entries.items():
        numbers |= flat(f"{group}.{name}", value) if isinstance(value, Mapping) else {f"{group}.{name}": value}
    return numbers


def current(work: Work, kind: type[AnyManifest], now: Origin, **entries: Any) -> AnyManifest:
    """The manifest of a stage, provided that it was made from what is there now.

    Parameters
    ----------
    entries
        Entries of the manifest as they would be now; they decide where an earlier program left the manifest.

    Raises
    ------
    Refusal
        "stages_in_order" when the stage has not run, "stage_is_current" when something changed since.
    """
    manifest, stage = manifests.read(work.home, kind), manifests.NAMES[kind]
    if manifest.made_from is not None:
        require(stage, stage, manifest.made_from, now)
    elif any(getattr(manifest, name) != value for name, value in entries.items()):
        raise _refusal(stage, f"{stage} was made from other data, or by an earlier program")
    return manifest


def require(stage: str, what: str, before: Origin, now: Origin) -> None:
    """Refuse a result that was made from something else.

    Numbers go first: another number is mostly the reason for other data too.

    Raises
    ------
    Refusal
        "stage_is_current" that says what changed since `what`, a result of `stage`, was made.
    """
    numbers = {name: (before.numbers.get(name), now.numbers.get(name)) for name in {**now.numbers, **before.numbers}}
    changed = {name: pair for name, pair in numbers.items() if pair[0] != pair[1]}
    if changed and before.profile != now.profile:
        fault = f"{what} was made with profile {before.profile}, not {now.profile}"
        raise Refusal("stage_is_current", fault, f"run penumbra {stage}, or name the profile: --profile {before.profile}")
    if set(changed) == {PROGRAM}:
        raise _refusal(stage, f"{what} was made by another version of the program")
    if changed:
        name, pair = next((name, pair) for name, pair in changed.items() if name != PROGRAM)
        old, new = (json.dumps(value) for value in pair)
        shown = f"{name} = {old}, which is {new} now" if max(len(old), len(new)) <= SHOWN and "." in name and not name.endswith(".yaml") else f"another {name}"
        raise _refusal(stage, f"{what} was made with {shown}")
    if before.data != now.data:
        raise _refusal(stage, f"{what} was made from other data")


def _refusal(stage: str, fault: str) -> Refusal:
    return Refusal("stage_is_current", fault, f"run penumbra {stage}, or penumbra run for all stages")


def of_center(work: Work, center: str, files: str) -> Origin:
    """What ingest makes the rows of one center from; files: digest of the center's folder, which a later stage leaves alone."""
    settings, rules = work.settings, cohort.roi_rules(work.settings.rois)
    numbers = {name: value for name, value in asdict(settings.cohort).items() if name != "train_centers"}
    chosen = {name: value for name, value in asdict(settings.ingest).items() if name not in NOT_DECIDING}
    codes, declared = image_versions(), {name: column.reads for name, column in settings.clinical_columns.items()}
    return origin(
        work,
        {"files": files},
        {
            **flat("cohort", numbers),
            **flat("ingest", chosen),
            "rois.margins_mm": list(rules.margins_mm),
            "list of names for the GTV": store.version_key({older_names.GTV_NAMES.get(name, name): value for name, value in asdict(rules.of(center)).items()}),
            **({"features/clinical.yaml": store.version_key(declared)} if declared else {}),
            PROGRAM: [READER, codes["reader"], codes["grid"]],
        },
    )


def state_of(lake: store.Store) -> tuple[Any, ...]:
    """What a store shows: where two are equal, so is every answer."""
    return lake.lake.folder, lake.lake.catalog, lake.as_of, lake.sql("FROM ducklake_current_snapshot('lake')").column(0)[0].as_py()


def clinical_versions(lake: store.Store, center: str) -> dict[str, str]:
    """Patient of a center -> key of the clinical record that the store shows, and of the image; and of the values of a department's own columns.

    Read once until something is written: every stage asks.
    """
    global _last
    state = state_of(lake)
    if _last[0] != state:
        _last = state, {}
    if center not in _last[1]:
        _last[1][center] = _clinical_versions(lake, center)
    return _last[1][center]


def _clinical_versions(lake: store.Store, center: str) -> dict[str, str]:
    rows = lake.sql("SELECT patient, clinical_version, image_version FROM patients JOIN images USING (patient, center) WHERE center = ?", [center])
    by_patient: dict[str, dict[str, Any]] = {}
    for row in lake.sql("SELECT patient, name, number, level FROM clinical_long WHERE center = ? ORDER BY ALL", [center]).to_pylist():
        by_patient.setdefault(row["patient"], {})[row["name"]] = [row["number"], row["level"]]
    keys = {patient: f" {store.version_key(values)}" for patient, values in by_patient.items()}
    return {row["patient"]: f"{row['clinical_version']} {row['image_version']}{keys.get(row['patient'], '')}" for row in rows.to_pylist()}


def accepted_images(work: Work, lake: store.Store | None = None) -> Images:
    """The accepted scans of the centers that arrived, in the order of their patients.

    Parameters
    ----------
    lake
        The store, where it is open already.

    Raises
    ------
    Refusal
        "stage_is_current" when the numbers of ingest changed since, or when the store shows other rows of these patients than ingest left there (an
        ingest that was interrupted); "a_patient_is_accepted" when there is none.
    """
    ingested = manifests.read(work.home, IngestManifest)
    recorded = {center: facts for center, facts in ingested.centers.items() if facts.made_from is not None}
    for center, facts in recorded.items():
        assert facts.made_from is not None
        require("ingest", f"ingest of {center}", facts.made_from, of_center(work, center, facts.made_from.data["files"]))
    if recorded:
        with nullcontext(lake) if lake else store.connect(work.home, read_only=True) as lake:
            for center, facts in recorded.items():
                shown = clinical_versions(lake, center)
                if any(shown.get(patient) != version for patient, version in (facts.stored or {}).items()):
                    raise _refusal("ingest", f"ingest of {center} was made from other data")
    accepted = {patient: {"center": center, "image_version": version} for patient, (center, version) in ingested.scans.items()}
    if not accepted:
        refused = [f"{center}: {facts.refused}" for center, facts in ingested.centers.items() if facts.refused]
        reasons = f": {'; '.join(refused)}" if refused else ""
        raise Refusal("a_patient_is_accepted", f"no patient was accepted at ingest{reasons}", 'see penumbra sql "SELECT * FROM rejections"')
    return dict(sorted(accepted.items()))


def of_populate(work: Work, images: Images) -> Origin:
    """What populate makes its features from."""
    settings = work.settings
    definition = radiomics_definition(settings.radiomics, settings.rois, settings.ingest.grid_mm, settings.populate.engine)
    return origin(
        work,
        {"images": store.version_key(images)},
        {
            "features/radiomics.yaml": store.version_key(definition["radiomics"]),
            "rois.margins_mm": definition["margins_mm"],
            "ingest.grid_mm": definition["grid_mm"],
            "populate.engine": settings.populate.engine,
            PROGRAM: definition["engine"],
        },
    )


def of_train(work: Work, images: Images, records: Mapping[str, Mapping[str, Any]]) -> Origin:
    """What train makes its networks and features from.

    Parameters
    ----------
    records
        Patient -> row of the relation `patients`, at least of the training centers.
    """
    settings = work.settings
    fitted = [patient for patient in images if images[patient]["center"] in settings.cohort.train_centers]
    outcomes = [[patient, float(records[patient]["time"]), bool(records[patient]["event"])] for patient in fitted if patient in records]
    groups = ("network", "augment", "train", "pretrain", "ensemble", "ablation")
    return origin(
        work,
        {"images": store.version_key(images), "outcomes": store.version_key({"outcomes": outcomes})},
        {
            "cohort.train_centers": train_centers(work, images),
            "ingest.grid_mm": settings.ingest.grid_mm,
            **{name: value for group in groups for name, value in flat(group, getattr(settings, group)).items()},
            **{name: installed(name) for name in ("jax", "flax", "optax")},
            PROGRAM: image_versions()["network_input"],
        },
    )


def train_centers(work: Work, images: Images) -> list[str]:
    """The training centers that have patients here."""
    return sorted({image["center"] for image in images.values()} & set(work.settings.cohort.train_centers))
