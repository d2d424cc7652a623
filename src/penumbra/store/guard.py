"""What a person's SQL may do: ask the relations, and nothing else. The parsed statement is judged, not its text."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penumbra.refusal import Refusal
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import duckdb

RULE = "read_only_sql"
ADVICE = "ask with one SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN"
LONGEST = 100_000  # characters of a statement
DEEPEST = 200  # parentheses within each other: the parser descends once for each
# Functions in FROM that make rows from their arguments or describe the relations; every other one may reach files or settings.
TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "histogram", "histogram_values"}
    | {"duckdb_columns", "duckdb_tables", "duckdb_views", "duckdb_functions", "duckdb_keywords", "duckdb_types"}
)
# Scalar functions that show or change the engine rather than compute.
REFUSED_FUNCTIONS = frozenset(
    {"getenv", "current_setting", "getvariable", "write_log", "sleep_ms", "pg_sleep", "nextval", "currval", "setseed", "current_query"}
    | {"json_execute_serialized_sql", "json_serialize_plan", "json_deserialize_sql", "parse_duckdb_log_message", "current_connection_id"}
)
CATALOG_VIEWS = frozenset(("tables", "columns", "views", "schemata", "duckdb_columns", "duckdb_tables", "duckdb_views"))
SHOWS = frozenset(("tables", '"tables"', "__show_tables_expanded"))
PIVOT_ENDS = frozenset(("USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "UNION", "INTERSECT", "EXCEPT", "WHERE", "HAVING", "QUALIFY", ";"))
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LISTING = re.compile(r"\s*(?:SHOW\s+(?:ALL\s+)?TABLES|DESCRIBE|SHOW)\s*;?\s*", re.IGNORECASE)
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """A statement that may run.

    every      it looks at the catalog, so that every relation must be there.
    described  it is DESCRIBE of this relation. listed: it is SHOW TABLES. Both are answered with comments.
    """

    statement: str
    every: bool
    described: str | None = None
    listed: bool = False


def judge(connection: "duckdb.DuckDBPyConnection", statement: str, relations: Collection[str]) -> Verdict:
    """Let one statement pass, or say in one sentence why not.

    connection  any DuckDB connection: only its parser is used.

    Raises      Refusal "read_only_sql" (what the statement tries), "sql_syntax", "relation" (with the relations there are).
    """
    import duckdb

    if len(statement) > LONGEST or _depth(statement) > DEEPEST:
        raise Refusal(RULE, "the statement is too long or too deeply nested", f"keep it under {LONGEST} characters and {DEEPEST} levels")
    if "\x00" in statement:
        raise Refusal(RULE, "the statement holds a zero byte", ADVICE)
    try:
        parsed = connection.extract_statements(statement)
    except duckdb.Error as error:
        if "SELECT INTO" in str(error) or "CTE needs a SELECT" in str(error):
            raise Refusal(RULE, "the statement writes", ADVICE) from None
        raise Refusal("sql_syntax", _first_line(error), "mend the statement; names with a dash go in double quotes") from None
    kinds = [part.type.name for part in parsed]
    if not kinds:
        raise Refusal(RULE, "there is no statement", ADVICE)
    if kinds == ["EXPLAIN"]:
        inner = judge(connection, _EXPLAIN.sub("", _uncommented(statement), count=1), relations)
        return Verdict(statement, inner.every)
    if len(kinds) > 1 and set(kinds[:-1]) == {"CREATE"} and kinds[-1] == "SELECT":
        listed = _with_columns_listed(statement)
        if listed != statement and len(connection.extract_statements(listed)) == 1:
            return replace(judge(connection, listed, relations), statement=statement)
    if len(kinds) > 1:
        raise Refusal(RULE, f"{len(kinds)} statements at once", "ask one at a time")
    if kinds != ["SELECT"]:
        raise Refusal(RULE, f"{kinds[0].replace('_', ' ')} is not a question", ADVICE)
    # A bound parameter would do, but the first one makes DuckDB import pandas: a second for a question that takes a tenth.
    row = connection.execute(f"SELECT json_serialize_sql({literal(statement)})").fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        raise Refusal(RULE, "the statement is not a question", ADVICE)
    return _judge_tree(statement, tree, {name.lower() for name in relations})


def _judge_tree(statement: str, tree: Any, relations: set[str]) -> Verdict:
    nodes = list(_nodes(tree))
    tables = {str(entry["key"]).lower() for node in nodes if "cte_map" in node for entry in node["cte_map"].get("map", [])}
    tables |= {str(node["cte_name"]).lower() for node in nodes if node.get("cte_name")}
    for name in tables:
        _plain(name)
    every = False
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            every |= _judge_table(node, relations, tables)
        elif kind == "TABLE_FUNCTION":
            every |= _judge_table_function(node.get("function") or {})
        elif kind == "SHOW_REF":
            shown = str(node.get("table_name") or "").lower()
            if node.get("schema_name") or node.get("catalog_name") or (shown and shown not in SHOWS and shown.strip('"') not in relations):
                raise Refusal(RULE, f"SHOW {shown.strip(chr(34))} is not about the relations", "use SHOW TABLES, DESCRIBE or SUMMARIZE")
            every |= shown in SHOWS or not node.get("query")
        elif node.get("class") == "FUNCTION" and str(node.get("function_name")).lower() in REFUSED_FUNCTIONS:
            raise Refusal(RULE, f"the function {node['function_name']} is not offered", "compute with the values of the relations")
    return Verdict(statement, every, _described(nodes), _LISTING.fullmatch(_uncommented(statement)) is not None)


def _judge_table(node: dict[str, Any], relations: set[str], tables: set[str]) -> bool:
    """Whether a table named in FROM is a view of the catalog; refused when it is neither this, a relation, nor a name of the statement's own."""
    name, schema, catalog = (str(node.get(part) or "").lower() for part in ("table_name", "schema_name", "catalog_name"))
    if schema in ("information_schema", "pg_catalog") or (not schema and name.startswith("duckdb_") and name not in tables):
        if name in CATALOG_VIEWS and catalog in ("", "memory", "system"):
            return True
        raise Refusal(RULE, f"{schema}.{name} is not offered", "use SHOW TABLES, DESCRIBE or duckdb_columns()")
    if schema in ("", "main") and catalog in ("", "memory") and (name in relations or (name in tables and not schema)):
        return False
    if schema == "memory" and name in relations and not catalog:
        return False
    given = ".".join(part for part in (node.get("catalog_name"), node.get("schema_name"), node.get("table_name")) if part)
    raise Refusal("relation", f"no relation {given[:80]!r}", f"the relations are {', '.join(sorted(relations))}")


def _judge_table_function(function: dict[str, Any]) -> bool:
    name = str(function.get("function_name")).lower()
    if name not in TABLE_FUNCTIONS or function.get("schema") not in (None, "", "main") or function.get("catalog"):
        raise Refusal(RULE, f"the table function {name} is not offered", "ask the relations; SHOW TABLES lists them")
    return name.startswith("duckdb_")


def _described(nodes: list[dict[str, Any]]) -> str | None:
    """The relation of a plain DESCRIBE, which is answered with its comments."""
    shows = [node for node in nodes if node.get("type") == "SHOW_REF" and node.get("show_type") == "DESCRIBE"]
    tables = [str(node["table_name"]) for node in nodes if node.get("type") == "BASE_TABLE"]
    selects = sum(node.get("type") == "SELECT_NODE" for node in nodes)
    return tables[0] if len(shows) == 1 and len(tables) == 1 and selects == 2 else None


def _with_columns_listed(statement: str) -> str:
    """A PIVOT without IN, which the parser splits in two and shows no tree of, as one with IN (NULL): every word of it is still there to be judged."""
    words = list(_words(statement))
    places = []
    for at, (_, word, depth) in enumerate(words):
        if word not in ("PIVOT", "PIVOT_WIDER"):
            continue
        listed, begun = False, False
        for start, other, level in [*words[at + 1 :], (len(statement.encode()), ";", depth)]:
            if level < depth or (level == depth and other in PIVOT_ENDS):
                if begun and not listed:
                    places.append(start)
                if begun or level < depth:
                    break
            elif level == depth and begun and other == ",":
                if not listed:
                    places.append(start)
                listed = False
            elif level == depth and other == "ON":
                begun = True
            elif level == depth and begun and other == "IN":
                listed = True
    raw = statement.encode()
    for place in sorted(set(places), reverse=True):
        raw = raw[:place] + b" IN (NULL) " + raw[place:]
    return raw.decode()


def _words(statement: str) -> Iterator[tuple[int, str, int]]:
    """Every token but comments, constants and quoted names: its offset in bytes of UTF-8, in capitals, and how many parentheses are open around it."""
    import duckdb

    raw, tokens, depth = statement.encode(), duckdb.tokenize(statement), 0
    for place, (start, kind) in enumerate(tokens):
        end = tokens[place + 1][0] if place + 1 < len(tokens) else len(raw)
        word = raw[start:end].decode(errors="replace").strip().upper()
        if kind in (duckdb.token_type.comment, duckdb.token_type.string_const) or word.startswith('"'):
            continue
        depth -= word in (")", "]", "}")
        yield start, word, depth
        depth += word in ("(", "[", "{")


def _uncommented(statement: str) -> str:
    """The statement without comments before its first word."""
    return re.sub(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", "", statement, flags=re.DOTALL)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in the parse tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _plain(name: str) -> None:
    """A name given in WITH must not be able to mean a file where it is out of sight."""
    if not _PLAIN_NAME.fullmatch(name):
        raise Refusal(RULE, f"WITH names a table {name[:80]!r}", "use letters, digits and underscores")


def _depth(statement: str) -> int:
    depth = deepest = 0
    for letter in statement:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0].removeprefix("Parser Error: ").strip()
