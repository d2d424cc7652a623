"""The manual as its readers type it: blocks of code, the section that each is in, and whether that section says when they were run."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .english import ROOT

PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "infra" / "README.md")
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    [^\n]+\n)+", re.MULTILINE)
HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
# `Run on 2026-11-27, two cores of an AMD EPYC: ...`, in the block's section; or the test that runs it: `Run by tests/store/test_backup.py.`
DATED = re.compile(r"\bRun on \d{4}-\d{2}-\d{2}, [^.:]*\b(?:EPYC|Xeon|H100)\b")
TESTED = re.compile(r"\bRun by `(tests/[\w/]+\.py)`")
PROGRAMS = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:penumbra|make|mlflow|pip|python3?|curl|dvc|prefect|docker|apt-get|infra/\S+)(?: |$)", re.MULTILINE)
# Commands that only read, in a second or two: a test runs each where the section gives no date.
READS = frozenset(
    (*("sql", "card", "verify", "drift", "compare", "models", "predict", "rois", "baseline", "doctor", "status", "rules", "explain", "columns"), "")
)


@dataclass(frozen=True)
class Block:
    """A block of code: its page, its language ("" of an indented one), its text, and the text of its section."""

    page: Path
    language: str
    text: str
    section: str

    @property
    def is_dated(self) -> bool:
        return bool(DATED.search(self.section))

    @property
    def test(self) -> str | None:
        """The test that its section names."""
        named = TESTED.search(self.section)
        return named and named[1]

    @property
    def commands(self) -> list[str]:
        """Its lines that somebody types."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")]


def sections(page: str) -> Iterator[str]:
    """From one heading to the next; a # within a block of code is none."""
    hidden = FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), page)
    places = [0, *(heading.start() for heading in HEADING.finditer(hidden)), len(page)]
    yield from (page[start:end] for start, end in itertools.pairwise(places))


def blocks() -> Iterator[Block]:
    """Every block with commands or Python of the manual's pages, those that the program writes left out."""
    for page in PAGES:
        parts = list(sections(page.read_text(encoding="utf-8")))
        whole = " ".join(named[0] for named in TESTED.finditer("".join(parts[:2])) if page.stem == "python")  # its first lines name the test of every block
        for section in parts:
            for language, text in FENCED.findall(section):
                if language in ("console", "python", "sh", "bash"):
                    yield Block(page, language, text, section + whole)
            for indented in INDENTED.findall(FENCED.sub("", section)):
                text = "\n".join(line[4:] for line in indented.splitlines())
                if PROGRAMS.search(text):
                    yield Block(page, "", text, section)


def read_only() -> list[str]:
    """The commands of sections without a date that read and are run by a test, without `penumbra`."""
    found = dict[str, None]()
    for block in blocks():
        if block.language in ("console", "") and not block.is_dated and block.test is None:
            for line in block.commands:
                words = line.split(">")[0].split() if line.startswith("penumbra") else []
                if words and (words[1] if len(words) > 1 else "") in READS:
                    found[line.partition("  #")[0].strip().removeprefix("penumbra").strip()] = None
    return list(found)
