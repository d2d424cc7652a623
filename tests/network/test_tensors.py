from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from penumbra.network import tensors

ARRAYS = {
    "b/second": np.arange(6, dtype=np.int32).reshape(2, 3),
    "a/first": np.array([1.5, -0.0, np.nan, np.inf], np.float32),
    "scalar": np.array(7, np.uint32),
    "empty": np.zeros((0, 4), np.float32),
    "flags": np.array([True, False, True]),
}


def test_safetensors_reads_what_is_written(tmp_path: Path) -> None:
    tensors.write(tmp_path / "file", ARRAYS, {"settings": '{"é": 1}'})
    for name, array in load_file(tmp_path / "file").items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_safetensors_writes_is_read(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "file", metadata={"who": "safetensors"})
    arrays, metadata = tensors.read(tmp_path / "file")
    assert metadata == {"who": "safetensors"}
    assert {name: (a.tobytes(), a.shape, a.dtype) for name, a in arrays.items()} == {name: (a.tobytes(), a.shape, a.dtype) for name, a in ARRAYS.items()}


def test_the_same_content_gives_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    tensors.write(tmp_path / "one", ARRAYS, {"a": "1", "b": "2"})
    tensors.write(tmp_path / "two", dict(reversed(ARRAYS.items())), {"b": "2", "a": "1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_part_of_a_file_is_refused(tmp_path: Path, length: int) -> None:
    tensors.write(tmp_path / "file", ARRAYS, {})
    (tmp_path / "part").write_bytes((tmp_path / "file").read_bytes()[:length])
    with pytest.raises(ValueError, match="part is not a safetensors file"):
        tensors.read(tmp_path / "part")
