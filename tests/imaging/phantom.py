"""Patients made for the tests: analytic shapes in a CT series with their contours, written as DICOM, with any one thing made wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage, generate_uid

Rings = list[np.ndarray]

PLANTED = ("PLANTED^NAME", "19470102", "PLANTED STREET 5")  # identity that must not leave the files


@dataclass(frozen=True)
class Ellipsoid:
    """Points p with |turn.T (p - center) / radii| <= 1; x, y, z in mm in the frame of the image."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def volume(self) -> float:
        return 4 / 3 * np.pi * float(np.prod(self.radii))

    def section(self, z: float) -> Rings:
        form = self.turn @ np.diag(1 / np.square(self.radii)) @ self.turn.T
        height = z - self.center[2]
        plane, cross, depth = form[:2, :2], form[:2, 2], form[2, 2]
        shift = -height * np.linalg.solve(plane, cross)
        rest = 1 - height**2 * (depth - cross @ np.linalg.solve(plane, cross))
        if rest <= 1e-9:
            return []
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle)])
        points = np.sqrt(rest) * np.linalg.solve(np.linalg.cholesky(plane).T, circle)
        return [(points.T + shift + self.center[:2])]

    def inside(self, xyz: np.ndarray) -> np.ndarray:
        return np.square((xyz - self.center) @ self.turn / self.radii).sum(axis=-1) <= 1


@dataclass(frozen=True)
class Torus:
    """A ring around z: every plane through it is a donut."""

    center: tuple[float, float, float]
    radius: float
    tube: float

    @property
    def volume(self) -> float:
        return 2 * np.pi**2 * self.radius * self.tube**2

    def section(self, z: float) -> Rings:
        rest = self.tube**2 - (z - self.center[2]) ** 2
        if rest <= 1e-9:
            return []
        angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        outer = circle * (self.radius + np.sqrt(rest)) + self.center[:2]
        inner = circle * (self.radius - np.sqrt(rest)) + self.center[:2]
        return [outer, inner[::-1]]

    def inside(self, xyz: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(xyz - self.center, -1, 0)
        return np.square(np.hypot(x, y) - self.radius) + np.square(z) <= self.tube**2


@dataclass(frozen=True)
class Box:
    """A cuboid turned by `angle` radians around z."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    angle: float = 0.0

    @property
    def volume(self) -> float:
        return float(np.prod(self.size))

    def section(self, z: float) -> Rings:
        if abs(z - self.center[2]) > self.size[2] / 2:
            return []
        x, y = self.size[0] / 2, self.size[1] / 2
        corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return [corners @ np.array([[cos, sin], [-sin, cos]]) + self.center[:2]]

    def inside(self, xyz: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        moved = (xyz - self.center) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return (np.abs(moved) <= np.array(self.size) / 2).all(axis=-1)


Shape = Ellipsoid | Torus | Box


@dataclass
class Patient:
    """One patient before it is written; tests change what they need. Lengths in mm; x, y, z in the frame of the image.

    spacing    (z, y, x); `heights` replaces the regular slice positions.
    direction  columns are the directions of x, y and the slice normal, as in Volume.
    tilt       sideways shift in y per mm along the normal (tangent of the gantry's tilt).
    rois       name -> shape; numbers count from `first_number`.
    """

    shape: tuple[int, int, int] = (24, 64, 64)
    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (-40.0, 15.0, -120.0)
    direction: np.ndarray = field(default_factory=lambda: np.eye(3))
    heights: Sequence[float] | None = None
    tilt: float = 0.0
    rois: dict[str, Shape] = field(default_factory=dict)
    first_number: int = 3
    contour_heights: Sequence[float] | None = None
    hu: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    signed: bool = False
    slope: float = 1.0
    intercept: float = -1024.0
    seed: int = 7

    def __post_init__(self) -> None:
        self.series, self.frame, self.study = generate_uid(), generate_uid(), generate_uid()
        self.structure_frame = self.frame
        self.referenced_series = self.series
        if self.heights is None:
            self.heights = [index * self.spacing[0] for index in range(self.shape[0])]
        self.instances = [generate_uid() for _ in self.heights]

    def points(self, xyz: np.ndarray) -> np.ndarray:
        """Frame of the image (n, 3) to LPS."""
        return np.asarray(self.origin) + xyz @ self.direction.T

    def slices(self) -> list[Dataset]:
        """The CT slices as data sets, in order of position."""
        rows, columns = self.shape[1:]
        y, x = np.meshgrid(np.arange(rows) * self.spacing[1], np.arange(columns) * self.spacing[2], indexing="ij")
        made = []
        for index, (height, instance) in enumerate(zip(self.heights or [], self.instances, strict=True)):
            shift = self.tilt * height
            value = (self.hu or tissue)(x, y + shift, np.full_like(x, height))
            stored = np.rint((value - self.intercept) / self.slope)
            made.append(self._slice(index, instance, height, shift, stored))
        return made

    def _slice(self, index: int, instance: str, height: float, shift: float, stored: np.ndarray) -> Dataset:
        dataset = _file(CTImageStorage, instance)
        dataset.Modality = "CT"
        dataset.PatientName, dataset.PatientBirthDate, dataset.PatientAddress = PLANTED
        dataset.PatientID = "P1"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = self.study, self.series, self.frame
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.InstanceNumber = (index * 7) % 101  # says nothing about the order
        dataset.ImagePositionPatient = [_ds(value) for value in self.points(np.array([[0.0, shift, height]]))[0]]
        dataset.ImageOrientationPatient = [_ds(value) for value in (*self.direction[:, 0], *self.direction[:, 1])]
        dataset.PixelSpacing = [_ds(self.spacing[1]), _ds(self.spacing[2])]
        dataset.SliceThickness = _ds(self.spacing[0])
        dataset.Rows, dataset.Columns = stored.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = int(self.signed)
        dataset.RescaleSlope, dataset.RescaleIntercept = _ds(self.slope), _ds(self.intercept)
        dataset.PixelData = stored.astype("<i2" if self.signed else "<u2").tobytes()
        return dataset

    def structures(self) -> Dataset:
        """The structure set."""
        dataset = _file(RTStructureSetStorage, generate_uid())
        dataset.Modality = "RTSTRUCT"
        dataset.PatientName, dataset.PatientBirthDate, dataset.PatientAddress = PLANTED
        dataset.PatientID = "P1"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, generate_uid()
        dataset.StructureSetDate, dataset.StructureSetTime = "20200101", "120000"
        series = Dataset()
        series.SeriesInstanceUID = self.referenced_series
        series.ContourImageSequence = Items([self.reference(instance) for instance in self.instances])
        study = Dataset()
        study.RTReferencedSeriesSequence = Items([series])
        frame = Dataset()
        frame.FrameOfReferenceUID = self.structure_frame
        frame.RTReferencedStudySequence = Items([study])
        dataset.ReferencedFrameOfReferenceSequence = Items([frame])
        named, drawn = [], []
        for number, (name, shape) in enumerate(self.rois.items(), self.first_number):
            entry = Dataset()
            entry.ROINumber, entry.ROIName, entry.ReferencedFrameOfReferenceUID = number, name, self.structure_frame
            named.append(entry)
            item = Dataset()
            item.ReferencedROINumber = number
            item.ContourSequence = Items(self.contours(shape))
            drawn.append(item)
        dataset.StructureSetROISequence = Items(named)
        dataset.ROIContourSequence = Items(drawn[::-1])  # the order of this sequence means nothing
        return dataset

    def segmentation(self, fractional: int | None = None) -> Dataset:
        """The same shapes as a DICOM SEG: a frame for every slice that a shape reaches; shares of `fractional` (its maximum) where given."""
        dataset = _file(SegmentationStorage, generate_uid())
        dataset.Modality, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "SEG", generate_uid(), self.study
        dataset.PatientName, dataset.PatientID, dataset.FrameOfReferenceUID = PLANTED[0], "P1", self.structure_frame
        dataset.SegmentationType = "BINARY" if fractional is None else "FRACTIONAL"
        series = Dataset()
        series.SeriesInstanceUID = self.referenced_series
        dataset.ReferencedSeriesSequence = Items([series])
        shared, measures, orientation = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [_ds(self.spacing[1]), _ds(self.spacing[2])]
        orientation.ImageOrientationPatient = [_ds(value) for value in (*self.direction[:, 0], *self.direction[:, 1])]
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Items([measures]), Items([orientation])
        dataset.SharedFunctionalGroupsSequence = Items([shared])
        rows, columns = self.shape[1:]
        fine = (np.arange(4) - 1.5) / 4
        y = ((np.arange(rows)[:, None] + fine) * self.spacing[1]).ravel()
        x = ((np.arange(columns)[:, None] + fine) * self.spacing[2]).ravel()
        segments, frames, planes = [], [], []
        for number, (name, shape) in enumerate(self.rois.items(), self.first_number):
            segment = Dataset()
            segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = number, name, "MANUAL"
            segments.append(segment)
            for index, height in enumerate(self.heights or []):
                points = np.stack([*np.meshgrid(x, y, indexing="xy"), np.full((len(y), len(x)), float(height))], axis=-1)
                share = shape.inside(points).reshape(rows, 4, columns, 4).mean(axis=(1, 3))
                if share.any():
                    frames.append(self.segment_frame(number, index, float(height)))
                    planes.append(share)
        dataset.SegmentSequence, dataset.PerFrameFunctionalGroupsSequence = Items(segments), Items(frames)
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = len(frames), rows, columns
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        if fractional is None:
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
            packed = np.packbits((np.array(planes) >= 0.5).ravel(), bitorder="little").tobytes()
        else:
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.MaximumFractionalValue = 8, 8, 7, fractional
            packed = np.rint(np.array(planes) * fractional).astype(np.uint8).tobytes()
        dataset.PixelData = packed + bytes(len(packed) % 2)
        return dataset

    def segment_frame(self, number: int, index: int, height: float) -> Dataset:
        """Functional groups of one frame: its segment, its place, the slice that it lies on."""
        frame, segment, place, image = Dataset(), Dataset(), Dataset(), Dataset()
        segment.ReferencedSegmentNumber = number
        place.ImagePositionPatient = [_ds(value) for value in self.points(np.array([[0.0, self.tilt * height, height]]))[0]]
        image.SourceImageSequence = Items([self.reference(self.instances[index])])
        frame.SegmentIdentificationSequence, frame.PlanePositionSequence = Items([segment]), Items([place])
        frame.DerivationImageSequence = Items([image])
        return frame

    def contours(self, shape: Shape) -> list[Dataset]:
        """One item per contour; every contour names its slice where it lies on one."""
        made = []
        heights = list(self.heights or [])
        for height in heights if self.contour_heights is None else self.contour_heights:
            for ring in shape.section(float(height)):
                points = self.points(np.column_stack([ring, np.full(len(ring), height)]))
                item = contour(points)
                if height in heights:
                    item.ContourImageSequence = Items([self.reference(self.instances[heights.index(height)])])
                made.append(item)
        return made

    @staticmethod
    def reference(instance: str) -> Dataset:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, instance
        return reference

    def write(self, folder: Path) -> Path:
        """CT and structure set into `folder`, files in no order that means anything; returns the folder."""
        slices = self.slices()
        order = np.random.default_rng(self.seed).permutation(len(slices))
        for number, index in enumerate(order):
            save(slices[index], folder / "ct" / f"{number:04d}.dcm")
        save(self.structures(), folder / "rs.dcm")
        return folder


def tissue(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Smooth HU in space that no axis and no sign leaves alike."""
    return 100 + 300 * np.sin(x / 9 + 0.3) + 200 * np.cos(y / 13) * np.sin(z / 17 + 1) + 2 * z - x


def contour(points: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    """A contour item of points (n, 3) in LPS."""
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    with disable_value_validation():  # a third of the time, for numbers that are made here
        item.ContourData = [_ds(value) for value in np.ravel(points)]
    return item


def jpeg_lossless_stream(stored: np.ndarray, scratch: Path) -> bytes:
    """The pixels, (y, x) in 16 bits, as a JPEG lossless code stream: SimpleITK writes it with GDCM into the file `scratch`."""
    import SimpleITK as sitk
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(scratch))
    writer.Execute(sitk.GetImageFromArray(stored))
    stream: bytes = get_frame(dcmread(scratch).PixelData, 0, number_of_frames=1)
    return stream


def save(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _file(kind: str, instance: str) -> Dataset:
    dataset: Any = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, instance
    dataset.SpecificCharacterSet = "ISO_IR 100"
    return dataset


def _ds(value: float) -> str:
    """A decimal string, at most 16 characters."""
    return f"{value:.9g}" if abs(value) < 1e-4 or abs(value) >= 1e6 else f"{value:.8f}"[:16]


def turned(*degrees: float) -> np.ndarray:
    """Rotation matrix: about x, then y, then z."""
    from scipy.spatial.transform import Rotation

    matrix: np.ndarray = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return matrix
