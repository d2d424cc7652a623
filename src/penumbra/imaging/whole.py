"""Whether a DICOM file is complete: decoders silently accept what is left of a truncated file."""

import struct
import zlib
from functools import cache

DELIMITED = 0xFFFFFFFF  # a length that is not stated: the value ends with a delimiter
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VR = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")  # VR with a length of 32 bits
_TRANSFER_SYNTAX = 0x00020010
_DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"


def top_level_tags(content: bytes) -> frozenset[int]:
    """Tags of the data set in a DICOM file, outside its sequences, after every element was followed to its end.

    Parameters
    ----------
    content
        The bytes of the file, with or without the preamble; of any transfer syntax, lengths stated or delimited, deflated or not.

    Raises
    ------
    ValueError
        Where the file ends within an element, a sequence or the deflated stream, or where its rest was filled with zeros.

    References
    ----------
    DICOM PS3.5 sections 7.1, 7.5 and A.5, PS3.10 section 7.1.
    """
    data, big_endian = _data_set(content)
    walk = Walk(data, ">" if big_endian else "<", implicit=not _has_vr(data, 0))
    return frozenset(walk.elements(0, len(data), top=True)[1])


def _data_set(content: bytes) -> tuple[bytes, bool]:
    """The data set after the file meta information, inflated, and whether it is big-endian."""
    at = 132 if content[128:132] == b"DICM" else 0
    syntax = ""
    while content[at : at + 2] == b"\x02\x00":  # the meta information is explicit, little-endian
        tag, _, length, start = Walk(content, "<", implicit=False).header(at)
        if start + length > len(content):
            raise ValueError("cut off")
        if tag == _TRANSFER_SYNTAX:
            syntax = content[start : start + length].decode("ascii", "replace").strip(" \0")
        at = start + length
    if syntax != _DEFLATED:
        return content[at:], syntax == _BIG_ENDIAN
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = stream.decompress(content[at:])
    if not stream.eof:
        raise ValueError("cut off")
    return data, False


class Walk:
    """Steps through the elements of a data set.

    Parameters
    ----------
    data
        All of its bytes.
    order
        Of bytes, as in `struct`.
    implicit
        No element states its VR.
    """

    def __init__(self, data: bytes, order: str, *, implicit: bool) -> None:
        self.data = data
        self.implicit = implicit
        self.tag, self.short, self.long = struct.Struct(f"{order}HH"), struct.Struct(f"{order}H"), struct.Struct(f"{order}L")

    def header(self, at: int) -> tuple[int, bytes, int, int]:
        """Tag, VR, length and start of the value of the element at a byte; the VR of an implicit one is b"SQ" or b""."""
        if at + 8 > len(self.data):
            raise ValueError("cut off")
        group, element = self.tag.unpack_from(self.data, at)
        tag = group << 16 | element
        vr = self.data[at + 4 : at + 6]
        if group == 0xFFFE or self.implicit or not _has_vr(self.data, at):
            length = self.long.unpack_from(self.data, at + 4)[0]
            return tag, b"SQ" if _is_sequence(tag) else b"", length, at + 8
        if vr not in LONG_VR:
            return tag, vr, self.short.unpack_from(self.data, at + 6)[0], at + 8
        if at + 12 > len(self.data):
            raise ValueError("cut off")
        return tag, vr, self.long.unpack_from(self.data, at + 8)[0], at + 12

    def elements(self, at: int, end: int, *, top: bool = False, delimited: bool = False) -> tuple[int, list[int]]:
        """Where the elements from a byte on end, and their tags; `delimited`: they end with an item delimiter."""
        tags: list[int] = []
        while at < end:
            if top and not any(self.data[at : at + 8]) and not any(self.data[at:]):  # padding after the last element
                return end, tags
            tag, vr, length, start = self.header(at)
            if delimited and tag == _ITEM_END:
                return start, tags
            if not tag >> 16 or tag >> 16 == 0xFFFE:
                raise ValueError("no element where one must be")
            at = self.after(vr, length, start, end)
            tags.append(tag)
        if at > end or delimited:
            raise ValueError("cut off")
        return at, tags

    def after(self, vr: bytes, length: int, start: int, end: int) -> int:
        """Where a value ends."""
        if length != DELIMITED:
            if start + length > end:
                raise ValueError("cut off")
            return self._items(start, start + length, delimited=False) if vr == b"SQ" else start + length
        outer, self.implicit = self.implicit, self.implicit or vr == b"UN"  # what is of unknown VR is implicit inside
        try:
            return self._items(start, end, delimited=True, nested=vr in (b"SQ", b"UN", b""))
        finally:
            self.implicit = outer

    def _items(self, at: int, end: int, *, delimited: bool, nested: bool = True) -> int:
        """Where the items of a sequence end; `nested`: they hold elements, not fragments of pixels."""
        while at < end:
            tag, _, length, start = self.header(at)
            if delimited and tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise ValueError("no item where one must be")
            if length == DELIMITED:
                at = self.elements(start, end, delimited=True)[0]
            elif start + length > end:
                raise ValueError("cut off")
            else:
                at = self.elements(start, start + length)[0] if nested else start + length
        if at > end or delimited:
            raise ValueError("cut off")
        return at


def _has_vr(data: bytes, at: int) -> bool:
    """Whether the element at a byte states its VR: two capital letters after its tag."""
    return data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper()


@cache
def _is_sequence(tag: int) -> bool:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return tag >> 16 != 0xFFFE and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
