"""One DICOM file: reading it, decoding its pixels, and what its slice is called."""

import struct
import zlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.imaging.folder import readable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What a damaged or foreign file makes pydicom and its decoders raise; what the system reports about a file is not damage (`readable`).
BROKEN = (
    OSError,  # of decoders, without a number
    zlib.error,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    OverflowError,
    RuntimeError,  # of decoders; NotImplementedError and RecursionError (sequences within each other) among them
    struct.error,
)


_END_OF_STREAM, _ENDING = b"\xff\xd9", 16  # of all JPEG families; zeros may fill the rest of the fragment


@dataclass(frozen=True)
class SliceHeader:
    """One CT slice before its pixels are read: a file of its own, or a frame of a multi-frame file.

    Parameters
    ----------
    instance
        SOP instance UID of the file.
    spacing : mm
        Between rows (y) and between columns (x), in this order, as PixelSpacing has them.
    orientation : shape (6,)
        Direction cosines of a row (x axis), then of a column (y axis).
    position : shape (3,)
        Center of the first pixel, mm, LPS.
    number
        Of the frame within a multi-frame file, from 1; None for a file of one slice.
    converted
        Names of the slices that a frame was converted from.
    """

    path: Path
    instance: str
    series: str
    frame: str | None
    size: tuple[int, int]
    spacing: tuple[float, float]
    orientation: np.ndarray
    position: np.ndarray
    number: int | None = None
    converted: tuple[str, ...] = ()

    @property
    def own_names(self) -> tuple[str, ...]:
        """The name by which a reference identifies this slice alone, see `referenced`."""
        if self.number is None:
            return self.instance, _frame_name(self.instance, 1)
        return _frame_name(self.instance, self.number), *self.converted

    def named_in(self, names: Set[str]) -> bool:
        """Whether a reference among `names` is to this slice, or to the whole file that it is a frame of."""
        return self.instance in names or not names.isdisjoint(self.own_names)


def referenced(item: "Dataset") -> Iterator[str]:
    """The slices that a reference names: by SOP instance UID, and where it names frames of a multi-frame file, one name for each.

    References
    ----------
    DICOM PS3.3 10.3 (image SOP instance reference).
    """
    instance = str(item.get("ReferencedSOPInstanceUID") or "")
    numbers = item.get("ReferencedFrameNumber")
    if numbers in (None, ""):
        yield instance
        return
    for number in [numbers] if isinstance(numbers, int | str) else numbers:
        yield _frame_name(instance, int(number))


def _frame_name(instance: str, number: int) -> str:
    return f"{instance}#{number}"


def read_file(path: Path, only: tuple[str, ...] | None = None) -> "Dataset":
    """The dataset of a DICOM file, with or without the preamble; `only` these attributes and no pixels, or all.

    Raises
    ------
    Refusal
        `files_readable`; of damaged content one of BROKEN.
    """
    import pydicom

    with readable(), lenient():
        return pydicom.dcmread(path, force=True, stop_before_pixels=only is not None, specific_tags=list(only) if only else None)


def decoded(dataset: "Dataset", frame: int | None = None) -> np.ndarray:
    """The stored pixels, decompressed; of a multi-frame file all frames, or the one of this index.

    Raises
    ------
    ValueError
        For a code stream without its end, which decoders silently fill up, and for whatever else a decoder makes of damaged bytes: that of RLE raises
        something that is not an Exception.
    """
    from pydicom.encaps import generate_frames, get_frame
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

    try:
        if dataset.file_meta.TransferSyntaxUID in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
            frames = int(dataset.get("NumberOfFrames") or 1)
            one = [] if frame is None else [get_frame(dataset.PixelData, frame, number_of_frames=frames)]
            streams = one or generate_frames(dataset.PixelData, number_of_frames=frames)
            if not all(_END_OF_STREAM in stream[-_ENDING:] for stream in streams):
                raise ValueError("cut off")
        stored: np.ndarray = dataset.pixel_array if frame is None else pixel_array(dataset, index=frame)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ValueError(type(error).__name__) from error
    return stored


@contextmanager
def lenient() -> Iterator[None]:
    """Read with pydicom without warnings about values that only violate a formal rule, such as a name that is too long."""
    import warnings

    from pydicom import config

    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield
