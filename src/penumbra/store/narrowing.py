"""Which columns and features a statement can need at most: of 1316 columns most statements name two, and binding the others takes most of their time.

Judged on the parsed statement, and only where nothing else can be meant: where a column may be meant without its name, all are needed.
"""

from collections.abc import Collection, Iterator
from typing import Any

LONG = frozenset(("radiomics_long", "radiomics_long_all"))  # a row for each value, named in the column `feature`
MOST = 64  # columns or features: beyond, all are as good
# What may be in a statement whose columns are all named. Not PIVOT, SHOW, SUMMARIZE, nor anything that a later engine brings.
_NODES = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE", "BASE_TABLE", "JOIN", "SUBQUERY", "EMPTY", "EMPTY_FROM", "EXPRESSION_LIST"}
    | {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER", "ASCENDING", "DESCENDING", "ORDER_DEFAULT"}
)
_UNNAMED = frozenset(("STAR", "POSITIONAL_REFERENCE"))


def columns_needed(tree: Any, relations: Collection[str]) -> tuple[str, ...] | None:
    """Every name, in lower case, that may mean a column of a relation; None: all columns may be needed.

    Parameters
    ----------
    tree
        A parsed statement that has been accepted.
    relations
        Their names in lower case.
    """
    names, tables = set[str](), set[str]()
    single = set[str]()
    for node in _mappings(tree):
        kind, form = node.get("class"), node.get("type")
        if kind in _UNNAMED or (kind is None and isinstance(form, str) and form not in _NODES and not form.endswith("_TYPE_INFO")):
            return None
        if kind == "COLUMN_REF":
            parts = [str(part).lower() for part in node.get("column_names") or ()]
            names.update(parts)
            single.update(parts[:1] if len(parts) == 1 else ())
        elif form == "BASE_TABLE":
            if node.get("column_name_alias") or node.get("schema_name") or node.get("catalog_name"):
                return None
            tables.update(str(node.get(part) or "").lower() for part in ("table_name", "alias"))
        elif form == "JOIN":
            if node.get("ref_type") not in ("REGULAR", "CROSS"):
                return None
            names.update(str(column).lower() for column in node.get("using_columns") or ())
        if any(str(entry.get("key")).lower() in relations for entry in (node.get("cte_map") or {}).get("map", ())):
            return None
    if single & tables or len(names) > MOST:  # the name of a table in place of a column is its whole row
        return None
    return tuple(sorted(names))


def features_needed(tree: Any) -> tuple[str, ...] | None:
    """The features that every mention of the long relations is restricted to by a condition of its own; None: all may be needed."""
    mentions, restricted = 0, 0
    features = set[str]()
    for node in _mappings(tree):
        mentions += node.get("type") == "BASE_TABLE" and str(node.get("table_name") or "").lower() in LONG
        if node.get("type") == "SELECT_NODE" and not node.get("sample"):  # a sample is drawn before the condition
            for table in _joined(node.get("from_table") or {}):
                if str(table.get("table_name") or "").lower() in LONG:
                    listed = _listed(node.get("where_clause") or {}, table)
                    if listed is None:
                        return None
                    restricted += 1
                    features |= listed
    return tuple(sorted(features)) if mentions and mentions == restricted and len(features) <= MOST else None


def _joined(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tables in FROM, where a condition on one keeps the same rows before the join and after it."""
    if table.get("type") == "BASE_TABLE":
        yield table
    elif table.get("type") == "JOIN" and table.get("join_type") == "INNER" and table.get("ref_type") in ("REGULAR", "CROSS", "NATURAL"):
        yield from _joined(table["left"])
        yield from _joined(table["right"])


def _listed(where: dict[str, Any], table: dict[str, Any]) -> set[str] | None:
    """The features that a conjunction allows of this table; None: any."""
    if table.get("column_name_alias") or table.get("sample"):
        return None
    if where.get("type") == "CONJUNCTION_AND":
        return next((listed for part in where["children"] if (listed := _listed(part, table)) is not None), None)
    if where.get("type") == "COMPARE_EQUAL":
        sides = [where["left"], where["right"]]
    elif where.get("type") == "COMPARE_IN":
        sides = where["children"]
    else:
        return None
    column, constants = (sides[0], sides[1:]) if sides[0].get("class") == "COLUMN_REF" or where["type"] == "COMPARE_IN" else (sides[1], sides[:1])
    named = [str(part).lower() for part in column.get("column_names") or ()]
    of_table = str(table.get("alias") or table["table_name"]).lower()
    if named not in (["feature"], [of_table, "feature"]) or not all(_is_text(constant) for constant in constants):
        return None
    return {str(constant["value"]["value"]) for constant in constants}


def _is_text(constant: dict[str, Any]) -> bool:
    value = constant.get("value")
    return (
        constant.get("class") == "CONSTANT"
        and isinstance(value, dict)
        and not value.get("is_null")
        and (value.get("type") or {}).get("id") == "VARCHAR"
        and isinstance(value.get("value"), str)
    )


def _mappings(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            yield node
            waiting.extend(node.values())
