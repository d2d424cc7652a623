"""Which values the numbers of params.yaml and models/se_resnet.yaml can have. A number that has no range here fails a test.

Each range is what the arithmetic behind it can use, or where it is wider than any use, a bound that catches another unit: 95 for a share of 0.95.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.base.yaml_files import ParamsError, shown, wrong

FARAWAY = 1e6


@dataclass(frozen=True)
class Range:
    """least, most: limits, themselves allowed unless `above` or `below` says that they are not. rising: the values of a list rise."""

    least: float
    most: float
    above: bool = False
    below: bool = False
    rising: bool = False

    def holds(self, value: float) -> bool:
        low = value > self.least if self.above else value >= self.least
        return low and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.least:.15g}"
        return f"{low} and {'below' if self.below else 'at most'} {self.most:.15g}"


SHARE = Range(0, 1)
PART = Range(0, 1, above=True)  # a share that is not nothing
INNER = Range(0, 1, above=True, below=True)
SEED = Range(0, 2**31 - 1)
COUNT = Range(1, FARAWAY)
NONE_OR_MORE = Range(0, FARAWAY)
POSITIVE = Range(0, FARAWAY, above=True)
SECONDS = Range(0, 7 * 86400, above=True)
HU = Range(-32768, 32767)
HU_STEP = Range(0, 65535)
FACTOR = Range(0, 100, above=True, rising=True)

RANGES: Mapping[str, Range] = {
    "cohort.inclusion.minimum_age": Range(0, 120),
    "simulate.seed": SEED,
    "ingest.grid_mm": Range(0.1, 10),
    "ingest.batch": COUNT,
    "ingest.age_tolerance_years": Range(0, 120),
    "ingest.certificate.planimetric_flag": SHARE,
    "ingest.certificate.planimetric_refuse": SHARE,
    "ingest.certificate.planimetric_floor_mm3": NONE_OR_MORE,
    "ingest.certificate.planes_flag": SHARE,
    "ingest.certificate.planes_refuse": SHARE,
    "ingest.certificate.border_flag": NONE_OR_MORE,
    "ingest.certificate.lost_flag": SHARE,
    "ingest.certificate.share_flag": SHARE,
    "ingest.certificate.skipped_flag": NONE_OR_MORE,
    "ingest.certificate.small_flag_mm3": NONE_OR_MORE,
    "ingest.certificate.small_refuse_voxels": NONE_OR_MORE,
    "ingest.certificate.gap_flag": Range(1, 1000),
    "ingest.certificate.gap_refuse_mm": Range(0, 1000, above=True),
    "ingest.certificate.hu_low_flag": HU,
    "ingest.certificate.hu_high_flag": HU,
    "ingest.certificate.air_flag": HU,
    "ingest.certificate.scan_mean_low_flag": HU,
    "ingest.certificate.scan_mean_high_flag": HU,
    "ingest.certificate.soft_tissue_flag": SHARE,
    "ingest.certificate.scan_std_high_flag": HU_STEP,
    "ingest.certificate.slice_step_flag": HU_STEP,
    "ingest.certificate.crossing_flag": NONE_OR_MORE,
    "populate.batch": COUNT,
    "populate.memory_share": PART,
    "stability.patients": Range(3, FARAWAY),
    "stability.seed": SEED,
    "stability.noise": Range(0, 100, above=True, rising=True),
    "stability.thickness_mm": Range(0, 50, above=True, rising=True),
    "stability.shift_voxels": Range(-1, 1, above=True, below=True, rising=True),
    "stability.rotation_voxels": Range(-1, 1, above=True, below=True, rising=True),
    "stability.mask_mm": Range(-50, 50, rising=True),
    "network.input_size": Range(8, 512),
    "network.kernel": Range(1, 31),
    "network.stem_filters": Range(1, 4096),
    "network.stem_stride": Range(1, 8),
    "network.filters": Range(1, 8192),
    "network.strides": Range(1, 8),
    "network.units": Range(1, 64),
    "network.norm_momentum": Range(0, 1, below=True),
    "network.se_reduction": Range(1, 4096),
    "network.head": Range(1, 65536),
    "network.dropout": Range(0, 1, below=True),
    "network.l2": NONE_OR_MORE,
    "augment.contrast_probability": SHARE,
    "augment.contrast_range": FACTOR,
    "augment.brightness_probability": SHARE,
    "augment.brightness_range": FACTOR,
    "augment.gamma_probability": SHARE,
    "augment.gamma_range": FACTOR,
    "augment.noise_probability": SHARE,
    "augment.noise_variance_range": Range(0, 100, rising=True),
    "augment.blur_probability": SHARE,
    "augment.blur_sigma_range": Range(0, 100, rising=True),
    "augment.mirror_probability": SHARE,
    "augment.rotation_probability": SHARE,
    "augment.rotation_range": Range(-360, 360, rising=True),
    "train.learning_rate": PART,
    "train.decay_rate": PART,
    "train.decay_steps": COUNT,
    "train.batch_size": Range(2, FARAWAY),
    "train.epochs": COUNT,
    "train.patience": COUNT,
    "train.validation_fraction": INNER,
    "train.weight_decay": SHARE,
    "train.average_from": NONE_OR_MORE,
    "train.seed": SEED,
    "train.checkpoint_seconds": Range(0, 86400),
    "pretrain.epochs": NONE_OR_MORE,
    "pretrain.learning_rate": PART,
    "pretrain.batch_size": Range(2, FARAWAY),
    "pretrain.redundancy": NONE_OR_MORE,
    "ensemble.folds": Range(0, 1000),
    "ensemble.seeds": Range(1, 1000),
    "fuse.alpha": PART,
    "fuse.folds": Range(2, 1000),
    "fuse.lasso_patience": COUNT,
    "fuse.pca_variance": PART,
    "fuse.ridge": POSITIVE,
    "fuse.seed": SEED,
    "fuse.stability.min_icc": Range(0, 1),
    "crossfit.folds": Range(2, 1000),
    "crossfit.repeats": Range(1, 1000),
    "crossfit.seed": SEED,
    "applicability.low": Range(0, 50, below=True),
    "applicability.high": Range(50, 100, above=True),
    "applicability.variance": PART,
    "applicability.folds": Range(2, 1000),
    "applicability.edge": INNER,
    "applicability.outside": SHARE,
    "applicability.seed": SEED,
    "register.noise": Range(0, 0.5, above=True),
    "evaluate.bootstraps": COUNT,
    "evaluate.refits": NONE_OR_MORE,
    "evaluate.calibration_groups": Range(2, 1000),
    "evaluate.thresholds": Range(0, 1, above=True, below=True, rising=True),
    "evaluate.age_split": Range(0, 120, above=True),
    "evaluate.confidence": INNER,
    "evaluate.seed": SEED,
    "evaluate.shrinkage": INNER,
    "evaluate.sample_size_c": Range(0.5, 1, above=True, below=True, rising=True),
    "evaluate.external_events": COUNT,
    "evaluate.subgroup_events": COUNT,
    "retrain.recalibrate_from": COUNT,
    "retrain.update_alpha": PART,
    "retrain.min_events": COUNT,
    "retrain.max_rejected": SHARE,
    "retrain.max_outside": SHARE,
    "retrain.gate.noise": Range(0, 0.5, above=True),
    "retrain.gate.confidence": Range(0.5, 1, below=True),
    "retrain.gate.min_events": COUNT,
    "retrain.gate.resamples": COUNT,
    "retrain.gate.seed": SEED,
    "serve.look_s": SECONDS,
    "serve.quiet_s": Range(0, 7 * 86400),
    "serve.announce_s": SECONDS,
    "serve.max_kills": COUNT,
    "serve_sql.port": Range(1, 65535),
    "serve_sql.timeout_s": SECONDS,
    "serve_sql.memory_mb": Range(100, FARAWAY),
    "serve_sql.max_rows": Range(1, 1e9),
    "serve_sql.at_once": Range(1, 1000),
    "serve_model.port": Range(1, 65535),
    "serve_model.patients": Range(1, 10000),
    "serve_model.body_mb": Range(1, 100000),
    "serve_model.unpacked_mb": Range(1, 100000),
    "serve_model.files": Range(1, FARAWAY),
    "serve_model.at_once": Range(1, 1000),
    "serve_model.wait_s": SECONDS,
    "serve_model.memory_mb": Range(100, FARAWAY),
    "console.port": Range(1, 65535),
    "console.memory_mb": Range(100, FARAWAY),
    "console.rows": Range(1, 1000),
    "console.session_hours": Range(0.01, 168),
    "console.sign_ins": Range(1, 1000),
    "console.pages_per_minute": Range(10, 100_000),
    "console.costly": Range(1, 64),
    "console.costly_wait_s": Range(0, 600),
    "console.stale_s": Range(0, 600),
    **{f"console.windows.{name}.level": HU for name in ("lung", "mediastinum", "bone", "wide")},
    **{f"console.windows.{name}.width": Range(1, 65536) for name in ("lung", "mediastinum", "bone", "wide")},
    "monitor.hazard_ratios": Range(0.01, 100),
    "monitor.false_alarms": PART,
    "monitor.expected_deaths": Range(1, 1e5),
    "monitor.runs": Range(100, 1_000_000),
    "monitor.seed": SEED,
    "drift.bins": Range(2, 1000),
    "drift.alpha": PART,
    "drift.psi": POSITIVE,
    "audit.permutations": COUNT,
    "audit.panels": COUNT,
    "audit.networks": NONE_OR_MORE,
    "audit.draws": Range(1, 1000),
    "audit.near": INNER,
    "audit.seed": SEED,
    "explain.similar": Range(0, 1000),
    "explain.features": Range(1, 10_000),
    "explain.digits": Range(1, 12),
    "report.patients": Range(0, 10_000),
    "report.slice_margin_mm": Range(0, 1000),
    "report.window_hu": HU,
    "report.occlusion_edge": Range(1, 512),
    "report.occlusion_stride": Range(1, 512),
}
OWN_RULES = ("evaluate.horizons_days", "drift.horizon_days")  # survival.horizons.unfit_horizons says what is wrong with them
# Pairs whose first must not be larger than the second.
ORDERED = (
    ("ingest.certificate.planimetric_flag", "ingest.certificate.planimetric_refuse"),
    ("ingest.certificate.planes_flag", "ingest.certificate.planes_refuse"),
    ("ingest.certificate.hu_low_flag", "ingest.certificate.hu_high_flag"),
    ("ingest.certificate.scan_mean_low_flag", "ingest.certificate.scan_mean_high_flag"),
    ("applicability.outside", "applicability.edge"),
    ("report.occlusion_stride", "report.occlusion_edge"),
)


def numbers(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every number below `values` with its key, and every list of numbers as one."""
    if isinstance(values, Mapping):
        for name, entry in values.items():
            yield from numbers(entry, f"{key}.{name}" if key else str(name))
    elif _number(values) or (isinstance(values, list) and values and all(_number(entry) for entry in values)):
        yield key, values


def check(values: Mapping[str, Any]) -> None:
    """Refuse a number that is out of its range; what is not a number at all is left to `params.build`.

    Parameters
    ----------
    values
        The groups of params.yaml, for one profile.

    Raises
    ------
    ParamsError
        `fuse.pca_variance is 95, out of its range. Give a number above 0 and at most 1; 95 percent is 0.95`.
    """
    entries = dict(numbers(values))
    for key, value in entries.items():
        limits = RANGES.get(key)
        if limits is not None:
            _check(key, value, limits)
        elif key not in OWN_RULES and not all(math.isfinite(each) for each in (value if isinstance(value, list) else [value])):
            raise wrong(key, f"{key} is {shown(value)}, not a finite number")
    for first, second in ORDERED:
        if first in entries and second in entries and entries[first] > entries[second]:
            raise wrong(
                first,
                f"{first} is {shown(entries[first])}, more than {second.rpartition('.')[2]} with {shown(entries[second])}",
                "Change one of them",
            )


def _check(key: str, value: Any, limits: Range) -> None:
    each = value if isinstance(value, list) else [value]
    for number in each:
        if not limits.holds(number):
            unit = f"; {number:.15g} percent is {number / 100:.15g}" if limits.most == 1 and 1 < number <= 100 else ""
            advice = f"Give {'numbers' if isinstance(value, list) else 'a number'} {limits}{unit}"
            raise _out(key, value, advice)
    if isinstance(value, list) and limits.rising and sorted(value) != value:
        raise _out(key, value, "List the numbers in rising order")


def _out(key: str, value: Any, advice: str) -> ParamsError:
    return wrong(key, f"{key} is {shown(value)}, out of its range", advice)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
