"""Valid folders of a patient, each with one thing wrong: the right mask, a flag that says why, or a refusal that names the cause.

make fuzz                    2000 mutations
python -m tests.imaging.fuzz 500 --seed 3 --show wrong
"""

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from penumbra.base.refusal import Refusal
from penumbra.imaging import certify, read_patient, rings, roi_names, to_grid
from penumbra.imaging.folder import readable, understood

from ..limits import certificate_limits
from .phantom import Ellipsoid, Patient, save

BALL = Ellipsoid((22.3, 21.6, 20.7), (11.0, 11.0, 11.0))
SHAPE, SPACING, ORIGIN = (14, 30, 32), (3.0, 1.5, 1.4), (-40.0, 15.0, -120.0)
ALIKE = 0.93  # Dice with the ball: below, the mask is not what was drawn. A voxel more or less on the surface of a ball of 22 mm costs 0.03
UNNAMED = ("files_understood", "worker_killed")  # refusals that say no more than that something went wrong
OUTCOMES = ("right", "flagged", "refused", "unnamed", "wrong", "error")

Rng = np.random.Generator
Mutation = Callable[[Path, Path, Rng], str]  # folder to change, folder of another patient, -> what was changed, in words


@dataclass(frozen=True)
class Outcome:
    """What became of one mutation: one of OUTCOMES, and why."""

    source: str
    mutation: str
    detail: str
    outcome: str
    why: str


def hu(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Soft tissue in air."""
    return np.where(y < 6, -1000.0, 40 + 30 * np.sin(x / 7) + 20 * np.cos(y / 9 + z / 11))


def write_bases(root: Path) -> dict[str, tuple[Path, Path]]:
    """Three valid folders, with the same of another patient to mix in: source -> (folder, the other one's)."""
    bases = {}
    for source in ("rtstruct", "seg", "nifti"):
        folders = []
        for number, origin in enumerate((ORIGIN, (-37.0, 9.0, -100.0))):
            patient = Patient(SHAPE, SPACING, origin, rois={"GTV-1": BALL, "Heart": Ellipsoid((12.0, 30.0, 10.0), (5.0, 5.0, 5.0))}, hu=hu)
            folder = root / source / str(number)
            if source == "nifti":
                _write_nifti(patient, folder)
            else:
                for place, item in enumerate(patient.slices()):
                    save(item, folder / f"ct{place:02d}.dcm")
                save(patient.structures() if source == "rtstruct" else patient.segmentation(), folder / "drawn.dcm")
            folders.append(folder)
        bases[source] = (folders[0], folders[1])
    return bases


def _write_nifti(patient: Patient, folder: Path) -> None:
    folder.mkdir(parents=True)
    z, y, x = np.meshgrid(*(np.arange(n) * step for n, step in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    inside = BALL.inside(np.stack([x, y, z], axis=-1))
    for values, name in ((np.rint(hu(x, y, z)).astype(np.int16), "ct"), (inside.astype(np.uint8), "gtv")):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(SPACING[::-1])
        image.SetOrigin(patient.origin)
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def judge(folder: Path) -> tuple[str, str]:
    """The outcome of a folder whose mask should be BALL at ORIGIN, and why."""
    try:
        with readable(), understood():
            roi_names(folder)
            scan = read_patient(folder)
            grid = to_grid(scan, 1.0, margin_mm=12.0)
            found = certify(scan, grid, rings(grid.gtv, (3.0,)), certificate_limits())
    except Refusal as refusal:
        return "unnamed" if refusal.rule in UNNAMED or not (refusal.found and refusal.advice) else "refused", str(refusal)
    except Exception as error:  # what ingest would show as a crash
        return "error", f"{type(error).__name__}: {error}"
    why = "; ".join([*(f"{finding.rule}: {finding.found}" for finding in found.findings), *(note for note in scan.notes if "whole voxels" not in note)])
    if found.status == "refused":
        return "refused", why
    index = np.moveaxis(np.indices(grid.gtv.values.shape), 0, -1)[..., ::-1]
    places = np.asarray(grid.image.origin) + (index * grid.image.spacing[::-1]) @ grid.image.direction.T
    truth = BALL.inside(places - np.asarray(ORIGIN))
    mask = grid.gtv.values
    if 2 * (mask & truth).sum() / (mask.sum() + BALL.volume) >= ALIKE:
        off = np.abs(grid.image.values[truth] - hu(*np.moveaxis(places[truth] - np.asarray(ORIGIN), -1, 0)))
        if np.median(off) < 25:
            return "right", why
    return ("flagged" if why else "wrong"), why or "another mask or image, silently accepted"


# --- what goes wrong with DICOM files


def _one(folder: Path, rng: Rng) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return files[int(rng.integers(len(files)))]


def _edit(folder: Path, rng: Rng, change: Callable[[Dataset], str], *, drawn: bool | None = None) -> str:
    """Change one slice, all slices, or the drawing."""
    slices, drawing = sorted(folder.glob("ct*.dcm")), folder / "drawn.dcm"
    kind = int(rng.integers(3)) if drawn is None else 2 if drawn else int(rng.integers(2))
    chosen = [[slices[int(rng.integers(len(slices)))]], slices, [drawing]][kind]
    said = ""
    for path in chosen:
        dataset = dcmread(path)
        said = change(dataset)
        dataset.save_as(path)
    return f"{said} in {('a slice', 'all slices', 'the drawing')[kind]}"


def tag_removed(folder: Path, other: Path, rng: Rng) -> str:
    seed = rng.random()

    def change(dataset: Dataset) -> str:
        elements = list(dataset)
        element = elements[int(seed * len(elements))]
        del dataset[element.tag]
        return element.keyword

    return _edit(folder, rng, change)


def tag_emptied(folder: Path, other: Path, rng: Rng) -> str:
    seed = rng.random()

    def change(dataset: Dataset) -> str:
        elements = list(dataset)
        element = elements[int(seed * len(elements))]
        element.value = None
        return element.keyword

    return _edit(folder, rng, change)


def nested_tag_removed(folder: Path, other: Path, rng: Rng) -> str:
    def change(dataset: Dataset) -> str:
        places = [(item, element.tag) for item in _items(dataset) for element in item]
        item, tag = places[int(rng.integers(len(places)))]
        keyword = item[tag].keyword
        del item[tag]
        return keyword

    return _edit(folder, rng, change, drawn=True)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def tags_swapped(folder: Path, other: Path, rng: Rng) -> str:
    pairs = (("Rows", "Columns"), ("RescaleSlope", "RescaleIntercept"), ("SOPInstanceUID", "SeriesInstanceUID"), ("SeriesInstanceUID", "FrameOfReferenceUID"))
    one, two = pairs[int(rng.integers(len(pairs)))]

    def change(dataset: Dataset) -> str:
        if one in dataset and two in dataset:
            first, second = dataset[one].value, dataset[two].value
            dataset[one].value, dataset[two].value = second, first
        return f"{one} and {two}"

    return _edit(folder, rng, change)


def value_shifted(folder: Path, other: Path, rng: Rng) -> str:
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept", "RescaleSlope", "SliceThickness")
    name, factor, place = names[int(rng.integers(len(names)))], float(rng.choice([0.5, 1.5, -1.0, 10.0, 1e5])), int(rng.integers(6))

    def change(dataset: Dataset) -> str:
        if name in dataset:
            value = dataset[name].value
            if isinstance(value, (list, tuple)) or hasattr(value, "__setitem__"):
                values = [float(part) for part in value]
                values[place % len(values)] = round(values[place % len(values)] * factor, 4)
                dataset[name].value = values
            else:
                dataset[name].value = round(float(value) * factor, 4)
        return f"{name} times {factor:g}"

    return _edit(folder, rng, change, drawn=False)


def contour_changed(folder: Path, other: Path, rng: Rng) -> str:
    """A contour of the drawing, where it has any: lost, doubled, moved far, cut off, of another kind, or not of numbers."""
    kind = ("lost", "doubled", "moved", "odd", "type", "two points")[int(rng.integers(6))]

    def change(dataset: Dataset) -> str:
        if "ROIContourSequence" not in dataset:
            return "no contours"
        contours = next(item.ContourSequence for item in dataset.ROIContourSequence if item.ReferencedROINumber == 3)
        place = int(rng.integers(len(contours)))
        if kind == "lost":
            del contours[min(max(place, 1), len(contours) - 2)]  # without the first or the last it is a smaller drawing, complete in itself
        elif kind == "doubled":
            contours.append(contours[place])
        elif kind == "moved":
            values = [float(part) for part in contours[place].ContourData]
            contours[place].ContourData = [round(part + (200.0 if n % 3 == 2 else 0.0), 4) for n, part in enumerate(values)]
        elif kind == "odd":
            contours[place].ContourData = list(contours[place].ContourData)[:-1]
        elif kind == "type":
            contours[place].ContourGeometricType = str(rng.choice(["POINT", "OPEN_PLANAR", "", "closed_planar", "CLOSEDPLANAR_XOR"]))
        else:
            contours[place].ContourData = list(contours[place].ContourData)[:6]
            contours[place].NumberOfContourPoints = 2
        return f"a contour {kind}"

    return _edit(folder, rng, change, drawn=True)


# --- what goes wrong with files


def file_cut(folder: Path, other: Path, rng: Rng) -> str:
    path = _one(folder, rng)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * rng.random())])
    return path.suffixes[0]


def bytes_changed(folder: Path, other: Path, rng: Rng) -> str:
    path = _one(folder, rng)
    content = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 9))):
        content[int(rng.integers(min(len(content), 4000)))] = int(rng.integers(256))
    path.write_bytes(content)
    return path.suffixes[0]


def file_lost(folder: Path, other: Path, rng: Rng) -> str:
    path = _one(folder, rng)
    path.unlink()
    return path.name


def file_doubled(folder: Path, other: Path, rng: Rng) -> str:
    path = _one(folder, rng)
    if path.suffix == ".dcm" and rng.random() < 0.5:
        dataset = dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(path.with_name(f"copy_{path.name}"))
        return f"{path.name} under another identifier"
    shutil.copy(path, path.with_name(f"copy_{path.name}"))
    return path.name


def file_renamed(folder: Path, other: Path, rng: Rng) -> str:
    path = _one(folder, rng)
    name = str(rng.choice([path.name.upper(), f"{path.stem}.txt", "deeper/" + path.name, "DICOMDIR", f".{path.name}"]))
    (folder / name).parent.mkdir(exist_ok=True)
    path.rename(folder / name)
    return f"{path.name} as {name}"


def files_exchanged(folder: Path, other: Path, rng: Rng) -> str:
    one, two = _one(folder, rng), _one(folder, rng)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    return f"{one.name} and {two.name}"


def mixed(folder: Path, other: Path, rng: Rng) -> str:
    """A file of another patient instead of one, or in addition to it."""
    path = _one(folder, rng)
    if rng.random() < 0.5:
        shutil.copy(other / path.name, path)
        return f"{path.name} in place"
    if path.suffix == ".dcm":
        shutil.copy(other / path.name, folder / f"other_{path.name}")
        return f"{path.name} added"
    (folder / "other").mkdir()
    shutil.copy(other / path.name, folder / "other" / path.name)
    return f"{path.name} added, in a folder"


def strange_file(folder: Path, other: Path, rng: Rng) -> str:
    content = [b"", b"\0" * 132 + b"DICM", rng.bytes(3000), b"\0" * 128 + b"DICM" + rng.bytes(400)][int(rng.integers(4))]
    (folder / str(rng.choice(["extra.dcm", "Thumbs.db", "ct.nii", "report.pdf"]))).write_bytes(content)
    return f"{len(content)} bytes added"


ON_FILES: tuple[Mutation, ...] = (file_cut, bytes_changed, file_lost, file_doubled, file_renamed, files_exchanged, mixed, strange_file)
ON_TAGS: tuple[Mutation, ...] = (tag_removed, tag_emptied, nested_tag_removed, tags_swapped, value_shifted, contour_changed)


def fuzz(count: int, seed: int, root: Path) -> Iterator[Outcome]:
    """The outcomes of `count` mutations; number n of a seed is the same however many there are.

    root  of temporary folders.
    """
    bases = write_bases(root / "bases")
    sources = ("rtstruct", "rtstruct", "seg", "nifti")
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        source = sources[number % len(sources)]
        kinds = ON_FILES if source == "nifti" else ON_TAGS + ON_FILES
        mutation = kinds[int(rng.integers(len(kinds)))]
        folder = root / "changed"
        shutil.copytree(bases[source][0], folder)
        detail = mutation(folder, bases[source][1], rng)
        outcome, why = judge(folder)
        shutil.rmtree(folder)
        yield Outcome(source, mutation.__name__, f"{number}: {detail}", outcome, why)


def table(outcomes: list[Outcome]) -> str:
    """Mutations in rows, outcomes in columns."""
    counts = Counter((entry.mutation, entry.outcome) for entry in outcomes)
    names = sorted({entry.mutation for entry in outcomes})
    lines = [f"| mutation | {' | '.join(OUTCOMES)} |", "|---|" + "---|" * len(OUTCOMES)]
    lines += [f"| {name.replace('_', ' ')} | {' | '.join(str(counts[name, outcome]) for outcome in OUTCOMES)} |" for name in names]
    total = Counter(entry.outcome for entry in outcomes)
    return "\n".join([*lines, f"| all | {' | '.join(str(total[outcome]) for outcome in OUTCOMES)} |"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", nargs="*", default=["unnamed", "wrong", "error"], choices=OUTCOMES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        outcomes = list(fuzz(chosen.count, chosen.seed, Path(root)))
    for entry in outcomes:
        if entry.outcome in chosen.show:
            print(f"{entry.outcome}: {entry.source}, {entry.mutation} {entry.detail}: {entry.why}")
    print(table(outcomes))
    return int(any(entry.outcome in ("unnamed", "wrong", "error") for entry in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
