"""A statement as tokens: the output of DuckDB's lexer, which evaluates nothing and opens nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

PIVOT_ENDS = frozenset(("USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "UNION", "INTERSECT", "EXCEPT", "WHERE", "HAVING", "QUALIFY", ";"))
PIVOTS = frozenset(("PIVOT", "PIVOT_WIDER"))
PLANS = frozenset(("DEFAULT", "TEXT", "JSON", "HTML", "GRAPHVIZ", "YAML", "MERMAID"))  # the formats of EXPLAIN
_WORD = re.compile(r"[^\W\d][\w$]*")


@dataclass(frozen=True)
class Word:
    """One word of a statement.

    Parameters
    ----------
    start
        Offset in bytes of UTF-8.
    text
        In capitals; of a constant or a quoted name its opening mark.
    depth
        How many parentheses are open around it.
    """

    start: int
    text: str
    depth: int


def words(statement: str) -> list[Word]:
    """Every token of the statement; comments are none."""
    import duckdb

    raw, depth, tokenized = statement.encode(), 0, []
    tokens = duckdb.tokenize(statement)
    for place, (start, kind) in enumerate(tokens):
        end = tokens[place + 1][0] if place + 1 < len(tokens) else len(raw)
        if kind in (duckdb.token_type.keyword, duckdb.token_type.identifier):
            match = _WORD.match(raw[start:end].decode(errors="replace"))
            text = match[0].upper() if match else '"'
        elif kind == duckdb.token_type.operator:
            text = raw[start : start + 1].decode(errors="replace")
        else:
            text = "'"
        depth -= text in (")", "]", "}")
        tokenized.append(Word(start, text, depth))
        depth += text in ("(", "[", "{")
    return tokenized


def statements(tokens: list[Word]) -> int:
    """How many statements the words make: those between semicolons, empty ones left out."""
    count, empty = 0, True
    for word in tokens:
        count += empty and word.text != ";"
        empty = word.text == ";"
    return count


def first(tokens: list[Word]) -> str:
    """The first word that is not a parenthesis; "" where there is none."""
    return next((word.text for word in tokens if word.text not in ("(", ";")), "")


def explained(statement: str, tokens: list[Word]) -> tuple[str, str] | None:
    """EXPLAIN with its options, rebuilt from known words alone, and the statement that it explains; None: not one that is known."""
    texts = [word.text for word in tokens]
    at, options, analyzed, plan = 1, texts[:1], False, None
    if options != ["EXPLAIN"]:
        return None
    if texts[at : at + 1] and texts[at] in ("ANALYZE", "ANALYSE"):
        at, analyzed = at + 1, True
    elif texts[at : at + 1] == ["("] and texts[at + 1 : at + 2] and texts[at + 1] in ("ANALYZE", "ANALYSE", "FORMAT"):
        while texts[at] != ")":
            at += 1
            if texts[at : at + 1] and texts[at] in ("ANALYZE", "ANALYSE"):
                at, analyzed = at + 1, True
            elif texts[at : at + 1] == ["FORMAT"] and texts[at + 1 : at + 2] and (plan_word := _plan(statement, tokens, at + 1)) in PLANS:
                at, plan = at + 2, plan_word
            if texts[at : at + 1] not in ([","], [")"]):
                return None
        at += 1
    if at >= len(tokens):
        return None
    arguments = [*(["ANALYZE"] if analyzed else []), *([f"FORMAT {plan}"] if plan else [])]
    return f"EXPLAIN {'(' + ', '.join(arguments) + ') ' if arguments else ''}", statement.encode()[tokens[at].start :].decode()


def _plan(statement: str, tokens: list[Word], at: int) -> str:
    """The word at `at` in capitals, also where it is in quotation marks: FORMAT 'json'."""
    if tokens[at].text not in ("'", '"'):
        return tokens[at].text
    end = tokens[at + 1].start if at + 1 < len(tokens) else None
    return statement.encode()[tokens[at].start : end].decode().strip().strip("'\"").upper()


def with_columns_listed(statement: str, tokens: list[Word]) -> str:
    """A PIVOT without IN, of which the parser shows no tree, as one with IN (NULL): every word of it is still there to be judged."""
    places = [start for at, word in enumerate(tokens) if word.text in PIVOTS for start in _unlisted(tokens, at, len(statement.encode()))]
    raw = statement.encode()
    for place in sorted(set(places), reverse=True):
        raw = raw[:place] + b" IN (NULL) " + raw[place:]
    return raw.decode()


def _unlisted(tokens: list[Word], at: int, end: int) -> Iterator[int]:
    """Where the IN of the columns of the PIVOT at word `at` is missing, in bytes."""
    depth, listed, in_columns = tokens[at].depth, False, False
    for word in [*tokens[at + 1 :], Word(end, ";", depth)]:
        if word.depth < depth or (word.depth == depth and word.text in PIVOT_ENDS):
            if in_columns and not listed:
                yield word.start
            if in_columns or word.depth < depth:
                return
        elif word.depth == depth and in_columns and word.text == ",":
            if not listed:
                yield word.start
            listed = False
        elif word.depth == depth and word.text == "ON":
            in_columns = True
        elif word.depth == depth and in_columns and word.text == "IN":
            listed = True
