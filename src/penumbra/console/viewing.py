"""What the CT viewer shows and fetches.

That is the image as it is stored, the levels of GTV and rings, the drawn contours, where the network looks, and planes as PNG for the first moment and
for browsers without script.
"""

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from starlette.responses import Response

from penumbra import cohort, registry
from penumbra.base.blocks import DEEP, GTV, ring_margin, rois_of
from penumbra.base.refusal import Refusal
from penumbra.console import scans
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.imaging.anatomy import View, oblique_degrees, plane_of, views
from penumbra.imaging.saved import DRAWN_FILE, IMAGE_FILE, MASK_FILE
from penumbra.pipeline.report_network import effect_in_box
from penumbra.registry.bundle import network_path
from penumbra.report.planes import plane_png
from penumbra.report.slices import contour_styles, roi_words

STEPS = (-10, -1, 1, 10)  # planes that a link steps, without script
LIMITS = ((-4000.0, 8000.0), (1.0, 20000.0))  # of a window's level and width, HU
LEVELS, DRAWN = "rois.bin", "drawn.json"
FILES = {IMAGE_FILE: "application/gzip", MASK_FILE: "application/gzip", LEVELS: "application/octet-stream", DRAWN: "application/json"}
AXES = {"axial": "z", "coronal": "y", "sagittal": "x"}  # the patient coordinate that a view steps along


@dataclass(frozen=True)
class Picture:
    """One plane as a PNG. steps: (planes, address of the page there)."""

    view: View
    index: int
    planes: int
    size_mm: tuple[float, float]
    address: str
    steps: tuple[tuple[int, str], ...]
    position: str


@dataclass(frozen=True)
class Preset:
    """A window; address: of this page with it."""

    name: str
    level: float
    width: float
    address: str
    chosen: bool


@dataclass(frozen=True)
class Viewing:
    """What `viewer.html` shows.

    Parameters
    ----------
    missing
        Why there is nothing to look at; "" where there is, and all that follows is given.
    facts
        For the script.
    hidden
        Names of what is not drawn.
    oblique
        Degrees by which the scan is turned against the patient's axes; 0: parallel.
    not_drawn, no_map
        Why there are no drawn contours, or no map; "" where there are.
    versions
        (image version, when it was read, address of this page with it), where there are several.
    files
        Name -> address.
    """

    missing: str = ""
    version: str = ""
    shown: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    presets: tuple[Preset, ...] = ()
    window: tuple[float, float] = (0.0, 1.0)
    hidden: tuple[str, ...] = ()
    oblique: float = 0.0
    not_drawn: str = ""
    no_map: str = ""
    versions: tuple[tuple[str, datetime, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def of(visit: Visit, patient: str) -> Viewing:
    """The viewer of a patient's page; reads `at`, `window`, `hide`, `image` and `version` of its address.

    Raises
    ------
    Refusal
        "question" for an address that nobody's viewer wrote, "patient" for an image version that is not there.
    """
    try:
        place = scans.place_of(visit, patient)
    except Refusal as refusal:
        if refusal.rule != "patient":
            raise
        return Viewing(missing="The store shows no scan of this patient.")
    version = visit.value("image") or place.shown
    if version == place.shown and version not in place.versions:
        return Viewing(missing="The scan's files are not in this state folder: only its features are here.")
    folder = scans.folder_of(visit, place, version)
    known = scans.geometry(visit, folder)
    three, at = views(known.direction), _position(visit.value("at"), known)
    window, presets = _windows(visit)
    margins = sorted(cohort.roi_rules(visit.console.settings.rois).margins_mm)
    files = {name: visit.url("image_file", patient=patient, image_version=version, file=name, **_center(visit)) for name in FILES}
    not_drawn, no_map = scans.why_not_drawn(place, version), _no_map(visit)
    return Viewing(
        version=version,
        shown=place.shown,
        facts={
            "size": known.size,
            "spacing": known.spacing,
            "origin": known.origin,
            "direction": known.direction.tolist(),
            "views": [vars(view) for view in three],
            "rois": [
                {"name": roi, "words": _words(roi), "color": color, "width": width, "level": 1 if roi == GTV else 2 + margins.index(ring_margin(roi))}
                for roi, (color, width) in contour_styles(rois_of(margins)).items()
            ],
            "windows": [{"name": preset.name, "level": preset.level, "width": preset.width} for preset in presets],
            "window": window,
            "at": at,
            "tumor": known.tumor,
            "image": files[IMAGE_FILE],
            "levels": files[LEVELS],
            "drawn": "" if not_drawn else files[DRAWN],
            "map": "" if no_map else visit.url("viewer_map", patient=patient, image_version=version, version=visit.value("version") or None, **_center(visit)),
        },
        pictures=tuple(_picture(visit, patient, version, view, known, at) for view in three),
        presets=presets,
        window=window,
        hidden=tuple(name for name in visit.value("hide").split(",") if name),
        oblique=oblique_degrees(known.direction),
        not_drawn=not_drawn,
        no_map=no_map,
        versions=tuple((name, since, visit.here(image=None if name == place.shown else name)) for name, since in place.versions.items()),
        files=files,
    )


def image_file(visit: Visit) -> Response:
    """One of FILES. The image and the mask are sent as they are stored."""
    place = scans.place_of(visit, visit.path("patient"))
    folder, name = scans.folder_of(visit, place, visit.path("image_version")), visit.path("file")
    if name in (IMAGE_FILE, MASK_FILE):
        return Response((folder / name).read_bytes(), media_type=FILES[name])
    if name == LEVELS:
        first, level = scans.loaded(visit, folder).levels
        return _packed(visit, _boxed(first, level.shape) + level.tobytes(), FILES[name])
    if name == DRAWN and (folder / DRAWN_FILE).is_file():
        return _packed(visit, gzip.decompress((folder / DRAWN_FILE).read_bytes()), FILES[name])
    raise Refusal("page", "this scan has no such file", "the patient's page links those that there are")


def plane(visit: Visit) -> Response:
    """One plane as PNG, with the outlines of GTV and rings."""
    place = scans.place_of(visit, visit.path("patient"))
    folder = scans.folder_of(visit, place, visit.path("image_version"))
    known = scans.geometry(visit, folder)
    view = next((view for view in views(known.direction) if view.name == visit.path("view")), None)
    index = visit.path("index")
    if view is None or not (index.isascii() and index.isdigit() and len(index) < 6 and int(index) < known.size[view.through]):
        raise Refusal("page", "this scan has no such plane", "the patient's page links those that there are")
    window, _ = _windows(visit)
    held = scans.loaded(visit, folder)
    return Response(plane_png(plane_of(held.hu, view, int(index)), held.inside(view, int(index)), window), media_type="image/png")


def network_map(visit: Visit) -> Response:
    """Where the network of a version looks: status 202 while it is computed; then the box of the GTV, the largest effect, and bytes of -127 to 127."""
    place = scans.place_of(visit, visit.path("patient"))
    folder = scans.folder_of(visit, place, visit.path("image_version"))
    try:
        entry = registry.find(visit.home, visit.value("version") or registry.CHAMPION)
        weights = network_path(entry.folder)
        if weights is None:
            raise Refusal("page", f"{entry.model}/{entry.version} has no network", "choose a version that has one")
        numbers, first = visit.console.settings.report, scans.geometry(visit, folder).box
        key = ("map", str(folder), entry.digest)
        future = visit.console.background.ask(key, effect_in_box, visit.home, weights, folder, numbers.occlusion_edge, numbers.occlusion_stride)
        if not future.done():
            return Response(json.dumps({"state": "computing"}), 202, media_type="application/json")
        if isinstance(fault := future.exception(), Exception) and not isinstance(fault, Refusal):
            raise Refusal("console_failed", f"the map could not be computed ({type(fault).__name__})", "run penumbra doctor, and try again")
        effect: np.ndarray = future.result()
    except Refusal as refusal:  # the script shows the words
        status = 503 if refusal.rule == "console_busy" else 404
        return Response(json.dumps({"state": "failed", "found": refusal.found, "advice": refusal.advice}), status, media_type="application/json")
    largest = float(np.abs(effect).max()) or 1.0
    scaled = np.rint(effect / largest * 127).astype(np.int8)
    answer = _packed(visit, _boxed(first, effect.shape) + np.float32(largest).tobytes() + scaled.tobytes(), "application/octet-stream")
    loaded = visit.console.kept.get(("reads deep", entry.digest), lambda: _reads_network(registry.load(visit.home, f"{entry.model}/{entry.version}")))
    answer.headers["X-Read-By"] = loaded
    return answer


def _reads_network(loaded: registry.LoadedModel) -> str:
    """The served model where it reads the network's features; else that it does not."""
    reads = any(name.startswith(f"{DEEP}.") for name in loaded.model.columns)
    return f"{loaded.served} reads the network" if reads else f"the served model, {loaded.served}, does not read the network"


def _no_map(visit: Visit) -> str:
    try:
        entry = registry.find(visit.home, visit.value("version") or registry.CHAMPION)
    except Refusal as refusal:
        return refusal.found
    return "" if network_path(entry.folder) is not None else f"{entry.model}/{entry.version} has no network"


def _tag(visit: Visit) -> str:
    """Of the files of a scan: they change only with the image version, and are asked for again with every look, so that a withdrawn patient is gone."""
    place = scans.place_of(visit, visit.path("patient"))
    written = (scans.folder_of(visit, place, visit.path("image_version")) / IMAGE_FILE).stat()
    return f"{place.center} {written.st_mtime_ns} {written.st_size} {cohort.roi_rules(visit.console.settings.rois).margins_mm}"


def _packed(visit: Visit, content: bytes, media: str) -> Response:
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" not in visit.request.headers.get("accept-encoding", ""):
        return Response(content, media_type=media, headers=headers)
    return Response(gzip.compress(content, 1, mtime=0), media_type=media, headers={**headers, "Content-Encoding": "gzip"})


def _boxed(first: Sequence[int], shape: Sequence[int]) -> bytes:
    """First voxel and size of a box (z, y, x) as six whole numbers of 32 bits, x first."""
    return np.array([*reversed(first), *reversed(shape)], dtype="<i4").tobytes()


def _picture(visit: Visit, patient: str, version: str, view: View, known: scans.Geometry, at: Sequence[int]) -> Picture:
    index, planes = at[view.through], known.size[view.through]
    query = {"window": visit.value("window") or None, **_center(visit)}
    steps = []
    for step in STEPS:
        there = list(at)
        there[view.through] = index - step if view.turned[2] else index + step
        if 0 <= there[view.through] < planes:
            steps.append((step, visit.here(at=",".join(f"{part:.1f}" for part in known.point(there)))))
    side = "xyz".index(AXES[view.name])
    return Picture(
        view,
        index,
        planes,
        (known.size[view.across] * known.spacing[view.across], known.size[view.down] * known.spacing[view.down]),
        visit.url("viewer_plane", patient=patient, image_version=version, view=view.name, index=index, **query),
        tuple(steps),
        f"{AXES[view.name]} {known.point(at)[side]:.1f} mm",
    )


def _position(text: str, known: scans.Geometry) -> tuple[int, int, int]:
    """The voxel next to a point in mm (LPS), held within the scan; the middle of the tumor where none is named."""
    if not text:
        return known.tumor
    point = _numbers(text, "at", 3, ((-1e5, 1e5),) * 3, "three coordinates in mm, such as at=-12.5,40,-310")
    return known.voxel(point)


def _windows(visit: Visit) -> tuple[tuple[float, float], tuple[Preset, ...]]:
    """The window that the address names, by name or as level and width, and all presets; the first one where it names none."""
    named, text = visit.console.settings.console.windows, visit.value("window")
    chosen = text or next(iter(named))
    if chosen in named:
        window = (float(named[chosen].level), float(named[chosen].width))
    else:
        level, width = _numbers(text, "window", 2, LIMITS, f"{', '.join(named)}, or level and width in HU, such as window=40,400")
        window = (level, width)
    presets = (Preset(name, float(one.level), float(one.width), visit.here(window=name), name == chosen) for name, one in named.items())
    return window, tuple(presets)


def _numbers(text: str, name: str, count: int, limits: Sequence[tuple[float, float]], advice: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    inside = len(numbers) == count and all(math.isfinite(n) and low <= n <= high for n, (low, high) in zip(numbers, limits, strict=True))
    if not inside:
        raise Refusal("question", f"{name} is {text[:40]!r}", f"{name} is {advice}")
    return numbers


def _center(visit: Visit) -> dict[str, str]:
    return {"center": visit.value("center")} if visit.value("center") else {}


def _words(roi: str) -> str:
    return "GTV" if roi == GTV else roi_words(roi)


_FOLDER = "/patients/{patient}/images/{image_version}"
ROUTES: tuple[Page, ...] = (
    Page(f"{_FOLDER}/map", network_map, name="viewer_map", live=True),
    Page(f"{_FOLDER}/{{view}}/{{index}}.png", plane, name="viewer_plane", etag=_tag),
    Page(f"{_FOLDER}/{{file}}", image_file, name="image_file", etag=_tag),
)
