"""The page of one patient's explanation, with the slice and, where the model reads deep features, the map of what its networks look at."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from penumbra import cohort, imaging
from penumbra.base.blocks import DEEP
from penumbra.base.cells import percent
from penumbra.base.whole_files import write_whole
from penumbra.fusion.contributions import Shown
from penumbra.pipeline import networks
from penumbra.pipeline.explain import Explanation, explain_each
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.report_network import effect_of
from penumbra.pipeline.workspace import Work
from penumbra.report import site
from penumbra.report.explained import PatientPage, SimilarRow, page
from penumbra.report.images import RiskMap, SlicePicture
from penumbra.report.slices import picture_of, square_around
from penumbra.survival.horizons import horizon_words

FOLDER = "patients"  # of the pages, below reports/


def write_page(work: Work, explanation: Explanation, path: Path | None = None) -> Path:
    """Write the patient's page; None: reports/patients/<center>-<patient>.html."""
    person = explanation.person
    shown = replace(page_of(work, explanation), picture=_picture(work, explanation), map=next(_map(work, explanation), None))
    written = write_whole(path or page_path(work.home, person.center, person.patient), page(shown))
    if path is None:
        site.link(work.home)
    return written


def explained(work: Work, registered: RegisterManifest, pictures: tuple[SlicePicture, ...]) -> tuple[SlicePicture, ...]:
    """Write the pages of the patients that a report shows, and return the pictures with links to them; of no version there is none."""
    if registered.version is None:
        return pictures
    which, linked = f"{registered.model}/{registered.version}", []
    patients = [(picture.patient, picture.center) for picture in pictures]
    for picture, explanation in zip(pictures, explain_each(work, patients, which), strict=True):
        path = write_page(work, explanation, page_path(work.home, picture.center, picture.patient))  # linked with the report
        linked.append(replace(picture, page=f"../{path.parent.name}/{path.name}"))
    return tuple(linked)


def page_path(home: Path, center: str, patient: str) -> Path:
    """Where the page of a patient in the store is."""
    return home / "reports" / FOLDER / f"{center}-{patient}.html"


def page_of(work: Work, explanation: Explanation) -> PatientPage:
    """The words and numbers of the page, without pictures of the scan."""
    parts = explanation.contributions
    within = explanation.applicability
    return PatientPage(
        patient=explanation.person.patient,
        center=explanation.person.center,
        version=f"{explanation.model}/{explanation.version}",
        served=explanation.served,
        word=within.word,
        reason=within.reason,
        columns=within.columns,
        log_risk=signed(parts.log_risk, parts.digits),
        interval=f"{signed(explanation.lower, parts.digits)} to {signed(explanation.upper, parts.digits)}" if math.isfinite(explanation.lower) else "",
        limits=explanation.limits,
        group=explanation.risk_group,
        cutoff=signed(explanation.cutoff, parts.digits),
        percentile=percentile_words(explanation.percentiles),
        survival=tuple(
            (horizon_words(days), explanation.unanswered.get(name) or percent(explanation.horizons[name][0]), between_words(*explanation.horizons[name][1:]))
            for name, days in explanation.horizons_days.items()
        ),
        last_horizon=max(explanation.horizons_days.values()),
        days=explanation.days,
        curve=explanation.survival,
        lower=explanation.survival_lower,
        upper=explanation.survival_upper,
        constant=parts.constant,
        blocks=tuple((line.name, line.contribution) for line in parts.blocks),
        members=tuple((line.name, signed(line.contribution, parts.digits)) for line in parts.members),
        features=tuple(
            (block, words_of(line), value_words(line), signed(line.contribution, parts.digits)) for block, lines in parts.features.items() for line in lines
        ),
        classes=tuple(
            (block, line.name, line.columns, signed(line.contribution, parts.digits))
            for block, lines in parts.classes.items()
            if len(lines) > 1
            for line in lines
        ),
        digits=parts.digits,
        similar=tuple(SimilarRow(**vars(each)) for each in explanation.similar),
        similar_reason=explanation.similar_reason,
        remarks=explanation.remarks,
        picture=None,
        map=None,
        window_hu=work.settings.report.window_hu,
    )


def _picture(work: Work, explanation: Explanation) -> SlicePicture | None:
    scan, person = explanation.person.scan, explanation.person
    if scan is None:
        return None
    return picture_of(
        scan,
        imaging.rings(scan.gtv, cohort.roi_rules(work.settings.rois).margins_mm),
        patient=person.patient,
        center=person.center,
        log_risk=explanation.log_risk,
        risk_group=explanation.risk_group,
        margin_mm=work.settings.report.slice_margin_mm,
    )


def _map(work: Work, explanation: Explanation) -> Iterator[RiskMap]:
    """Where the version's networks look, if its model reads deep features."""
    from penumbra import registry

    scan, person = explanation.person.scan, explanation.person
    if scan is None or DEEP not in {line.name for line in explanation.contributions.blocks}:
        return
    path = registry.load(work.home, f"{explanation.model}/{explanation.version}").network_path
    assert path is not None, "a version with deep features carries its network"
    numbers, gtv = work.settings.report, scan.gtv.values
    effect = effect_of(networks.load(work.home, path), scan, edge=numbers.occlusion_edge, stride=numbers.occlusion_stride)
    plane, cut = square_around(scan, numbers.slice_margin_mm)
    spacing = (scan.image.spacing[1], scan.image.spacing[2])
    yield RiskMap(person.patient, person.center, scan.image.values[plane][cut], gtv[plane][cut], effect[plane][cut], spacing)


def survival_words(survival: float, lower: float, upper: float) -> str:
    """A probability, and its limits where there are some."""
    return f"{percent(survival)} ({between_words(lower, upper)})" if math.isfinite(lower) else percent(survival)


def between_words(lower: float, upper: float) -> str:
    """The limits of a probability; "" where there are none."""
    return f"{percent(lower)} to {percent(upper)}" if math.isfinite(lower) else ""


def percentile_words(percentiles: tuple[float, float] | None) -> str:
    """Where a risk is among those of the training patients."""
    if percentiles is None:
        return "not recorded by this version"
    low, high = percentiles
    if low == 0:
        return f"below the {high:g}th percentile of their cross-fitted risks"
    return f"above the {low:g}th percentile of their cross-fitted risks" if high == 100 else f"between the {low:g}th and {high:g}th percentile"


def words_of(line: Shown) -> str:
    """The name of a feature without its block, or how many others there are."""
    return f"{line.columns} others" if line.value is None else line.name.rpartition(".")[2]


def value_words(line: Shown) -> str:
    """The value of a feature; that it is missing and filled."""
    return "" if line.value is None else "missing, filled" if line.filled else f"{line.value:.4g}"


def signed(value: float, digits: int) -> str:
    """A contribution with its sign."""
    return f"{value:+.{digits}f}"
