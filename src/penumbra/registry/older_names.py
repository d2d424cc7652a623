"""Names that were changed, and what they were before: parameter files and keys that were written with the older ones keep their meaning."""

from collections.abc import Mapping
from typing import Any

# group.name of params.yaml today -> what it was called before
PARAMETERS = {
    "retrain.max_rejected": "retrain.most_rejected",
    "serve.max_kills": "serve.most_kills",
    "serve_sql.max_rows": "serve_sql.most_rows",
}
# field of imaging.GtvNames today -> what it was called when keys were first made from it
GTV_NAMES = {"center_patterns": "own"}


def with_today_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """The groups of a parameter file under today's names; a name that is there in both spellings is left for the reader to refuse."""
    return _renamed(document, {old: new for new, old in PARAMETERS.items()})


def with_older_names(groups: Mapping[str, Any]) -> dict[str, Any]:
    """Groups of parameters under their first names: keys that were made from them stay what they were."""
    return _renamed(groups, PARAMETERS)


def _renamed(groups: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    changed = dict(groups)
    for name, other in names.items():
        group, key = name.split(".")
        key_after = other.split(".")[1]
        values = changed.get(group)
        if isinstance(values, Mapping) and key in values and key_after not in values:
            changed[group] = {key_after if each == key else each: value for each, value in values.items()}
    return changed
