"""HU of one slice: padding, and the JPEG-LS code stream of another program."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from penumbra.imaging.pixels import pixels

from .phantom import Patient, save

# tests/reference/jpeg_ls_58x64.jls: `stored` below by jpeg_ls.encode_array of pyjpegls 1.5.1 (CharLS), lossless
STREAM = Path(__file__).resolve().parents[1] / "reference" / "jpeg_ls_58x64.jls"


def stored() -> np.ndarray:
    y, x = np.meshgrid(np.arange(58) * 1.2, np.arange(64.0), indexing="ij")
    values: np.ndarray = np.rint(100 + 300 * np.sin(x / 9 + 0.3) + 200 * np.cos(y / 13) + 1024)
    return values


def test_jpeg_ls(tmp_path: Path) -> None:
    item = Patient((1, 58, 64), (3.0, 1.2, 1.0)).slices()[0]
    item.PixelData, item.file_meta.TransferSyntaxUID = encapsulate([STREAM.read_bytes()]), JPEGLSLossless
    item["PixelData"].VR = "OB"
    assert np.array_equal(pixels(save(item, tmp_path / "slice.dcm")), stored() - 1024)


@pytest.mark.parametrize(
    ("value", "limit", "air"),
    [(-2000, None, True), (63536, None, True), (-3000, -1500, True), (-1500, -3000, True), (-2001, None, False), (0, None, False)],
    ids=["as it is", "as an unsigned number", "a range", "a range downwards", "another value", "water"],
)
def test_padding_below_air_becomes_air(tmp_path: Path, value: int, limit: int | None, air: bool) -> None:
    item = Patient((1, 8, 8), signed=True, intercept=0.0).slices()[0]
    plane = np.zeros((8, 8), dtype="<i2")
    plane[0, 0], plane[0, 1] = -2000, -1010
    item.PixelData = plane.tobytes()
    item.add_new(0x00280120, "US" if value > 32767 else "SS", value)
    if limit is not None:
        item.add_new(0x00280121, "SS", limit)
    plane[0, 0] = -1024 if air else -2000
    assert np.array_equal(pixels(save(item, tmp_path / "slice.dcm")), plane)
