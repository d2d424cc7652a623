"""A file that the system does not give is not a damaged file: the patient is refused, and no other slice or structure set takes its place."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penumbra.base.refusal import Refusal
from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate
from penumbra.imaging import read_patient
from penumbra.imaging.dicom import find_dicom
from penumbra.imaging.folder import readable, understood


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readable")
    simulate(folder, seed=3, centers=[plan for plan in small_cohort(1, refused=False) if plan.name == "north"])
    return next(path for path in sorted((folder / "north").iterdir()) if path.is_dir())


@pytest.mark.parametrize("which", [0, -1])
def test_a_medium_that_fails(patient: Path, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(path for path in patient.rglob("*") if path.is_file())
    read_patient(patient)
    opened = Path.open

    def fails(self: Path, *arguments: Any, **others: Any) -> Any:
        if self == files[which]:
            raise OSError(errno.EIO, "Input/output error", str(self))
        return opened(self, *arguments, **others)

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(Refusal, match=r"^a file cannot be read \(Input/output error\).*\(rule files_readable\)") as refused:
        read_patient(patient)
    assert patient.name not in str(refused.value)


def _number() -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "/Doe^John")


def _decoder() -> None:
    raise OSError("broken data stream of Doe^John")


@pytest.mark.parametrize(("fault", "rule"), [(_number, "files_readable"), (_decoder, "files_understood")])
def test_neither_says_a_name(fault: Callable[[], None], rule: str) -> None:
    with pytest.raises(Refusal) as refused, readable(), understood():
        fault()
    assert refused.value.rule == rule
    assert "Doe" not in str(refused.value)


def test_a_slice_that_was_cut_off_in_its_first_lines_is_counted_as_damaged(patient: Path, tmp_path: Path) -> None:
    """Broke: with only the file's meta information left it was neither a slice nor damaged, and nobody was told."""
    folder = tmp_path / "cut"
    shutil.copytree(patient, folder)
    slices = sorted(item.path for item in find_dicom(folder).slices)
    os.truncate(slices[0], 300)
    assert "1 damaged DICOM files were left out." in find_dicom(folder).notes
