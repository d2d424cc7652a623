"""What a user's SQL may do: query the relations, and nothing else. The parsed statement is judged, not its text.

Runs in the process of penumbra.store.judging alone. Of DuckDB only the lexer and `json_serialize_sql` see a statement before it has passed: the one
that parses without preparing. (`extract_statements` evaluates the arguments of PRAGMA, and opens the files of IMPORT DATABASE.)
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from penumbra.base.refusal import Refusal, choose, nearest
from penumbra.store import hints
from penumbra.store.narrowing import columns_needed, features_needed
from penumbra.store.wording import PIVOTS, explained, first, statements, with_columns_listed, words

RULE = "read_only_sql"
ADVICE = "ask with one SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN"
LONGEST = 100_000  # characters of a statement
DEEPEST = 200  # parentheses within each other: the parser descends once for each
MAX_COMMENTS = 200  # each one that does not end costs the lexer a walk through the rest
MAX_MESSAGE = 200  # characters of the parser's message
QUESTIONS = frozenset(
    ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "PIVOT", "PIVOT_WIDER", "PIVOT_LONGER", "UNPIVOT", "DESCRIBE", "DESC", "SHOW", "SUMMARIZE", "EXPLAIN")
)
# Functions in FROM that make rows from their arguments or describe the relations; every other one may reach files or settings.
TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
    | {"duckdb_columns", "duckdb_tables", "duckdb_views", "duckdb_functions", "duckdb_keywords", "duckdb_types"}
)
# These read the table that their first argument names.
TABLE_MACROS = frozenset(("histogram", "histogram_values"))
# Scalar functions that show or change the engine rather than compute, or work on its inner representations.
REFUSED_FUNCTIONS = frozenset(
    {"getenv", "current_setting", "getvariable", "write_log", "sleep_ms", "pg_sleep", "nextval", "currval", "setseed", "get_block_size"}
    | {"current_query", "current_query_id", "current_connection_id", "current_transaction_id", "txid_current", "in_search_path", "current_schemas"}
    | {"json_execute_serialized_sql", "json_serialize_plan", "json_serialize_sql", "json_deserialize_sql", "parse_duckdb_log_message"}
    | {"combine", "finalize", "sum_no_overflow", "create_sort_key", "variant_bytes_to_variant", "variant_to_parquet_variant"}
)
REFUSED_FAMILIES = re.compile(r"__.*|inet_.*|has_\w+_privilege|pg_(?!typeof|size_pretty).*|(?:col|obj|shobj)_description")
CATALOG_VIEWS = frozenset(("tables", "columns", "views", "schemata", "duckdb_columns", "duckdb_tables", "duckdb_views"))
SHOWS = frozenset(("tables", '"tables"', "__show_tables_expanded"))
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_THE_ENGINE = re.compile(r"(?:duckdb|sqlite|pragma|pg|ducklake)_.*|__.*|information_schema")

Parser = Callable[[str], str]  # the output of json_serialize_sql for a statement


@dataclass(frozen=True)
class Verdict:
    """A statement that may run.

    Parameters
    ----------
    every
        It queries the catalog, so every relation must exist.
    described
        It is DESCRIBE of this relation.
    listed
        It is SHOW TABLES. Both are answered with comments.
    unlisted
        It holds a PIVOT whose columns are only known from the rows.
    columns
        In lower case, the only names that it may mean columns by; None: all columns may be needed.
    features
        All that it asks of the relations with one value per row; None: all may be needed.
    """

    statement: str
    every: bool
    described: str | None = None
    listed: bool = False
    unlisted: bool = False
    columns: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None


def refuse_unreadable(statement: str) -> None:
    """Refuse text that is not a statement or is too large for one, without reading its words.

    Raises
    ------
    Refusal
        "read_only_sql".
    """
    if len(statement) > LONGEST or _depth(statement) > DEEPEST or statement.count("/*") > MAX_COMMENTS:
        raise Refusal(RULE, "the statement is too long or too deeply nested", f"keep it under {LONGEST} characters and {DEEPEST} levels")
    if "\x00" in statement:
        raise Refusal(RULE, "the statement holds a zero byte", ADVICE)
    if not statement.isascii() and any("\ud800" <= letter <= "\udfff" for letter in statement):
        raise Refusal(RULE, "the statement is not valid Unicode", "send it as UTF-8")


def judge(parse: Parser, statement: str, relations: Collection[str]) -> Verdict:
    """Accept one statement, or refuse it in one sentence.

    Parameters
    ----------
    parse
        The parser of an engine that is locked and holds nothing.

    Raises
    ------
    Refusal
        "read_only_sql" (what the statement tries), "sql_syntax", "relation" (with the relations there are).
    """
    refuse_unreadable(statement)
    tokens = words(statement)
    count, begins = statements(tokens), first(tokens)
    if count > 1:
        raise Refusal(RULE, f"{count} statements at once", "ask one at a time")
    if not begins and not statement.strip("; \t\r\n"):
        raise Refusal(RULE, "there is no statement", ADVICE)
    if begins == "EXPLAIN":
        parts = explained(statement, tokens)
        if parts is None:
            raise Refusal(RULE, "EXPLAIN with an option that is not offered, or of nothing", "use EXPLAIN, EXPLAIN ANALYZE or EXPLAIN (FORMAT json)")
        if first(words(parts[1])) == "EXPLAIN":
            raise Refusal("sql_syntax", "EXPLAIN of an EXPLAIN", "explain a question")
        inner = judge(parse, parts[1], relations)
        if inner.unlisted:
            raise Refusal(RULE, "EXPLAIN of a PIVOT without IN is not offered", "list the columns: PIVOT ... ON center IN ('north', 'east')")
        return Verdict(parts[0] + inner.statement, inner.every)
    if begins and begins not in QUESTIONS:
        _refuse_other(parse, statement, begins)
    parsed = json.loads(parse(statement))
    unlisted = False
    if parsed.get("error_type") == "not implemented" and any(word.text in PIVOTS for word in tokens):
        listed = with_columns_listed(statement, tokens)
        unlisted, parsed = True, json.loads(parse(listed))
    if parsed.get("error"):
        raise _refused(parse, parsed, statement, begins)
    if len(parsed["statements"]) != 1:
        raise Refusal(RULE, "there is no statement" if not parsed["statements"] else "several statements at once", ADVICE)
    lowered = {name.lower() for name in relations}
    verdict = _judge_tree(statement, parsed["statements"], lowered)
    if not (unlisted or verdict.every or verdict.described):
        verdict = replace(verdict, columns=columns_needed(parsed["statements"], lowered), features=features_needed(parsed["statements"]))
    listing = [word.text for word in tokens if word.text != ";"] in (["SHOW", "TABLES"], ["SHOW", "ALL", "TABLES"], ["DESCRIBE"], ["DESC"], ["SHOW"])
    return replace(verdict, listed=listing, unlisted=unlisted)


def _refuse_other(parse: Parser, statement: str, begins: str) -> None:
    """Refuse a statement that is not a query; text that is not SQL is refused as a syntax error."""
    parsed = json.loads(parse(statement))
    if parsed.get("error_subtype") == "SYNTAX_ERROR":
        raise _refused(parse, parsed, statement, begins)
    raise Refusal(RULE, f"{begins if begins.isalpha() else 'this'} is not a question", ADVICE)


def _refused(parse: Parser, parsed: dict[str, Any], statement: str, begins: str) -> Refusal:
    """The refusal of a statement that the parser rejects."""
    message = str(parsed.get("error_message", "")).split("\n")[0].strip()
    if "SELECT INTO" in message or "CTE needs a SELECT" in message:
        return Refusal(RULE, "the statement writes", ADVICE)
    if "expression depth" in message or "memory exhausted" in message:
        return Refusal(RULE, "the statement is too long or too deeply nested", f"keep it under {LONGEST} characters and {DEEPEST} levels")
    if parsed.get("error_type") == "not implemented":
        return Refusal(RULE, f"this {begins} is not a question", ADVICE)

    def parses(other: str) -> bool:
        return not json.loads(parse(other)).get("error")

    return Refusal("sql_syntax", message[:MAX_MESSAGE], hints.of_syntax(parses, statement, words(statement), message)).at(
        _place(parsed.get("position"), statement)
    )


def _place(position: object, statement: str) -> int | None:
    """Where the parser stopped, in characters: it counts bytes."""
    return len(statement.encode()[: int(str(position))].decode(errors="ignore")) if str(position).isdecimal() else None


def _judge_tree(statement: str, tree: Any, relations: set[str]) -> Verdict:
    every, nodes = False, []
    for node, scope in _nodes(tree):
        nodes.append(node)
        kind = node.get("type")
        if kind == "BASE_TABLE":
            every |= _judge_table(statement, node, relations, scope)
        elif kind == "TABLE_FUNCTION":
            every |= _judge_table_function(node.get("function") or {}, relations)
        elif kind == "SHOW_REF":
            target = str(node.get("table_name") or "").lower()
            if node.get("schema_name") or node.get("catalog_name") or (target and target not in SHOWS and target.strip('"') not in relations):
                subject = target.strip('"') or "TABLES of another schema"
                raise Refusal(RULE, f"SHOW {subject[:80]} is not about the relations", "use SHOW TABLES, DESCRIBE or SUMMARIZE")
            every |= target in SHOWS or not node.get("query")
        elif node.get("class") == "FUNCTION":
            name = str(node.get("function_name")).lower()
            if name in REFUSED_FUNCTIONS or REFUSED_FAMILIES.fullmatch(name):
                raise Refusal(RULE, f"the function {name[:80]} is not offered", "compute with the values of the relations")
    return Verdict(statement, every, _described(nodes))


def _judge_table(statement: str, node: dict[str, Any], relations: set[str], scope: frozenset[str]) -> bool:
    """Whether a table named in FROM is a view of the catalog; refused when it is neither this, a relation, nor in scope a name given in WITH."""
    name, schema, catalog = (str(node.get(part) or "").lower() for part in ("table_name", "schema_name", "catalog_name"))
    if not schema and not catalog and name in scope:
        return False
    if schema in ("information_schema", "pg_catalog") or (not schema and name.startswith("duckdb_")):
        if name in CATALOG_VIEWS and catalog in ("", "memory", "system"):
            return True
        view = f"{schema}.{name[:80]}" if schema else name[:80]
        raise Refusal(RULE, f"{view} is not offered", "use SHOW TABLES, DESCRIBE or duckdb_columns()")
    if name in relations and schema in ("", "main") and catalog in ("", "memory"):
        return False
    if schema == "memory" and name in relations and not catalog:
        return False
    path = ".".join(part for part in (node.get("catalog_name"), node.get("schema_name"), node.get("table_name")) if part)
    advice = "Did you mean SHOW TABLES?" if nearest(name[:80], ("tables",)) else choose(name[:80], sorted(relations), more="SHOW TABLES")
    raise Refusal("relation", f"no relation {path[:80]!r}", advice).at(_place(node.get("query_location"), statement))


def _judge_table_function(function: dict[str, Any], relations: set[str]) -> bool:
    name = str(function.get("function_name")).lower()
    ours = function.get("schema") in (None, "", "main") and not function.get("catalog")
    if ours and name in TABLE_MACROS:
        source: dict[str, Any] = next(iter(function.get("children") or ()), {})
        column = source.get("column_names") if source.get("type") == "COLUMN_REF" else None
        if not column or len(column) != 1 or str(column[0]).lower() not in relations:
            near = nearest(str(column[0])[:80], relations) if column and len(column) == 1 else ""
            advice = f"Did you mean {name}({near}, ...)?" if near else f"name one, as in FROM {name}(patients, age)"
            raise Refusal(RULE, f"the source of {name} is not a relation", advice)
        return True
    if not ours or name not in TABLE_FUNCTIONS:
        raise Refusal(RULE, f"the table function {name[:80]} is not offered", "ask the relations; SHOW TABLES lists them")
    return name.startswith("duckdb_")


def _described(nodes: list[dict[str, Any]]) -> str | None:
    """The relation of a plain DESCRIBE, which is answered with its comments."""
    shows = [node for node in nodes if node.get("type") == "SHOW_REF" and node.get("show_type") == "DESCRIBE"]
    tables = [str(node["table_name"]) for node in nodes if node.get("type") == "BASE_TABLE"]
    selects = sum(node.get("type") == "SELECT_NODE" for node in nodes)
    return tables[0] if len(shows) == 1 and len(tables) == 1 and selects == 2 else None


def _nodes(tree: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every mapping in the parse tree, with the names given in WITH that a table of it may mean.

    A name is known after its own query, in the queries that follow it and in the body; in its own query only right of a recursive UNION.
    """
    waiting: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, list):
            waiting.extend((part, scope) for part in node)
        elif isinstance(node, dict):
            ctes = node.get("cte_map")
            for entry in (ctes or {}).get("map", []):
                waiting.append((entry["value"], scope))
                scope |= {_cte_name(str(entry["key"]))}
            yield node, scope
            inner = scope | {_cte_name(str(node["cte_name"]))} if node.get("type") == "RECURSIVE_CTE_NODE" else scope
            waiting.extend((part, inner if name == "right" else scope) for name, part in node.items() if name != "cte_map")


def _cte_name(name: str) -> str:
    """A name given in WITH; it can mean neither a file nor a table of the engine's own where it is out of scope."""
    if not _PLAIN_NAME.fullmatch(name) or _OF_THE_ENGINE.fullmatch(name.lower()):
        raise Refusal(RULE, f"WITH names a table {name[:80]!r}", "use letters, digits and underscores, and no name of the engine's own")
    return name.lower()


def _depth(statement: str) -> int:
    depth = deepest = 0
    for letter in statement:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest
