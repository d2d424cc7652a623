"""The word list of the project's English finds what it should, spares what it should, and finds nothing in the tree."""

import re

import pytest

from .english import ALLOWED, ROOT, files, findings


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the tumour's Volume", ["tumour"]),
        ("def fit_colour(centre: float) -> None:", ["colour", "centre"]),
        ("class TumourVolume:", ["TumourVolume"]),
        ("harmonised, then normalised to grey", ["harmonised", "normalised", "grey"]),
        ("labelled by a neighbour, 3 millilitres", ["labelled", "neighbour", "millilitres"]),
        ("centers whose patients fit the models", ["patients fit"]),
        ("patients that did not fit it", ["patients that did not fit"]),
        ("Patients: those who fitted version 2", ["who fitted"]),
        ("the number stands in params.yaml", ["stands in"]),
        ("the truth lies beside it.", ["beside"]),
        ("copy them beside.", ["beside"]),
        ("where the files lie", ["files lie"]),
        ("whoever reads it starts anew, for ever", ["whoever", "anew", "for ever"]),
        ("it goes on from there", ["goes on from"]),
        ("The same rows again are no news.", ["no news"]),
        ("networks a fold", ["networks a fold"]),
    ],
)
def test_what_is_found(text: str, found: list[str]) -> None:
    assert sorted(word for _, word, _ in findings(text)) == sorted(found)


@pytest.mark.parametrize(
    "text",
    [
        "the tumor at the center of a gray image, harmonized, 3 mL",
        "a model is fitted on patients; patients that it was fitted on",
        "GrayLevelVariance, aggregated, characteristic, optimism, promises, surprise, analyses, precise, exercise",
        "temporary.beside(path); beside=('at',); for words in beside:",
        "a contour that lies on its slice; values lie below",
        "a stand-in for a service; the axes stand for z, y, x",
        "fuse.harmonise: combat",
        "Refusal `grey_levels`",
        "two patients a center accepted and one a person named",
    ],
)
def test_what_is_spared(text: str) -> None:
    assert list(findings(text)) == []


def test_a_finding_names_its_line_and_what_to_say() -> None:
    assert list(findings("one\ntwo tumours\n")) == [(2, "tumours", "tumor")]


def test_the_tree_has_none() -> None:
    names = [str(path.relative_to(ROOT)) for path in files()]
    assert {"README.md", "params.yaml", "Makefile", "infra/run", "features/catalogue.csv", "features/views/patients.sql"} <= set(names)
    assert len(names) > 500
    found = [f"{name}:{line}: {word!r}: say {say}" for name in names for line, word, say in findings((ROOT / name).read_text(encoding="utf-8"), name)]
    assert not found, "\n".join(found)


def test_every_exception_is_needed() -> None:
    text = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files()}
    for each in ALLOWED:
        assert any(name.startswith(each.where) and re.search(each.text, content) for name, content in text.items()), each
