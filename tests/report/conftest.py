"""A report's inputs, made by hand and small."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penumbra.evaluate import MetricRow
from penumbra.report import (
    CenterColumn,
    CenterFlow,
    KeptFeature,
    ModelCard,
    ModelRow,
    NextCommand,
    PaperValue,
    ReportInputs,
    SlicePicture,
    SurvivalPanel,
)

NAN = float("nan")
COLUMNS = (CenterColumn("north", "north (training)", "train"), CenterColumn("east", "east"), CenterColumn("external", "all external", "test"))
MODELS = (
    ModelRow("volume_only", "Volume only", "control", 1),
    ModelRow("rad_9mm", "Rad 9 mm", "radiomics", 0),
    ModelRow("combined", "Combined", "combined", 3),
)


def metric(model: str, center: str, name: str, value: float, lower: float = NAN, upper: float = NAN) -> MetricRow:
    return MetricRow(model, center, "train" if center == "north" else "test", name, value, lower, upper, 40, 25)


METRICS = (
    metric("combined", "north", "harrell_c", 0.712, 0.61, 0.81),
    metric("combined", "east", "harrell_c", 0.664, 0.52, 0.80),
    metric("combined", "external", "harrell_c", 0.651, 0.53, 0.77),
    metric("volume_only", "north", "harrell_c", 0.601, 0.50, 0.70),
    MetricRow("volume_only", "east", "test", "harrell_c", NAN, NAN, NAN, 40, 0, reason="no event among 40 patients"),
    metric("combined", "east", "auc_1y", 0.70, 0.55, 0.85),
    metric("combined", "external", "hazard_ratio", 2.10, 1.20, 3.70),
    metric("combined", "external", "log_rank_p", 0.0004),
)


def panel(title: str, n: int, seed: int) -> SurvivalPanel:
    generator = np.random.default_rng(seed)
    high = np.arange(n) % 2 == 0
    death, censoring = generator.exponential(np.where(high, 400.0, 1200.0)), generator.uniform(200.0, 2500.0, n)
    return SurvivalPanel(title, death <= censoring, np.minimum(death, censoring), high)


def picture(patient: str) -> SlicePicture:
    y, x = np.mgrid[:60, :60]
    distance = np.hypot(y - 30, x - 28)
    gtv = distance < 10
    rings = {f"ring_{margin}mm": (distance >= 10) & (distance < 10 + margin) for margin in (3, 6, 9)}
    return SlicePicture(patient, "east", np.where(gtv, 30.0, -800.0), gtv, rings, (1.0, 1.0), -0.42, "low")


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ReportInputs]:
    inputs = ReportInputs(
        title="Survival <from> CT",
        date="24 November 2026",
        combined="combined",
        flow=(
            CenterFlow("north", True, 43, (("no GTV contoured", 1), ("survival missing", 2)), 40, 25, (("mask touches the border", 4),)),
            CenterFlow("east", False, 40, (), 40, 1),
        ),
        models=MODELS,
        columns=COLUMNS,
        metrics=METRICS,
        paper=(
            PaperValue("combined", "harrell_c", "train", 0.77),
            PaperValue("combined", "harrell_c", "test", 0.73),
            PaperValue("combined", "hazard_ratio", "test", 4.48, 2.54, 7.91),
            PaperValue("rad_9mm", "harrell_c", "test", 0.59),
        ),
        survival=(panel("north (training)", 40, 1), panel("east", 40, 2)),
        features=(KeptFeature("combined", "gtv.original_shape_MeshVolume", 0.31), KeptFeature("combined", "deep.deep_007", -0.12)),
        slices=(picture("e001"), picture("e002")),
        card=ModelCard("nsclc-os", 2, ("champion",), "0123456789ab" * 5 + "cdef", ("north",), "2026-11-24", 12, "ab" * 32, "", (("network.filters", "8"),)),
        next_commands=(NextCommand('penumbra sql "SELECT 1 < 2"', "a query"),),
        window_hu=(-600.0, 1500.0),
    )

    def make(**changes: Any) -> ReportInputs:
        return replace(inputs, **changes)

    return make
