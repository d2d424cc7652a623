"""The project's English: American spelling, and the habits of translated text that mislead a reader. `python -m tests.english` is part of `make lint`.

A word list, not a grammar: it reads every line of code, comments, SQL, YAML, pages and documentation, identifiers included.
"""

import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("*.md", "*.yaml", "*.toml", "Makefile", "docs", "examples", "features", "flows", "infra", "models", "src", "tests")
KINDS = frozenset((".py", ".md", ".sql", ".yaml", ".toml", ".html", ".css", ".sh", ".csv", ""))
OTHERS = ("tests/reference/", "tests/english.py", "tests/test_english.py")  # other programs' files, and the list itself

# British -> American. A word counts inside an identifier too: fit_colour, TumourVolume.
SPELLING = {
    r"tumour": "tumor",
    r"(?:col|behavi|fav|hon|neighb|lab|rum|vap|flav|harb|hum)our": "-or",
    r"centr(?:e|es|ed|ing)(?![a-z])": "center",
    r"(?:milli|centi|kilo|nano)(?:metre|litre)|(?<![a-z])(?:metre|litre)s?(?![a-z])|fibre|calibre": "-er",
    r"(?<![a-z])grey": "gray",
    r"learnt|spoilt|(?<![a-z])(?:burnt|spelt|dreamt|leant|leapt)(?![a-z])": "-ed",
    r"(?:harmon|normal|standard|organ|optim|minim|maxim|initial|serial|random|recogn|summar|penal|regular|general|visual|real|util|parametr|discret|binar"
    r"|local|categor|emphas|character|token|stabil|quant|raster|vector|memor|item|priorit|synchron|author|anonym|pseudonym|digit|special|custom|equal)"
    r"is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])": "-ize",
    r"analys(?:e|ed|ing|er)(?![a-z])": "analyze",
    r"(?:model|label|travel|signal|channel|total|tunnel)l(?:ed|ing|er)(?![a-z])": "one l",
    r"licence|defence|offence|pretence": "-se",
    r"judgement|acknowledgement": "-gment",
    r"programme(?![a-z])": "program",
    r"artefact|(?<![a-z])ageing|whilst|amongst|(?<![a-z])towards": "artifact, aging, while, among, toward",
    r"oedema|haemo|oesoph|paediatr|anaemi|aetiolog": "edema, hemo-, esoph-, pediatr-, anemi-, etiolog-",
    r"(?<![a-z])(?:fulfil|enrol|instal)(?![a-z])|skilful": "fulfill, enroll, install, skillful",
}


@dataclass(frozen=True)
class Habit:
    """A phrase: the pattern, letters that every line with it has (which spares most lines the pattern), and what to say instead."""

    pattern: str
    letters: tuple[str, ...]
    say: str


_FITTED = r"\b(?:patients?|outcomes?|deaths|whom|who) (?:(?:that|who|did|do|does|not|had|have) )*fit(?:s|ted)?\b(?! (?:on|in|into|next)\b)|\bfitted it\b"
_BESIDE = r"(?<=[a-z,)] )beside(?= (?:the|an?|its?|them|this|each|ours?|others?|that|those|what|[A-Z])\b|[.;\"'](?!\w)| *$)"
_LIES = r"\b(?:files?|folders?|pages?|rows?|weights|artifacts?|tables?|stores?|catalogs?|manifests?|reports?) (?:that )?(?:lies?|lay)\b"
_GOES_ON = r"\b(?:goes|go|went) on (?:from|with|to the|until|in the|meanwhile|elsewhere)\b|\bthe others? go on\b|\ba run goes on\b"
_A = r"\b(?:one|columns?|networks|epochs|batches|voxels|seconds|units|bytes|row) an? (?:line|row|patient|fold|center|axis|voxel|batch|epoch|value)\b"
HABITS = (
    Habit(_FITTED, ("fit",), "a model is fitted on patients; patients do not fit a model"),
    Habit(r"(?<!-)\b(?:stands?|stood) (?:in|beside|nowhere|under|once|below|above|at|between)\b", ("stand", "stood"), "is in, is defined in, is next to"),
    Habit(_BESIDE, ("beside",), "next to, alongside, as well"),
    Habit(_LIES, (" lie", " lay"), "is, is stored"),
    Habit(r"\b[Ww]hom?ever\b", ("ever",), "a noun: user, caller, operator"),
    Habit(r"\banew\b", ("anew",), "again, re-"),
    Habit(r"\bfor ever\b", ("for ever",), "forever"),
    Habit(_GOES_ON, (" on",), "continues, resumes"),
    Habit(r"\bno news\b|\bwithout a word\b|\bno(?: rule|body) foresaw\b", ("no news", "a word", "foresaw"), "no-op, silently, unexpected"),
    Habit(_A, (" a ", " an "), "per"),
)


@dataclass(frozen=True)
class Allowed:
    """A word that stays: the text around it, where (path prefix), and why."""

    text: str
    where: str
    why: str


ALLOWED = (
    Allowed(r"\bharmonise\b", "", "the key fuse.harmonise of params.yaml, which people's files have"),
    Allowed(r"harmoniser\b", "src/penumbra/fusion/stored.py", "the key in registered models, whose digest covers it"),
    Allowed(r"harmoniser\b", "tests/fusion/test_harmonize.py", "the same key"),
    Allowed(r'"harmonised"', "tests/fusion/test_harmonize.py", "a key of tests/reference/combat"),
    Allowed(r"\bgrey(?=_levels\b)", "", "a rule, which stored rejections name"),
    Allowed(r"Image Biomarker Standardisation Initiative", "tests/radiomics/test_ibsi.py", "a name"),
    Allowed(r"(?i)(?:primary |volume, )?tumour|oedema", "features/rois.yaml", "what centers call structures"),
    Allowed(r"oedema", "src/penumbra/imaging/primary.py", "what centers call structures"),
    Allowed(r"(?i)tumour", "tests/imaging/test_names.py", "what centers call structures"),
    Allowed(r'"tumour"', "tests/cohort/test_rois.py", "what centers call structures"),
    Allowed(r'"tumour"', "tests/pipeline/test_origins.py", "what centers call structures"),
    Allowed(r"\bcentre\b", "tests/store/test_proof.py", "a misspelled column"),
    Allowed(r"ANALYSE", "src/penumbra/store/wording.py", "a keyword of SQL"),
    Allowed(r"for ever", "features/schema/0001_relations.sql", "a released migration is never edited"),
)

_WORD = re.compile("[A-Za-z]+")
_SPELLING = {re.compile(pattern, re.IGNORECASE): say for pattern, say in SPELLING.items()}
_HABITS = [(habit, re.compile(habit.pattern)) for habit in HABITS]


@functools.cache
def _american(word: str) -> str:
    """What to say instead of a word; "" where it is American."""
    return next((say for pattern, say in _SPELLING.items() if pattern.search(word)), "")


def findings(text: str, path: str = "") -> Iterator[tuple[int, str, str]]:
    """Line number, word found and what to say instead, for each word of `text` (a file's content) that the lists have."""
    british = {word: say for word in set(_WORD.findall(text)) if (say := _american(word))}
    for number, line in enumerate(text.split("\n"), 1):
        found = [(word.span(), word.group(), british[word.group()]) for word in _WORD.finditer(line) if word.group() in british] if british else []
        for habit, pattern in _HABITS:
            if any(letters in line for letters in habit.letters):
                found += [(phrase.span(), phrase.group(), habit.say) for phrase in pattern.finditer(line)]
        if found:
            spared = [known.span() for each in ALLOWED if path.startswith(each.where) for known in re.finditer(each.text, line)]
            yield from ((number, word, say) for (start, end), word, say in found if not any(first <= start and end <= last for first, last in spared))


def files() -> list[Path]:
    """The project's own text files."""
    found = {path for place in PLACES for root in ROOT.glob(place) for path in ([root] if root.is_file() else root.rglob("*"))}
    return sorted(path for path in found if path.is_file() and path.suffix in KINDS and not str(path.relative_to(ROOT)).startswith(OTHERS))


def main() -> int:
    """Print every finding as path:line; the exit status says whether there was one."""
    bad = 0
    for path in files():
        name = str(path.relative_to(ROOT))
        for line, word, say in findings(path.read_text(encoding="utf-8"), name):
            print(f"{name}:{line}: {word!r}: say {say}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
