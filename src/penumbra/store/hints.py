"""What to do about a statement that fails: the name or word that was most likely meant, and what the engine itself proposes.

Nothing here decides whether a statement may run. The guard uses it too, in a process that can open no file: what is needed is imported at once.
"""

import difflib  # noqa: F401 refusal.nearest imports it, and the judging process could not any more
import re
from collections.abc import Callable, Collection, Mapping

from penumbra.base.refusal import choose, nearest
from penumbra.store.wording import Word

# Columns of the relations that are words of the language, and have to be quoted.
RESERVED = ("at", "rows")
# Keywords of a query whose misspellings are recognized.
QUESTION_WORDS = frozenset(
    {"SELECT", "FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "HAVING", "JOIN", "LEFT", "USING", "DISTINCT", "BETWEEN", "UNION", "VALUES", "WITH"}
    | {"DESCRIBE", "SUMMARIZE", "SHOW", "TABLES", "EXPLAIN", "PIVOT", "UNPIVOT", "CASE", "WHEN", "THEN", "ELSE", "NULL", "LIKE", "DESC", "AND", "NOT"}
)
LONGEST = 5000  # characters of a statement that is tried in another spelling
MAX_MESSAGE = 300  # characters of the engine's message
MAX_CANDIDATES = 5
QUOTE = "Correct the statement; names with a dash go in double quotes"
_COLUMN = (
    r'Referenced column "(?P<name>[^"]*)" (?:not found|was not found)',
    r'does not have a column named "(?P<name>[^"]*)"',
    r'[Cc]olumn "(?P<name>[^"]*)" does not exist',
    r'"(?P<name>[^"]*)" in (?:EXCLUDE|REPLACE|RENAME) list not found',
)
_DASHED = re.compile(r"(?<![\w\"'.-])[A-Za-z]\w*(?:-\w+)+")
_CANDIDATES = re.compile(r"^Candidate (?:bindings|functions|tables|Entries)", re.IGNORECASE)


def of_syntax(parses: Callable[[str], bool], statement: str, words: list[Word], message: str) -> str:
    """What to do about a syntax error.

    Parameters
    ----------
    parses
        Whether the parser takes a statement.
    words
        The statement's words.
    message
        The parser's message.
    """
    if "unterminated" in message:
        return "Close the quotation mark: texts go in '...', names in \"...\""
    raw = statement.encode()
    if len(raw) <= LONGEST:
        bare = [word for word in words if word.text in map(str.upper, RESERVED)]
        quoted = raw
        for word in reversed(bare):
            end = word.start + len(word.text)
            quoted = quoted[: word.start] + b'"' + quoted[word.start : end] + b'"' + quoted[end:]
        if bare and parses(quoted.decode()):
            names = list(dict.fromkeys(word.text.lower() for word in bare))
            return f"Put {' and '.join(names)} in double quotes: " + ", ".join(f'"{name}"' for name in names)
        for at in _suspects(words, raw, message):
            word = words[at]
            near = nearest(word.text, sorted(QUESTION_WORDS)) if word.text.isalpha() and word.text not in QUESTION_WORDS else ""
            end = word.start + len(word.text.encode())
            if near and parses((raw[: word.start] + near.encode() + raw[end:]).decode()):
                return f"Did you mean {near}?"
    if "end of input" in message:
        return "The statement ends too early: complete it"
    return QUOTE


def _suspects(words: list[Word], raw: bytes, message: str) -> list[int]:
    """Indices of the word at which the parser stopped and of the two before it."""
    stopped = re.search(r'at or near "([^"]*)"', message)
    places = [at for at, word in enumerate(words) if stopped and raw[word.start :].decode(errors="replace").startswith(stopped[1])]
    stops = places or [len(words)]
    return [at - back for back in (0, 1, 2) for at in stops[:3] if 0 <= at - back < len(words)]


def of_engine(text: str, statement: str, columns: Mapping[str, Collection[str]]) -> tuple[str, str]:
    """The engine's message about a statement that does not fit the relations, as fault and advice.

    Parameters
    ----------
    text
        Of its error, all lines.
    columns
        Of the relations that the statement names.
    """
    lines = [line.strip() for line in re.split(r"\n\s*(?:LINE \d+:|\^)", text)[0].split("\n") if line.strip()]
    first = re.sub(r"^(?:[A-Z][A-Za-z-]* )+Error: ", "", lines[0] if lines else "")[:MAX_MESSAGE] if lines else "the statement fails"
    more = lines[1:]
    missing = next((match["name"] for pattern in _COLUMN if (match := re.search(pattern, first))), None)
    candidates = [name for line in more if _CANDIDATES.match(line) for name in re.findall(r'"([^"]+)"', line)][:MAX_CANDIDATES]
    if missing is not None:
        where = f" in {', '.join(columns)}" if columns else ""
        return f"no column {missing[:80]!r}{where}", _of_column(missing, statement, columns, candidates)
    if (unknown := re.search(r'Referenced table "([^"]*)" not found', first)) is not None:
        return f"no relation or alias {unknown[1]!r} in FROM", choose(unknown[1], candidates or columns, what="there are")
    details = " ".join(line.replace("!", "") for line in more if not _CANDIDATES.match(line) and "->" not in line)[:MAX_MESSAGE]
    if candidates and not details:
        details = f"Candidates: {', '.join(candidates)}"
    if "Could not convert" in first or "Cannot compare" in first or "No function matches" in first:
        described = f"DESCRIBE {next(iter(columns))} shows the type of each column" if columns else ""
        return first, ". ".join(part.rstrip(".") for part in (details, described) if part) or "Correct the statement"
    return first, details or (f"Correct the statement; DESCRIBE {next(iter(columns))} shows the columns" if columns else "Correct the statement")


def place(text: str, statement: str) -> int | None:
    """Where in the statement the engine's message points to, in characters; None where it does not say.

    It shows one line of the statement, or the part of it around the place, with a mark below.
    """
    shown = re.search(r"^LINE (\d+): (\.\.\.)?([^\n]*)\n( *)\^", text, re.MULTILINE)
    lines = statement.split("\n")
    if shown is None or not 0 < int(shown[1]) <= len(lines):
        return None
    line = lines[int(shown[1]) - 1]
    start = line.find(shown[3].removesuffix("...")) if shown[2] else 0
    column = start + len(shown[4]) - len(f"LINE {shown[1]}: {shown[2] or ''}")
    return sum(len(each) + 1 for each in lines[: int(shown[1]) - 1]) + column if start >= 0 and 0 <= column <= len(line) else None


def _of_column(missing: str, statement: str, columns: Mapping[str, Collection[str]], candidates: list[str]) -> str:
    """What to do about a column that does not exist."""
    names = list(dict.fromkeys(name for each in columns.values() for name in each))
    dashed = next((name for name in _DASHED.findall(statement) if name.split("-")[0].casefold() == missing.casefold()), None)
    if dashed is not None:
        near = nearest(dashed, (name for name in names if "-" in name)) or dashed
        return f'Put a name with a dash in double quotes: "{near}"'
    having = [relation for relation, names in columns.items() if missing.casefold() in map(str.casefold, names)]
    if having:
        return f"Of these {having[0]} alone has it" if len(having) == 1 else f"Write {having[0]}.{written(missing)}, the relation or its alias first"
    near = nearest(missing, names)
    if f'"{missing}"' in statement and not near:
        return f"Put a text in single quotes: '{missing}'; double quotes are for names"
    if not near and re.search(rf"(?:=|<>|!=|\bIN\s*\(|,)\s*{re.escape(missing)}\b", statement, re.IGNORECASE):
        return f"Put a text in single quotes: '{missing}'"
    others = [name for name in candidates if name != near]
    question = f"Did you mean {written(near)}? " if near else ""
    listed = f"Candidates: {', '.join(map(written, others))}" if others else ""
    described = f"DESCRIBE {next(iter(columns))} shows its columns" if len(columns) else ""
    return question + ("; ".join(part for part in (listed, described) if part) if not near else listed)


def written(name: str) -> str:
    """A name as it must be written in a statement, quoted if necessary."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in RESERVED else f'"{name}"'
