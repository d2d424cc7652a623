"""The card in the schema of the Coalition for Health AI (Applied Model Card v0.2): XML, which its validator reads, with the answers of models/chai.yaml."""

import json
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from penumbra.report.card import SPLITS, Lines, Measured, ModelCard
from penumbra.report.words import NOT_KNOWN, metric_words

ROOT = "AppliedModelCard"
RESULTS = "results"  # the answer that stands for the figures of the card
KEYWORD = "Keyword"  # an element per keyword


def applied_model_card(card: ModelCard, declared: Mapping[str, Any]) -> str:
    """The card as an XML document with every field of the schema; what is not known says so.

    Parameters
    ----------
    declared
        models/chai.yaml: the namespace, and in the order of the schema the path of each field with its answer.
    """
    ElementTree.register_namespace("", declared["namespace"])
    root = ElementTree.Element(f"{{{declared['namespace']}}}{ROOT}")
    facts = _facts(card)
    for path, answer in declared["fields"].items():
        *groups, name = path.split("/")
        parent = root
        for group in groups:
            parent = _child(parent, group)
        if answer == RESULTS:
            _results(_child(parent, name), groups[-1], card)
            continue
        text = _filled(answer, facts)
        for part in text.split("; ") if name == KEYWORD else (text,):
            ElementTree.SubElement(parent, _named(parent, name)).text = part
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _named(parent: ElementTree.Element, name: str) -> str:
    """The name in the namespace of its parent."""
    return f"{parent.tag.partition('}')[0]}}}{name}"


def _child(parent: ElementTree.Element, name: str) -> ElementTree.Element:
    """The element of a group, made where it is not there."""
    child = parent.find(_named(parent, name))
    return ElementTree.SubElement(parent, _named(parent, name)) if child is None else child


def _filled(answer: str | None, facts: Mapping[str, str]) -> str:
    """The answer with its facts; where one is missing, that it is not known."""
    if not answer:
        return NOT_KNOWN
    names = {name for _, name, _, _ in string.Formatter().parse(answer) if name}
    return answer.format(**{name: facts.get(name) or NOT_KNOWN for name in names})


def _facts(card: ModelCard) -> dict[str, str]:
    """What an answer may name."""
    use = dict(card.purpose)
    parameters = dict(card.parameters)
    return {
        "model": card.model,
        "version": str(card.version),
        "aliases": ", ".join(card.aliases) or "no alias",
        "digest": card.digest,
        "registered_at": card.registered_at,
        "served": card.served,
        "purpose": _sentences(card.purpose),
        "population": use.get("Patients", ""),
        "applicability": _sentences(card.applicability),
        "stability": _sentences(card.stability),
        "limits": _sentences(card.limits),
        "biases": next((text for name, text in card.limits if name == "Not stored"), ""),
        "centers": ", ".join(row.center for row in card.data),
        "data": "; ".join(f"{row.center} ({row.use}): {row.patients} patients, {row.deaths} died" for row in card.data),
        "harmonization": parameters.get("fuse.harmonise", ""),
        "lineage": _sentences(card.lineage),
        "looks": "; ".join(f"{center} {times}" for center, times in card.looks),
    }


def _sentences(lines: Lines) -> str:
    return "; ".join(f"{name}: {text}" for name, text in lines)


def _results(parent: ElementTree.Element, group: str, card: ModelCard) -> None:
    """A MetricResult for each figure of a group; one that says that there is none."""
    for label, value in list(_figures(group, card)) or [(NOT_KNOWN, {"kind": "single", "value": None})]:
        result = ElementTree.SubElement(parent, _named(parent, "MetricResult"))
        ElementTree.SubElement(result, _named(result, "Label")).text = label
        ElementTree.SubElement(result, _named(result, "ValueJson")).text = json.dumps(value, allow_nan=False)


def _figures(group: str, card: ModelCard) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if group == "FairnessEquity":
        for row in card.subgroups:
            if math.isfinite(row.c):
                yield f"C (Harrell), {row.set}, {row.subgroup} (n {row.patients}, died {row.deaths})", _value(row.c, row.c_lower, row.c_upper)
        return
    rows: Sequence[Measured] = card.evidence if group == "UsefulnessUsabilityEfficacy" else card.calibration
    for each in rows:
        label = f"{metric_words(each.metric)}, {each.center}, {SPLITS.get(each.split, each.split)} (n {each.patients}, died {each.deaths})"
        yield label, _value(each.value, each.lower, each.upper)


def _value(value: float, lower: float, upper: float) -> dict[str, Any]:
    """A figure in the two forms that the schema's examples have."""
    if math.isfinite(lower) and math.isfinite(upper):
        return {"kind": "estimate_ci", "estimate": value, "lower": lower, "upper": upper, "level": 95, "unit": ""}
    return {"kind": "single", "value": value, "unit": ""}
