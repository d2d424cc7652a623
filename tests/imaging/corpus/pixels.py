"""Pixels: rescaling, compression, what cannot be decoded."""

from pathlib import Path

from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from ..phantom import Patient
from .case import BALL, refused, right, write


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), signed=True, intercept=0.0, rois={"GTV-1": BALL}))
def signed_pixels(patient: Patient, folder: Path) -> None:
    """Stored as signed HU."""
    patient.write(folder)


@right(patient=lambda: Patient((24, 58, 64), (3.0, 1.2, 1.0), slope=0.25, rois={"GTV-1": BALL}))
def fractional_slope(patient: Patient, folder: Path) -> None:
    """Rescale slope of one quarter."""
    patient.write(folder)


@right()
def rescale_of_its_own_in_every_slice(patient: Patient, folder: Path) -> None:
    """Slope and intercept change from slice to slice."""
    slices = []
    for index in range(24):
        patient.slope, patient.intercept = 1.0 + index % 3, -1024.0 - 10 * index
        slices.append(patient.slices()[index])
    write(patient, folder, slices=slices)


@right()
def no_rescale(patient: Patient, folder: Path) -> None:
    """Signed HU without slope and intercept."""
    patient.signed, patient.intercept = True, 0.0
    slices = patient.slices()
    for item in slices:
        del item.RescaleSlope, item.RescaleIntercept
    write(patient, folder, slices=slices)


@right()
def rle(patient: Patient, folder: Path) -> None:
    """RLE lossless."""
    slices = patient.slices()
    for item in slices:
        item.compress(RLELossless)
    write(patient, folder, slices=slices)


@right()
def jpeg_2000(patient: Patient, folder: Path) -> None:
    """JPEG 2000 lossless."""
    slices = patient.slices()
    for item in slices:
        item.compress(JPEG2000Lossless)
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def pixels_cut_off(patient: Patient, folder: Path) -> None:
    """Half the pixels of one slice are missing."""
    slices = patient.slices()
    slices[5].PixelData = slices[5].PixelData[: len(slices[5].PixelData) // 2]
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def no_pixels(patient: Patient, folder: Path) -> None:
    """One slice has no pixels."""
    slices = patient.slices()
    del slices[5].PixelData
    write(patient, folder, slices=slices)


@refused("pixels_readable")
def unknown_compression(patient: Patient, folder: Path) -> None:
    """A transfer syntax that nobody can decode."""
    slices = patient.slices()
    for item in slices:
        item.compress(RLELossless)
        item.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.103")
    write(patient, folder, slices=slices)
