"""What is known of one feature: its values by center and outcome, how it goes with volume, how stable it is, how far it drifts, and which models read it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.base.blocks import GTV, block_and_feature
from penumbra.base.refusal import Refusal, choose
from penumbra.pipeline.settings import Settings
from penumbra.survival.horizons import middle
from penumbra.survival.shift import shift

RADIOMICS = "radiomics"
SETTINGS_OF = {"log-sigma": "LoG", "wavelet": "Wavelet", "original": "Original"}  # how an image's name begins -> the settings of its kind
ORDER = "ORDER BY image <> 'original', feature"  # of the catalogue
MAX_WORDS = 10  # of a search
MAX_VERSIONS = 20  # whose files are read for one feature
FEWEST = 3  # patients of a rank correlation


@dataclass(frozen=True)
class Listed:
    """One page of the catalogue: its rows, how many there are in all, and the families and images to choose from."""

    rows: tuple[Mapping[str, Any], ...]
    total: int
    families: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """A registered version that reads the feature in one ROI; coefficient in log hazard per standard deviation in its training centers."""

    version: str
    aliases: tuple[str, ...]
    served: str
    roi: str
    coefficient: float


@dataclass(frozen=True)
class CenterDrift:
    """The feature at a center against the training centers without it; see `survival.shift`."""

    center: str
    n: int
    mean: float
    reference_mean: float
    ks: float
    p: float
    psi: float


@dataclass(frozen=True)
class FeatureFacts:
    """One feature in one ROI.

    Parameters
    ----------
    listed
        Its row of the catalogue.
    version, settings
        The definition whose values these are, and what of its settings defines the feature.
    patients, centers : shape (n,)
        Of the values (n,), NaN where there is none.
    volume_mm3 : shape (n,)
        Of the GTV.
    day, outcome : shape (n,)
        Of training patients: "died" by the day, "alive" then, or ""; others are never asked, so that nobody chooses a feature by them.
    rank_correlation
        Spearman's, with the volume of the GTV; NaN for few patients.
    stability
        Rows of feature_stability.
    """

    listed: Mapping[str, Any]
    roi: str
    rois: tuple[str, ...]
    version: str
    settings: tuple[tuple[str, str], ...]
    patients: tuple[str, ...]
    centers: tuple[str, ...]
    values: np.ndarray
    volume_mm3: np.ndarray
    day: float
    outcome: tuple[str, ...]
    rank_correlation: float
    stability: tuple[Mapping[str, Any], ...]
    drift: tuple[CenterDrift, ...]


def listed(lake: store.Store, words: str = "", family: str = "", image: str = "", *, page: int = 1, size: int = 50) -> Listed:
    """The features of the catalogue in whose name, family, image, IBSI id or meaning every word is, one page of them."""
    criteria = asked_for(words, family, image)
    where, values = " AND ".join(condition for condition, _ in criteria) or "TRUE", [value for _, value in criteria]
    total = lake.sql(f"SELECT count(*) AS n FROM catalogue WHERE {where}", values).to_pylist()[0]["n"]  # noqa: S608 columns of the program
    rows = lake.sql(f"SELECT * FROM catalogue WHERE {where} {ORDER} LIMIT ? OFFSET ?", [*values, size, (page - 1) * size]).to_pylist()  # noqa: S608
    families, images = ([row["of"] for row in lake.sql(f"SELECT DISTINCT {column} AS of FROM catalogue").to_pylist()] for column in ("family", "image"))  # noqa: S608
    return Listed(tuple(rows), total, tuple(sorted(families)), tuple(sorted(images, key=lambda name: (name != "original", name))))


def asked_for(words: str, family: str, image: str) -> list[tuple[str, str]]:
    """(condition with one ?, its value) of a search of the catalogue; at most MAX_WORDS words."""
    conditions = [("contains(lower(concat_ws(' ', feature, family, image, name, ibsi, meaning)), lower(?))", word) for word in words.split()[:MAX_WORDS]]
    return conditions + [(f"{column} = ?", value) for column, value in (("family", family), ("image", image)) if value]


def facts(lake: store.Store, settings: Settings, feature: str, roi: str = GTV) -> FeatureFacts:
    """Everything of one feature in one ROI, but for the models.

    Raises
    ------
    Refusal
        "feature": the catalogue has none of that name; "roi_stored": no values of it in the ROI.
    """
    row = next(iter(lake.sql("SELECT * FROM catalogue WHERE feature = ?", [feature]).to_pylist()), None)
    if row is None:
        names = [each["feature"] for each in lake.sql("SELECT feature FROM catalogue").to_pylist()]
        raise Refusal("feature", f"the catalogue has no feature {feature[:80]!r}", choose(feature, names, more="the search on the page of features"))
    columns = {each["column_name"] for each in lake.sql("DESCRIBE radiomics").to_pylist()}
    rois = tuple(each["roi"] for each in lake.sql("SELECT DISTINCT roi FROM radiomics ORDER BY roi").to_pylist()) if feature in columns else ()
    if roi not in rois:
        raise Refusal("roi_stored", f"no patient has {feature} of {roi[:40]!r}", f"its regions are {', '.join(rois)}" if rois else "run penumbra populate")
    values = lake.sql(f'SELECT patient, center, version, "{feature}" AS value FROM radiomics WHERE roi = ? ORDER BY center, patient', [roi]).to_pylist()  # noqa: S608 a name of the catalogue
    volumes = {each["patient"]: each["volume_mm3"] for each in lake.sql("SELECT patient, volume_mm3 FROM rois WHERE roi = ?", [GTV]).to_pylist()}
    day, outcome = _outcomes(lake, settings)
    version = values[0]["version"]
    measured = np.array([math.nan if each["value"] is None else float(each["value"]) for each in values])
    volume = np.array([float(volumes.get(each["patient"]) or math.nan) for each in values])
    centers = tuple(each["center"] for each in values)
    stability = lake.sql(
        "SELECT perturbation, icc, lower, upper, patients, levels, reason FROM feature_stability WHERE version = ? AND roi = ? AND feature = ? ORDER BY icc",
        [version, roi, feature],
    ).to_pylist()
    defined = lake.sql("SELECT params FROM feature_versions WHERE version = ?", [version]).to_pylist()
    return FeatureFacts(
        row,
        roi,
        rois,
        version,
        defining_settings(json.loads(defined[0]["params"]) if defined else {}, row["image"]),
        tuple(each["patient"] for each in values),
        centers,
        measured,
        volume,
        day,
        tuple(outcome.get(each["patient"], "") for each in values),
        rank_correlation(measured, volume),
        tuple(stability),
        tuple(_drift(measured, np.array(centers), settings)),
    )


def uses_of(home: Path, feature: str) -> tuple[list[Use], int]:
    """The registered versions whose served model reads the feature, newest first, and how many versions were not asked.

    The champion and the newest are asked, MAX_VERSIONS in all: each is read from its files.
    """
    every = sorted(registry.versions(home), key=lambda each: (registry.CHAMPION not in each.aliases, -each.version))
    uses = []
    for entry in sorted(every[:MAX_VERSIONS], key=lambda each: -each.version):
        label = f"{entry.model}/{entry.version}"
        try:
            loaded = registry.load(home, label)
        except Refusal:  # its files are gone, or of another program: penumbra verify tells
            continue
        for column in loaded.model.inputs:
            roi, name = block_and_feature(column.name)
            if name == feature:
                uses.append(Use(label, tuple(entry.aliases), loaded.model.label, roi, float(column.coefficient)))
    return uses, len(every[MAX_VERSIONS:])


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, over patients who have both; NaN for few of them, or where one does not vary."""
    from scipy.stats import rankdata

    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < FEWEST or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(one[both]), rankdata(other[both]))[0, 1])


def _outcomes(lake: store.Store, settings: Settings) -> tuple[float, dict[str, str]]:
    """The middle horizon, and of each training patient whether that day was reached."""
    day = middle(settings.evaluate.horizons_days)[0]
    training: Sequence[str] = settings.cohort.train_centers
    rows = lake.sql("SELECT patient, center, time, event FROM patients WHERE time IS NOT NULL AND event IS NOT NULL").to_pylist()
    reached = {}
    for row in rows:
        if row["center"] in training:
            reached[row["patient"]] = "died" if row["event"] and row["time"] <= day else "alive" if row["time"] >= day else ""
    return day, reached


def defining_settings(params: Mapping[str, Any], image: str) -> tuple[tuple[str, str], ...]:
    """The settings of a definition that the features of an image depend on."""
    radiomics = params.get("radiomics", {})
    kind = next((words for begins, words in SETTINGS_OF.items() if image.startswith(begins)), "")
    of_image = radiomics.get("imageType", {}).get(kind, {})
    pairs = {**radiomics.get("setting", {}), **{f"{kind} {name}": value for name, value in of_image.items()}}
    pairs |= {"grid, mm": params["grid_mm"]} if "grid_mm" in params else {}
    engine = params.get("engine", {})
    pairs |= {"engine": f"{engine.get('engine', '')} {engine.get('engine_version', '')}".strip()} if isinstance(engine, Mapping) else {"engine": engine}
    return tuple((name, value if isinstance(value, str) else json.dumps(value)) for name, value in pairs.items())


def _drift(values: np.ndarray, centers: np.ndarray, settings: Settings) -> list[CenterDrift]:
    rows = []
    for center in dict.fromkeys(centers.tolist()):
        reference = np.isin(centers, [name for name in settings.cohort.train_centers if name != center])
        here = centers == center
        if not reference.any():
            continue
        far = shift(values[reference][:, None], values[here][:, None], bins=settings.drift.bins)
        numbers = (far.sample_mean, far.reference_mean, far.ks, far.p, far.psi)
        rows.append(CenterDrift(center, int(far.sample_n[0]), *(float(each[0]) for each in numbers)))
    return rows
