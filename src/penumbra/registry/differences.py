"""What two registered versions do not have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.registry.model import LoadedModel


@dataclass(frozen=True)
class Difference:
    """One thing two versions do not share.

    Parameters
    ----------
    aspect
        "train_center", "data", "param", "setting", "feature_version", "model", "feature" (an input column) or "environment".
    name
        Which one.
    first, second
        Its values, "" where a version lacks it.
    """

    aspect: str
    name: str
    first: str
    second: str


def differences(first: LoadedModel, second: LoadedModel) -> list[Difference]:
    """List every difference in what two versions were fitted on and with, and in the features they read.

    Parameters
    ----------
    first, second
        From `load`.

    Returns
    -------
    list
        A Difference each, sorted by aspect in the order of `Difference.aspect`, then by name; empty for equal versions.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from pathlib import Path
    >>> from penumbra.registry import differences, load
    >>> first = load(Path("home"))
    >>> second = replace(first, settings={**first.settings, "rois": {"margins_mm": [4, 8, 12]}})
    >>> [(found.aspect, found.name, found.first, found.second) for found in differences(first, second)]
    [('setting', 'rois.margins_mm', '[3, 6, 9]', '[4, 8, 12]')]
    """
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("train_center", _present(first.lineage.train_centers), _present(second.lineage.train_centers)),
        ("data", first.lineage.data_digests, second.lineage.data_digests),
        ("param", first.lineage.params, second.lineage.params),
        ("setting", _flat(first.settings), _flat(second.settings)),
        ("feature_version", first.feature_versions, second.feature_versions),
        ("model", _present((first.served, *first.models)), _present((second.served, *second.models))),
        ("feature", _present(first.model.columns), _present(second.model.columns)),
        ("environment", first.lineage.environment, second.lineage.environment),
    ]
    return [
        Difference(aspect, name, str(one.get(name, "")), str(other.get(name, "")))
        for aspect, one, other in pairs
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def _present(names: tuple[str, ...]) -> dict[str, str]:
    return dict.fromkeys(names, "yes")


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
