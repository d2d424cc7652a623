"""Ordinary CT slices, read by their bytes: one uncompressed little-endian plane with every attribute that is needed, each once and as the standard has it.

That is what nearly every file of a planning CT is, and pydicom takes ten times as long for it. Whatever is unusual in any respect is None here, and left to
pydicom, which decides what it is.
"""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.imaging.dicom_file import SliceHeader
from penumbra.imaging.folder import readable
from penumbra.imaging.whole import DELIMITED, LONG_VR, Walk

CT = "1.2.840.10008.5.1.4.1.1.2"
_IMPLICIT, _EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
_START = 2**14  # bytes that mostly hold everything before the pixels
_PIXELS, _PADDING_AT_END = 0x7FE00010, 0xFFFCFFFC
_SHORT_VR = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_VR = _SHORT_VR | frozenset(LONG_VR)
_WITH_VR, _WITHOUT_VR, _LENGTH = struct.Struct("<HH2sH"), struct.Struct("<HHL"), struct.Struct("<L")
_UID = re.compile(rb"[0-9.]+")
_NUMBER = re.compile(rb" *[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)? *")
_TEXT = re.compile(rb"[ -\[\]-}]*")  # ASCII without the backslash and the tilde, which is another character in one encoding
_CODES = re.compile(rb"[ -}]*")


@dataclass(frozen=True)
class PlainSlice:
    """A slice before its pixels are read, whose patient it is, and whether it is a localizer."""

    header: SliceHeader
    patient: str
    localizer: bool


@dataclass(frozen=True)
class PlainPixels:
    """Stored values, (y, x), with the attributes that make HU of them, by keyword and as attributes, as in a pydicom dataset."""

    stored: np.ndarray
    attributes: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """The value, or None."""
        return self.attributes.get(name)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.attributes[name]
        except KeyError:
            raise AttributeError(name) from None


def plain_slice(path: Path) -> PlainSlice | None:
    """The slice that an ordinary file holds; None for any other file.

    Raises
    ------
    Refusal
        `files_readable`.
    """
    with readable(), path.open("rb") as stream:
        content = stream.read(_START)
        values = _values(content, _HEADER)
        if values is None and len(content) == _START:
            values = _values(content + stream.read(), _HEADER)
    if values is None:
        return None
    rows, columns = values["PixelSpacing"]
    numbers = np.array([*values["ImageOrientationPatient"], *values["ImagePositionPatient"], rows, columns])
    if not np.isfinite(numbers).all() or min(rows, columns) <= 0:
        return None
    header = SliceHeader(
        path=path,
        instance=values["SOPInstanceUID"],
        series=values["SeriesInstanceUID"],
        frame=values.get("FrameOfReferenceUID"),
        size=(values["Rows"], values["Columns"]),
        spacing=(rows, columns),
        orientation=numbers[:6],
        position=numbers[6:9],
    )
    return PlainSlice(header, values.get("PatientID", ""), "LOCALIZER" in values.get("ImageType", ()))


def plain_pixels(path: Path) -> PlainPixels | None:
    """The stored pixels of an ordinary file, with what its HU depend on; None for any other file.

    Raises
    ------
    Refusal
        `files_readable`.
    """
    with readable():
        content = path.read_bytes()
    values = _values(content, _PLANE)
    if values is None or not _is_plain(values):
        return None
    start, length = values["PixelData"]
    shape = (values["Rows"], values["Columns"])
    if length != 2 * shape[0] * shape[1]:
        return None
    bits, signed = values["BitsStored"], values["PixelRepresentation"] == 1
    stored = np.frombuffer(content, "<i2" if signed else "<u2", count=shape[0] * shape[1], offset=start).reshape(shape)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if bits < 16 and (stored.min() < low or stored.max() > high):  # the bits above hold something else
        return None
    return PlainPixels(stored, values)


def _is_plain(values: Mapping[str, Any]) -> bool:
    signed = values["PixelRepresentation"]
    return (
        values["SamplesPerPixel"] == 1
        and values["BitsAllocated"] == 16
        and 1 <= values["BitsStored"] <= 16
        and values["HighBit"] == values["BitsStored"] - 1
        and signed in (0, 1)
        and values["PhotometricInterpretation"] in (("MONOCHROME1",), ("MONOCHROME2",))
        and min(values["Rows"], values["Columns"]) > 0
    )


def _values(content: bytes, attributes: "Mapping[int, _Attribute]") -> dict[str, Any] | None:
    """The attributes of the data set by keyword; None where anything is unusual, or lies beyond what was read.

    With PixelData among them the file must end behind it.
    """
    try:
        at, implicit = _data_set(content)
        end, last = len(content), 0
        values: dict[str, Any] = {}
        while at < end:
            tag, vr, length, start = _element(content, at, implicit=implicit)
            if tag <= last:
                return None
            if tag >= _PIXELS_GROUP:
                if _PIXELS not in attributes:
                    break
                if tag != _PIXELS or length == DELIMITED or vr not in (b"OW", b"") or not _is_end(content, start + length, implicit=implicit):
                    return None
                values["PixelData"] = (start, length)
                break
            at, last = start + length, tag
            if length == DELIMITED:
                at = Walk(content, "<", implicit=implicit).after(vr, length, start, end)
            if at > end:
                return None
            one = attributes.get(tag)
            if one is not None:
                if length == DELIMITED or not (vr in one.representations or (implicit and not one.ambiguous)):
                    return None
                value = one.read(content[start:at]) if not one.ambiguous else _integer(content[start:at], signed=vr == b"SS")
                if value is None:
                    return None
                if value != "":
                    values[one.keyword] = value
        else:
            return None
    except (ValueError, struct.error, IndexError):
        return None
    return values if all(one.keyword in values for one in attributes.values() if one.required) and values.get("SOPClassUID", CT) == CT else None


def _data_set(content: bytes) -> tuple[int, bool]:
    """Where the data set of a CT image begins, and whether it states no VR.

    Raises
    ------
    ValueError
        Of any other file.
    """
    if content[128:132] != b"DICM":
        raise ValueError("no preamble")
    at, last, kind, syntax = 132, 0, b"", b""
    while content[at : at + 2] == b"\x02\x00":
        tag, _, length, start = _element(content, at, implicit=False)
        if tag <= last or start + length > len(content):
            raise ValueError("meta information")
        value = content[start : start + length].rstrip(b"\0 ")
        kind, syntax = (value if tag == 0x00020002 else kind), (value if tag == 0x00020010 else syntax)
        at, last = start + length, tag
    implicit = syntax == _IMPLICIT
    if kind.decode("ascii") != CT or syntax not in (_IMPLICIT, _EXPLICIT) or implicit == (content[at + 4 : at + 6] in _VR):
        raise ValueError("another encoding")
    return at, implicit


def _element(content: bytes, at: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
    """Tag, VR, length and start of the value of the element at a byte.

    Raises
    ------
    ValueError
        Where it has no VR that the standard knows.
    struct.error
        Where the content ends.
    """
    if implicit:
        group, element, length = _WITHOUT_VR.unpack_from(content, at)
        return group << 16 | element, b"", length, at + 8
    group, element, vr, length = _WITH_VR.unpack_from(content, at)
    if vr in LONG_VR:
        return group << 16 | element, vr, _LENGTH.unpack_from(content, at + 8)[0], at + 12
    if vr not in _VR:
        raise ValueError("no VR")
    return group << 16 | element, vr, length, at + 8


def _is_end(content: bytes, at: int, *, implicit: bool) -> bool:
    """Whether nothing but padding in an element of its own comes behind the pixels."""
    if at == len(content):
        return True
    tag, _, length, start = _element(content, at, implicit=implicit)
    return tag == _PADDING_AT_END and start + length == len(content)


@dataclass(frozen=True)
class _Attribute:
    """An attribute: its keyword, the value representations that it may have, and how its bytes are read: None where they are unusual, "" where there are none.

    Parameters
    ----------
    ambiguous
        Another attribute decides the representation where none is stated.
    """

    keyword: str
    representations: tuple[bytes, ...]
    read: Callable[[bytes], Any]
    required: bool = True
    ambiguous: bool = False


def _text(value: bytes) -> str | None:
    return value.decode("ascii").rstrip(" ") if _TEXT.fullmatch(value) else None


def _uid(value: bytes) -> str | None:
    value = value.rstrip(b"\0 ")
    return "" if not value else value.decode("ascii") if _UID.fullmatch(value) else None


def _codes(value: bytes) -> tuple[str, ...] | str | None:
    if not _CODES.fullmatch(value):
        return None
    codes = tuple(code.upper() for code in value.decode("ascii").rstrip(" ").split("\\"))
    if any(code != code.strip() for code in codes):
        return None
    return codes if codes != ("",) else ""


def _one_of(*expected: str) -> Callable[[bytes], str | None]:
    def read(value: bytes) -> str | None:
        code = value.decode("ascii").rstrip(" ")
        return code if code in expected else None

    return read


def _numbers(count: int) -> Callable[[bytes], tuple[float, ...] | None]:
    def read(value: bytes) -> tuple[float, ...] | None:
        parts = value.rstrip(b"\0").split(b"\\")
        return tuple(float(part) for part in parts) if len(parts) == count and all(_NUMBER.fullmatch(part) for part in parts) else None

    return read


def _number(value: bytes) -> float | None:
    return float(value) if _NUMBER.fullmatch(value) else None


def _integer(value: bytes, *, signed: bool = False) -> int | None:
    return int.from_bytes(value, "little", signed=signed) if len(value) == 2 else None


def _unusual(value: bytes) -> None:
    """An attribute that ordinary slices do not have."""


_US, _DS, _UI, _CS, _IS = (b"US",), (b"DS",), (b"UI",), (b"CS",), (b"IS",)
_PIXELS_GROUP = 0x7FE00000
_SHARED = {
    0x00080016: _Attribute("SOPClassUID", _UI, _uid),
    0x00280008: _Attribute("NumberOfFrames", _IS, _unusual, required=False),
    0x00280010: _Attribute("Rows", _US, _integer),
    0x00280011: _Attribute("Columns", _US, _integer),
}
_HEADER = {
    **_SHARED,
    0x00080008: _Attribute("ImageType", _CS, _codes, required=False),
    0x00080018: _Attribute("SOPInstanceUID", _UI, _uid),
    0x00080060: _Attribute("Modality", _CS, _one_of("CT")),
    0x00100020: _Attribute("PatientID", (b"LO",), _text, required=False),
    0x0020000E: _Attribute("SeriesInstanceUID", _UI, _uid),
    0x00200032: _Attribute("ImagePositionPatient", _DS, _numbers(3)),
    0x00200037: _Attribute("ImageOrientationPatient", _DS, _numbers(6)),
    0x00200052: _Attribute("FrameOfReferenceUID", _UI, _uid, required=False),
    0x00280030: _Attribute("PixelSpacing", _DS, _numbers(2)),
}
_PLANE = {
    **_SHARED,
    0x00280002: _Attribute("SamplesPerPixel", _US, _integer),
    0x00280004: _Attribute("PhotometricInterpretation", _CS, _codes),
    0x00280100: _Attribute("BitsAllocated", _US, _integer),
    0x00280101: _Attribute("BitsStored", _US, _integer),
    0x00280102: _Attribute("HighBit", _US, _integer),
    0x00280103: _Attribute("PixelRepresentation", _US, _integer),
    0x00280120: _Attribute("PixelPaddingValue", (b"US", b"SS"), _integer, required=False, ambiguous=True),
    0x00280121: _Attribute("PixelPaddingRangeLimit", (b"US", b"SS"), _integer, required=False, ambiguous=True),
    0x00281052: _Attribute("RescaleIntercept", _DS, _number),
    0x00281053: _Attribute("RescaleSlope", _DS, _number),
    0x00283000: _Attribute("ModalityLUTSequence", (b"SQ",), _unusual, required=False),
    _PIXELS: _Attribute("PixelData", (b"OW",), _unusual),
}
