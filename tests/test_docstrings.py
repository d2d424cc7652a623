"""Docstrings of what users import: their examples run, and the check that `make lint` runs finds what is missing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import docstrings

PACKAGES = docstrings.WITH_EXAMPLES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """The home that the examples of `store` and `registry` begin with."""
    from tests import example_home

    made = tmp_path_factory.mktemp("example") / "home"
    example_home.copied(example, made)
    return made


def _marked(package: str) -> object:
    return pytest.param(package, marks=pytest.mark.slow) if package in ("radiomics", "store", "registry") else package


@pytest.mark.parametrize("package", map(_marked, PACKAGES))
def test_every_exported_function_has_an_example_that_runs(package: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """An example may write files: it runs in a folder of its own, which holds nothing but a copy of that home, where it names it."""
    wrong, without = list[str](), list[str]()
    for number, (name, thing) in enumerate(docstrings.exported(package)):
        if docstrings.has_example(thing):
            folder = tmp_path / str(number)
            folder.mkdir()
            if '"home"' in thing.__doc__:
                shutil.copytree(request.getfixturevalue("home"), folder / "home")
            wrong += docstrings.wrong_examples(name, thing, folder, {})
        elif docstrings.needs_example(name, thing):
            without.append(name)
    assert not wrong, "\n".join(wrong)
    assert not without, without


def followed(time: np.ndarray, day: float) -> int:
    """Count the patients who were followed to a day.

    Parameters
    ----------
    time : shape (n,), days
        Of the last follow-up.
    day : days
        From the start of treatment.

    Returns
    -------
    int
        How many.

    Raises
    ------
    ValueError
        "day must be positive; found ...".

    Examples
    --------
    >>> followed(np.array([100.0, 400.0]), 365)
    1
    """
    if not day > 0:
        raise ValueError(f"day must be positive; found {day:g}")
    return int(np.count_nonzero(time >= day))


def test_a_whole_docstring_has_no_finding() -> None:
    assert list(docstrings.findings("followed", followed, example=True)) == []


@pytest.mark.parametrize(
    ("whole", "planted", "found"),
    [
        ("to a day.", "to a day", "SS03 Summary does not end with a period"),
        ("to a day.", "to a day\n    and after.", "SS06 Summary should fit in a single line"),
        ("time : shape (n,), days", "time : days", "the array time has no shape"),
        ("        From the start of treatment.\n", "", 'PR07 Parameter "day" has no description'),
        ("    day : days\n        From the start of treatment.\n", "", "PR01 Parameters {'day'} not documented"),
        ("    day : days", "    date : days", "PR02 Unknown parameters {'date'}"),
        ("    Returns\n    -------\n    int\n        How many.\n\n", "", "RT01 No Returns section found"),
        ('    Raises\n    ------\n    ValueError\n        "day must be positive; found ...".\n\n', "", "raises ValueError, which Raises does not describe"),
        ("ValueError\n", "KeyError\n", "raises ValueError, which Raises does not describe"),
        ("Raises\n    ------", "Fails\n    -----", "GL06 Found unknown section"),
        ("    Examples\n    --------\n    >>> followed(np.array([100.0, 400.0]), 365)\n    1\n", "", "EX01 No examples section found"),
    ],
)
def test_a_planted_fault_is_found(whole: str, planted: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = followed.__doc__ or ""
    assert whole in text
    monkeypatch.setattr(followed, "__doc__", text.replace(whole, planted))
    assert any(found in finding for finding in docstrings.findings("followed", followed, example=True)), found


def test_a_function_without_a_docstring_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "__doc__", None)
    assert any("GL08" in finding for finding in docstrings.findings("followed", followed, example=True))


def test_an_example_that_shows_something_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"followed": followed, "np": np}
    assert docstrings.wrong_examples("followed", followed, tmp_path, names) == []
    monkeypatch.setattr(followed, "__doc__", (followed.__doc__ or "").replace("365)\n    1", "365)\n    2"))
    assert "Expected:\n    2\nGot:\n    1" in "".join(docstrings.wrong_examples("followed", followed, tmp_path, names))


def test_every_exported_name_is_looked_at() -> None:
    """The lists of the packages are read, lazily loaded names and the functions of an exported module included; methods come with their class."""
    names = {name for package in PACKAGES for name, _ in docstrings.exported(package)}
    assert {"penumbra.survival.uno", "penumbra.survival.cox.ranks", "penumbra.imaging.read_patient", "penumbra.imaging.GtvNames.order"} <= names
    assert {"penumbra.radiomics.extract", "penumbra.fusion.fit", "penumbra.store.Store.write", "penumbra.registry.promote"} <= names


@pytest.mark.slow
def test_the_tree_has_no_finding() -> None:
    assert list(docstrings.all_findings()) == []
