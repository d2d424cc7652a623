"""Ordinary slices are read by their bytes as pydicom reads them; whatever is unusual is left to it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from penumbra.imaging import dicom, pixels
from penumbra.imaging.plain_file import plain_pixels, plain_slice

from .phantom import Patient, save


def in_implicit(item: Dataset) -> None:
    item.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def with_a_sequence(item: Dataset) -> None:
    part = Dataset()
    part.PatientID = "another"
    item.ReferencedImageSequence = Items([part])
    item["ReferencedImageSequence"].is_undefined_length = True


def without_frame(item: Dataset) -> None:
    del item.FrameOfReferenceUID


def as_a_localizer(item: Dataset) -> None:
    item.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def with_padding(item: Dataset) -> None:
    item.add_new(0x00280120, "SS", -2000)
    item.add_new(0x00280121, "US", 65000)


def twelve_bits(item: Dataset) -> None:
    item.BitsStored, item.HighBit = 12, 11
    item.PixelData = np.full((item.Rows, item.Columns), 4095, dtype="<u2").tobytes()
    item.PixelRepresentation = 0


PLAIN = (in_implicit, with_a_sequence, without_frame, as_a_localizer, with_padding, twelve_bits)


@pytest.mark.parametrize("change", PLAIN, ids=lambda change: change.__name__)
def test_plain_files_are_what_pydicom_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Dataset], None]) -> None:
    item = Patient((1, 8, 9), (3.0, 1.2, 0.9)).slices()[0]
    change(item)
    path = save(item, tmp_path / "slice.dcm")
    plain, hu = plain_slice(path), pixels.pixels(path)
    assert plain is not None
    assert plain_pixels(path) is not None
    monkeypatch.setattr(dicom, "plain_slice", lambda path: None)
    monkeypatch.setattr(pixels, "plain_pixels", lambda path: None)
    content = dicom.find_dicom(tmp_path)
    assert plain.localizer == (not content.slices) == (change is as_a_localizer)
    for header in content.slices:
        assert {name: np.asarray(value).tolist() for name, value in vars(header).items() if name != "path"} == {
            name: np.asarray(value).tolist() for name, value in vars(plain.header).items() if name != "path"
        }
    theirs = pixels.pixels(path)
    assert theirs.dtype == hu.dtype
    assert np.array_equal(theirs, hu)


def in_big_endian(item: Dataset) -> None:
    item.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    item["PixelData"].VR = "OW"


def compressed(item: Dataset) -> None:
    item.compress(RLELossless)


def of_frames(item: Dataset) -> None:
    item.NumberOfFrames = 1


def with_a_table(item: Dataset) -> None:
    item.ModalityLUTSequence = Items([Dataset()])


def bits_above(item: Dataset) -> None:
    twelve_bits(item)
    item.PixelData = np.full((item.Rows, item.Columns), 4096, dtype="<u2").tobytes()


def cut_off(item: Dataset) -> None:
    item.PixelData = item.PixelData[:-2]


def in_color(item: Dataset) -> None:
    item.SamplesPerPixel = 3


def without_intercept(item: Dataset) -> None:
    del item.RescaleIntercept


def of_float_pixels(item: Dataset) -> None:
    item.add_new(0x7FE00008, "OF", bytes(4 * item.Rows * item.Columns))


UNUSUAL = (in_big_endian, compressed, of_frames, with_a_table, bits_above, cut_off, in_color, without_intercept, of_float_pixels)


@pytest.mark.parametrize("change", UNUSUAL, ids=lambda change: change.__name__)
def test_unusual_pixels_are_left_to_pydicom(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    item = Patient((1, 8, 9), (3.0, 1.2, 0.9)).slices()[0]
    change(item)
    path = tmp_path / "slice.dcm"
    item.save_as(path, enforce_file_format=True) if change is not in_big_endian else item.save_as(path, implicit_vr=False, little_endian=False)
    assert plain_pixels(path) is None


def other_letters(item: Dataset) -> None:
    item.PatientID = "J\xe4ger"


def two_spacings(item: Dataset) -> None:
    item.PixelSpacing = [1.0, 1.0, 1.0]


def secondary_capture(item: Dataset) -> None:
    item.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"


def of_another_modality(item: Dataset) -> None:
    item.Modality = "MR"


def without_position(item: Dataset) -> None:
    del item.ImagePositionPatient


@pytest.mark.parametrize("change", [other_letters, two_spacings, secondary_capture, of_another_modality, without_position, of_frames], ids=lambda c: c.__name__)
def test_unusual_headers_are_left_to_pydicom(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    item = Patient((1, 8, 9), (3.0, 1.2, 0.9)).slices()[0]
    change(item)
    assert plain_slice(save(item, tmp_path / "slice.dcm")) is None


def test_every_cut_of_a_plain_file_is_left_to_pydicom(tmp_path: Path) -> None:
    path = save(Patient((1, 8, 9), (3.0, 1.2, 0.9)).slices()[0], tmp_path / "slice.dcm")
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        assert plain_pixels(path) is None
