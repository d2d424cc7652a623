"""The page of one patient: whom the version is for, the risk with its limits, the curve, what adds up to the risk, who is alike, and the images."""

import base64
from dataclasses import dataclass

import numpy as np

from penumbra.report import ink, learning, slices
from penumbra.report.images import RiskMap, SlicePicture
from penumbra.report.ink import BLUE, INK, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.templates import rendered
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import percent
from penumbra.survival.horizons import DAYS_PER_YEAR

BEHIND = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.6}  # of a number over a line; the page swaps the color on dark screens
SHOWN = 2.0  # times the last horizon: how far the curve is drawn


@dataclass(frozen=True)
class SimilarRow:
    """A training patient who is alike, with the outcome; distance in training standard deviations."""

    patient: str
    center: str
    distance: float
    log_risk: float
    time: float
    event: bool


@dataclass(frozen=True)
class PatientPage:
    """What the page of a patient shows; texts are written as they stand there.

    Parameters
    ----------
    word, reason, columns
        Applicability of the version to the patient.
    interval
        Limits of log_risk; "" where there are none, and `limits` says why.
    survival
        (time in words, what is answered, its limits or "").
    last_horizon : days
        Of these.
    days : shape (k,), days
        Of the curve; curve, lower and upper (k,), NaN where there are no limits.
    constant, blocks
        (name, contribution), rounded: they add up to log_risk.
    features
        (block, name, value, contribution).
    classes
        (block, class of the feature, columns, contribution), of the blocks that have several classes.
    picture, map
        None where the store has no image, or the model reads no deep feature.
    """

    patient: str
    center: str
    version: str
    served: str
    word: str
    reason: str
    columns: tuple[str, ...]
    log_risk: str
    interval: str
    limits: str
    group: str
    cutoff: str
    percentile: str
    survival: tuple[tuple[str, str, str], ...]
    last_horizon: float
    days: np.ndarray
    curve: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    constant: float
    blocks: tuple[tuple[str, float], ...]
    members: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str, str, str], ...]
    classes: tuple[tuple[str, str, int, str], ...]
    digits: int
    similar: tuple[SimilarRow, ...]
    similar_reason: str
    remarks: tuple[str, ...]
    picture: SlicePicture | None
    map: RiskMap | None
    window_hu: tuple[float, float]


def page(inputs: PatientPage) -> str:
    """The page; it needs nothing but itself."""
    return rendered(
        "patient.html",
        {"embedded": _embedded},
        inputs=inputs,
        survival=survival(inputs),
        waterfall=waterfall(inputs),
        picture=None if inputs.picture is None else slices.axial_slice(inputs.picture, inputs.window_hu, "slice"),
        map=None if inputs.map is None else learning.risk_map(inputs.map, inputs.window_hu, "map"),
        contour_colors={
            "GTV" if roi == "gtv" else slices.roi_words(roi): color
            for roi, (color, _) in slices.contour_styles(inputs.picture.rings if inputs.picture is not None else ()).items()
        },
    )


def median_of(days: np.ndarray, curve: np.ndarray) -> float:
    """The first day at which a curve of survival is 0.5 or lower; NaN where it stays above, or is not known."""
    reached = np.flatnonzero(np.asarray(curve, dtype=float) <= 0.5)
    return float(days[reached[0]]) if reached.size else float("nan")


def survival(inputs: PatientPage) -> Rendered:
    """The curve of survival with its band, and where half would have died."""
    years = inputs.days / DAYS_PER_YEAR
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 2.9)
        axes = figure.subplots()
        if np.isfinite(inputs.lower).any():
            axes.fill_between(years, inputs.lower, inputs.upper, color=BLUE, alpha=0.22, linewidth=0)
        axes.plot(years, inputs.curve, color=BLUE, linewidth=1.6)
        median = median_of(inputs.days, inputs.curve)
        if np.isfinite(median):
            axes.plot([0, median / DAYS_PER_YEAR, median / DAYS_PER_YEAR], [0.5, 0.5, 0], color=MUTED, linewidth=0.8, linestyle=":")
        shown = min(inputs.last_horizon * SHOWN / DAYS_PER_YEAR, float(years[-1])) or 1.0
        axes.set(ylim=(0, 1), xlim=(0, shown), xlabel="years", ylabel="probability of being alive")
        answers = ", ".join(f"{time} {answer}" for time, answer, _ in inputs.survival)
        limits = [f" ({percent(low)} to {percent(high)})" if np.isfinite(low) else "" for low, high in zip(inputs.lower, inputs.upper, strict=True)]
        words = [f"{percent(alive)}{limit}" for alive, limit in zip(inputs.curve, limits, strict=True)]
        shown_years = years <= shown
        traces = [Trace("alive", BLUE, years[shown_years], inputs.curve[shown_years], [word for word, seen in zip(words, shown_years, strict=True) if seen])]
        alt = f"Predicted survival of patient {inputs.patient}: {answers}."
        return render(figure, "survival", alt=alt, caption="", read=[Reading(axes, traces, "year")])


def waterfall(inputs: PatientPage) -> Rendered:
    """From the mean training patient to the log risk, block by block."""
    names = ["mean training patient", *(name.replace("_", " ") for name, _ in inputs.blocks), "log risk"]
    starts = np.cumsum([inputs.constant, *(value for _, value in inputs.blocks)])
    total = float(starts[-1])
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 0.9 + 0.36 * len(names))
        axes = figure.subplots()
        axes.barh(0, inputs.constant, color=MUTED, height=0.6)
        for place, (_, value) in enumerate(inputs.blocks, 1):
            axes.barh(place, value, left=starts[place - 1], color=VERMILION if value > 0 else BLUE, height=0.6)
            axes.plot([starts[place - 1]] * 2, [place - 1.3, place + 0.3], color=MUTED, linewidth=0.7)
        axes.plot([total] * 2, [len(names) - 2.3, len(names) - 0.7], color=MUTED, linewidth=0.7)
        axes.barh(len(names) - 1, total, color=INK, height=0.6)
        values = [inputs.constant, *(value for _, value in inputs.blocks), total]
        ends = [max(0.0, inputs.constant), *(max(starts[i], starts[i + 1]) for i in range(len(inputs.blocks))), max(0.0, total)]
        reach = max(map(abs, (*starts, 0.0))) or 1.0
        for place, (end, value) in enumerate(zip(ends, values, strict=True)):
            axes.text(end + 0.03 * reach, place, f"{value:+.{inputs.digits}f}".replace("-", "−"), va="center", size=8, bbox=BEHIND)
        low, high = min(0.0, *starts), max(0.0, *starts)
        axes.set_xlim(low - 0.08 * reach, high + 0.35 * reach)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=MUTED, linewidth=0.7)
        axes.set_xlabel("log risk")
        added = [f"{name} {value:+.{inputs.digits}f}" for name, value in zip(names, values, strict=True)]
        read = [Reading(axes, [Trace("", INK, ends, range(len(names)), added)], along="y")]
        return render(figure, "contributions", alt=f"What adds up to the log risk: {', '.join(added)}.", caption="", read=read)


def _embedded(figure: Rendered) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.png).decode('ascii')}"
