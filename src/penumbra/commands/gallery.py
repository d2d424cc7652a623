"""`penumbra gallery`: a page per center that shows every mask, suspicious ones first."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra import cohort, imaging, store
from penumbra.base.blocks import rois_of
from penumbra.base.faults import fault
from penumbra.base.progress import track
from penumbra.base.refusal import Refusal, capitalized, choose
from penumbra.base.whole_files import whole_file, write_whole
from penumbra.base.workers import available_cores, over
from penumbra.pipeline.certificates import Figure, certificate_of, figures_of, findings_of
from penumbra.pipeline.workspace import Work
from penumbra.report import site
from penumbra.report.slices import contour_styles, roi_words
from penumbra.report.templates import rendered

if TYPE_CHECKING:
    from PIL import Image

PIXELS = 256  # edge of each of the three pictures
FOLDER = "gallery"
PICTURES = "pictures"  # below the folder of a center
_GRAYS = 250  # of the 256 colors of a picture; the rest are outlines and the scale


@dataclass(frozen=True)
class Card:
    """One patient of the page.

    Parameters
    ----------
    picture
        Path relative to the page; None for a patient who was rejected.
    status
        "accepted", "flagged" or "rejected".
    findings
        (rule, found, advice) of the certificate or of the rejection.
    """

    patient: str
    status: str
    picture: str | None
    findings: tuple[tuple[str, str, str], ...]
    figures: tuple[Figure, ...]
    suspicion: tuple[float, ...]


def gallery(work: Work, only: str | None = None) -> list[Path]:
    """Write gallery/<center>/index.html for every center in the store, or `only` one; returns the pages.

    A picture is drawn once for each image version; it is stored next to its page, which loads it when it is scrolled to.

    Raises
    ------
    Refusal
        `center_in_store: no patient of a center 'west'. ...`.
    """
    with store.connect(work.home, read_only=True) as lake:
        images, rois, rejections = lake.rows("images"), lake.rows("rois"), lake.rows("rejections")
    centers = sorted({row["center"] for row in (*images, *rejections)} if only is None else {only})
    pages, outlined = [], rois_of(cohort.roi_rules(work.settings.rois).margins_mm)
    for center in centers:
        shown = [row for row in images if row["center"] == center]
        refused = [row for row in rejections if row["center"] == center and row["stage"] == "ingest"]
        if not shown and not refused:
            names = sorted({row["center"] for row in (*images, *rejections)})
            raise Refusal("center_in_store", f"no patient of a center {center!r}", f"{choose(center, names, what='in the store')}; ingest another first")
        folder = work.home / FOLDER / center
        _draw(work, folder, shown)
        cards = [
            *_rejected(refused),
            *(_accepted(work, row, [roi for roi in rois if (roi["patient"], roi["center"]) == (row["patient"], row["center"])]) for row in shown),
        ]
        pages.append(_write_page(folder, center, sorted(cards, key=lambda card: (*card.suspicion, card.patient)), outlined))
    site.link(work.home)
    return pages


def _draw(work: Work, folder: Path, images: Sequence[Mapping[str, Any]]) -> None:
    """The pictures that are not there yet, in parallel; those of replaced versions go."""
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    rows = {_name(work, row): row for row in images}
    for path in pictures.iterdir():
        if path.name not in rows:
            path.unlink()
    lacking = [(str(pictures / name), dict(row)) for name, row in rows.items() if not (pictures / name).is_file()]
    report = work.settings.report
    margins = cohort.roi_rules(work.settings.rois).margins_mm
    draw = partial(draw_patient, images=work.home / "images", margins=margins, margin_mm=report.slice_margin_mm, window_hu=report.window_hu)
    with track(f"gallery {folder.name}", len(lacking)) as advance:
        for _, outcome in over(draw, lacking, available_cores()):
            if isinstance(outcome, Refusal):
                raise outcome
            advance()


def draw_patient(job: tuple[str, Mapping[str, Any]], *, images: Path, margins: tuple[float, ...], margin_mm: float, window_hu: tuple[float, float]) -> None:
    """Write one patient's picture, three planes side by side with outlines of GTV and rings and a scale of 20 mm; runs in a worker process.

    Parameters
    ----------
    job
        Path of the picture, and the patient's row of `images`.
    """
    path, row = job
    scan = cohort.load_patient(images, row)
    planes = imaging.three_planes(scan, imaging.rings(scan.gtv, margins), margin_mm=margin_mm, pixels=PIXELS)
    with whole_file(Path(path)) as fresh:
        painted(planes, window_hu).save(fresh, format="PNG", optimize=True)


def painted(planes: imaging.Planes, window_hu: tuple[float, float], *, only: slice = slice(None)) -> "Image.Image":
    """Planes side by side in a window, with their outlines and a scale of 20 mm.

    Parameters
    ----------
    only
        Which of the three planes.
    """
    from PIL import Image

    center, width = window_hu
    shade = np.clip((planes.hu - center + width / 2) / width, 0, 1)
    colors = np.rint(shade * (_GRAYS - 1)).astype(np.uint8)
    palette = [level for gray in range(_GRAYS) for level in (round(gray * 255 / (_GRAYS - 1)),) * 3]
    for index, (roi, (color, _)) in enumerate(contour_styles(planes.outlines).items()):
        palette += [int(color[at : at + 2], 16) for at in (1, 3, 5)]
        colors[planes.outlines[roi]] = _GRAYS + index
    bar = min(colors.shape[2] - 16, round(20 / planes.pixel_mm))
    colors[0, -10:-7, 8 : 8 + bar] = _GRAYS - 1
    colors[1:, :, :2] = 0  # a line between the pictures
    picture = Image.fromarray(np.concatenate(list(colors[only]), axis=1), mode="P")
    picture.putpalette(palette)
    return picture


def _name(work: Work, row: Mapping[str, Any]) -> str:
    """A picture's file name changes with what it shows."""
    report = work.settings.report
    drawn = store.version_key({"margin_mm": report.slice_margin_mm, "window_hu": list(report.window_hu), "rois": dict(work.settings.rois), "pixels": PIXELS})
    return f"{row['patient']}-{row['image_version']}-{drawn}.png"


def _accepted(work: Work, row: Mapping[str, Any], rois: Sequence[Mapping[str, Any]]) -> Card:
    certificate = certificate_of(row)
    findings = tuple((finding.rule, finding.found, finding.advice) for finding in findings_of(row))
    drawn, lost = certificate["planimetric_mm3"], [roi["lost_mm3"] / max(roi["lost_mm3"] + roi["volume_mm3"], 1e-9) for roi in rois]
    apart = abs(certificate["grid_mm3"] - drawn) / drawn if drawn else 0.0
    suspicion = (1.0, -len(findings), -apart, -max(lost, default=0.0))
    return Card(row["patient"], row["status"], f"{PICTURES}/{_name(work, row)}", findings, figures_of(row, rois), suspicion)


def _rejected(rejections: Sequence[Mapping[str, Any]]) -> Iterator[Card]:
    """One card for each rejected patient, before all others."""
    for patient in sorted({row["patient"] or "(the whole table)" for row in rejections}):
        rows = [row for row in rejections if (row["patient"] or "(the whole table)") == patient]
        yield Card(patient, "rejected", None, tuple((row["rule"], row["found"], row["advice"]) for row in rows), (), (0.0,))


def _write_page(folder: Path, center: str, cards: Sequence[Card], rois: Sequence[str]) -> Path:
    counts = Counter(card.status for card in cards)
    legend = [(roi_words(roi), color) for roi, (color, _) in reversed(contour_styles(rois).items())]
    path = folder / "index.html"
    page = rendered("gallery.html", {"fault": fault, "capitalize_first": capitalized}, center=center, cards=cards, counts=counts, legend=legend, pixels=PIXELS)
    write_whole(path, page)
    return path
