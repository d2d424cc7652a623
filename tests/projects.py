"""A project folder of a test's own: the declarations of the checkout, to be edited."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def copy_project(folder: Path, params: Callable[[str], str] = str) -> Path:
    """Copy params.yaml (passed through `params`), dvc.yaml, requirements.lock, features/ and models/ into folder/project."""
    project = folder / "project"
    project.mkdir()
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copy(CHECKOUT / name, project)
    for name in ("features", "models"):
        shutil.copytree(CHECKOUT / name, project / name)
    (project / "params.yaml").write_text(params((CHECKOUT / "params.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    return project


def project_with(folder: Path, monkeypatch: pytest.MonkeyPatch, params: Callable[[str], str] = str) -> Path:
    """Copy the project as `copy_project`, and make the copy the project."""
    project = copy_project(folder, params)
    monkeypatch.setenv("PENUMBRA_PROJECT", str(project))
    return project
