"""Named arrays and text in one file of the safetensors format, written whole or not at all; numpy only.

The format: the length of the header as 8 little-endian bytes; the header as JSON, {name: {dtype, shape, data_offsets}} and
"__metadata__" with texts; the arrays one after the other. Written here because a GPU host has none of the project's other packages;
a test reads it with safetensors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base.whole_files import whole_file

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U8": "|u1", "BOOL": "|b1"}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}


def write(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write the arrays, sorted by name, and `metadata`; a reader sees the old file or the new one, never a part."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # aligns the arrays

    with whole_file(path) as fresh, fresh.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays.values():
            file.write(array.data if array.size else b"")


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a file.

    Raises
    ------
    ValueError
        "<name> is not a safetensors file, or only a part of one".
    """
    content = path.read_bytes()
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        body = memoryview(content)[8 + length :]
        tensors = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(body[start:end], TYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path.name} is not a safetensors file, or only a part of one; write it again") from error
    return tensors, metadata
