"""The manual: builds without a warning and without the network, every link and anchor leads somewhere, and the reference has every name of the program."""

import ast
import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from penumbra.cli import reference_api

from . import manual
from .console import browser
from .english import ROOT

pytestmark = [pytest.mark.xdist_group("manual")]
# What a reader has open without the manual as well: these link to files of the repository.
LOOSE = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "infra/README.md", "features/README.md", "models/README.md")
MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")
POINTER = re.compile(r"\bdocs/[\w/]+\.md(?:#[\w-]+)?")
# Documents that are not in the repository, and folders outside it.
ABSENT = re.compile(r"\bPROTOCOL(?: \d|\.md)|\bDESIGN(?:, section|\.md)|\b(?:EVIDENCE|PEERS|CONSOLE|ENVIRONMENT|STYLE|ENGLISH)\.md|(?<!\w)shared/\w")
ANCHOR = re.compile(r"\{#([\w.-]+)\}\s*$")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual") / "site"
    built = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-4000:]
    assert not re.search(r"^WARNING", built.stderr, re.MULTILINE), built.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    """Address -> the page, without what infra/manual.py adds to tables for the layout alone."""
    texts = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    return {address: re.sub(r' data-head="[^"]*"|<wbr>|(?<=<code) class="words"', "", text) for address, text in texts.items()}


def anchors(page: str) -> set[str]:
    return {html.unescape(name) for name in re.findall(r'\b(?:id|name)="([^"]+)"', page)}


def links(page: str) -> Iterator[str]:
    yield from (html.unescape(link) for link in re.findall(r'\b(?:href|src)="([^"]*)"', page))


@pytest.mark.slow
def test_no_link_of_the_built_manual_is_dead(site: Path, pages: dict[str, str]) -> None:
    by_page = {name: anchors(text) for name, text in pages.items()}
    dead = []
    for name, text in pages.items():
        if name == "404.html":
            continue
        for link in links(text):
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = (site / name).parent / unquote(to.path) if to.path else site / name
            place = target.resolve()
            if place.is_dir():
                place /= "index.html"
            if not place.is_file() or (to.fragment and place.suffix == ".html" and unquote(to.fragment) not in by_page[place.relative_to(site).as_posix()]):
                dead.append((name, link))
    assert dead == []


@pytest.mark.slow
def test_the_manual_loads_nothing_from_elsewhere(site: Path, pages: dict[str, str]) -> None:
    """A hospital's network has no way out: no script, style, font or picture is another server's."""
    for name, text in pages.items():
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"', text) + re.findall(
            r'<link\b[^>]*\brel="(?:stylesheet|preconnect|preload|icon)"[^>]*\bhref="([^"]+)"', text
        )
        assert [each for each in loaded if urlsplit(each).netloc] == [], name
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 30e6


@pytest.mark.slow
def test_the_reference_has_every_command_relation_rule_and_parameter(pages: dict[str, str]) -> None:
    from penumbra.base.ranges import RANGES
    from penumbra.base.yaml_files import read_yaml
    from penumbra.cli import main
    from penumbra.commands.rules import declared
    from penumbra.store.views import relation_names

    commands = pages["reference/commands.html"]
    of_command = dict(re.findall(r'<h3 id="([^"]+)">(.*?)(?=<h[23] |\Z)', commands, re.DOTALL))
    assert set(main.commands) <= set(of_command)
    for name, command in main.commands.items():
        for parameter in command.params:
            for option in (each for each in parameter.opts if each.startswith("--")):
                assert f"<code>{option}</code>" in of_command[name], (name, option)
            assert not isinstance(parameter, click.Option) or (parameter.help or "").strip(), (name, parameter.opts)
    relations = anchors(pages["reference/relations.html"])
    assert {name for name in relation_names(None) if name.lower().replace("_", "-") not in relations} == set()
    rules = pages["rules.html"]
    assert {name for name in declared() if f"<code>{name}</code>" not in rules} == set()
    parameters = anchors(pages["reference/params.html"])
    keys = {*leaves(read_yaml(ROOT / "params.yaml")), *leaves(read_yaml(ROOT / "models" / "se_resnet.yaml"))}
    assert len(keys) > 150
    assert {key for key in keys if key not in parameters} == set()
    assert {key for key in RANGES if key not in parameters and not any(key.startswith(f"{name}.") for name in parameters)} == set()


PHONE = 390
WIDER = """[...document.querySelectorAll('table[data-sentences]')].filter(
  table => { const around = table.closest('.md-typeset__scrollwrap'); return !around || around.scrollWidth > around.clientWidth + 1; }
).map(table => table.innerText.slice(0, 60))"""


@pytest.mark.slow
@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed")
def test_no_table_of_sentences_scrolls_sideways_on_a_phone(site: Path) -> None:
    """The table of parameters had to be pushed to and fro to read one line; tables of figures still scroll."""
    with browser.browser() as running, running.tab() as tab:
        tab.size(PHONE)
        for page in ("reference/params.html", "reference/commands.html", "rules.html", "imaging.html", "method.html"):
            tab.go((site / page).as_uri())
            assert tab.run("document.querySelectorAll('table[data-sentences]').length") > 0, page
            assert tab.run(WIDER) == [], page
            assert tab.run("document.documentElement.scrollWidth") <= PHONE, page


@pytest.mark.slow
@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed")
def test_the_manual_is_searched_without_a_server(site: Path) -> None:
    with browser.browser() as running, running.tab() as tab:
        tab.go(f"{(site / 'reference' / 'params.html').as_uri()}?q=pseudonyms")
        tab.until("document.querySelectorAll('.md-search-result__item').length > 0")
        assert "store.html" in tab.run("[...document.querySelectorAll('.md-search-result__item a')].map(link => link.href).join()")
        assert tab.faults == []


def leaves(values: dict[str, object], above: str = "") -> Iterator[str]:
    """Every parameter: what the profiles give in turn is one."""
    for name, entry in values.items():
        key = f"{above}{name}"
        if isinstance(entry, dict) and not {"paper", "quick"} & entry.keys() and not is_one_line(key):
            yield from leaves(entry, f"{key}.")
        else:
            yield key


def is_one_line(key: str) -> bool:
    """A mapping that is written on one line is one value."""
    name = key.rpartition(".")[2]
    return any(re.search(rf"^\s*{re.escape(name)}: *\{{", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE) for file in ("params.yaml",))


@pytest.mark.slow
def test_every_column_and_every_parameter_of_the_reference_is_explained(pages: dict[str, str]) -> None:
    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>\s*<td><code>([^<]+)</code></td>\s*<td>(.*?)</td>", pages["reference/relations.html"], re.DOTALL)
    assert len(rows) > 400
    assert [name for name, _, meaning in rows if not meaning.strip()] == []
    parameters = re.findall(r"<tr>\s*<td><a id=\"([^\"]+)\"></a>.*?</td>\s*<td>.*?</td>\s*<td>(.*?)</td>", pages["reference/params.html"], re.DOTALL)
    assert len(parameters) > 150
    assert [name for name, meaning in parameters if not meaning.strip()] == []


@pytest.mark.slow
def test_every_signature_of_the_reference_is_python() -> None:
    pages = {name: text for name, text in reference_api.pages().items() if name != "api.md"}
    signatures = [code for text in pages.values() for code in re.findall(r"^##+ [^\n]*\n\n```python\n(.*?)\n```", text, re.MULTILINE | re.DOTALL)]
    assert len(signatures) > 200
    for signature in signatures:
        ast.parse(f"def {signature}: ...")
    read = next(signature for signature in signatures if signature.startswith("read(\n"))
    assert 'relation: str = "radiomics"' in read
    assert 'Literal["pandas", "polars", "arrow"] = "pandas"' in read


def test_the_reference_has_every_public_name(pages: dict[str, str]) -> None:
    from . import docstrings

    written = set().union(*(anchors(text) for name, text in pages.items() if name.startswith("reference/api")))
    for package in docstrings.PACKAGES:
        names = [name for name, _ in docstrings.exported(package)]
        assert names
        assert [name for name in names if name not in written] == []


@pytest.mark.parametrize("page", LOOSE)
def test_a_page_of_the_repository_links_to_what_is_there(page: str) -> None:
    for link in MARKDOWN_LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        to = urlsplit(link)
        if to.netloc:
            continue
        target = ((ROOT / page).parent / unquote(to.path)).resolve() if to.path else ROOT / page
        assert target.exists(), link
        assert not to.fragment or to.fragment in headings(target), link


def headings(page: Path) -> set[str]:
    """The anchors of a page as it is in the repository: stated, or made of the heading as MkDocs makes them."""
    names = set()
    for line in manual.FENCED.sub("", page.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            stated = ANCHOR.search(line)
            words = re.sub(r"[^\w\s-]", "", re.sub(r"`|\[|\]\([^)]*\)", "", line.lstrip("#"))).strip().lower()
            names.add(stated[1] if stated else re.sub(r"[-\s]+", "-", words))
    return names


def test_code_and_declarations_point_to_pages_of_the_manual() -> None:
    """22 lines referred to documents that nobody has who has the repository."""
    pointers, elsewhere = set(), []
    for top in ("src", "flows", "features", "models", "infra", "tests", "docs", "examples"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yaml", ".sql", ".md", ".html", ".sh", "") and path.is_file() and "reference" not in path.parts[-2:]:
                if path.name == Path(__file__).name:
                    continue
                text = path.read_text(encoding="utf-8", errors="ignore")
                pointers |= {(path.name, each) for each in POINTER.findall(text)}
                elsewhere += [(path.name, each) for each in ABSENT.findall(text)]
    for file in ("params.yaml", "pyproject.toml", "README.md", "Makefile"):
        pointers |= {(file, each) for each in POINTER.findall((ROOT / file).read_text(encoding="utf-8"))}
    assert elsewhere == []
    assert len(pointers) > 30
    for place, pointer in sorted(pointers):
        page, _, anchor = pointer.partition("#")
        assert (ROOT / page).is_file(), (place, pointer)
        assert not anchor or anchor in headings(ROOT / page), (place, pointer)


@pytest.mark.parametrize("block", manual.blocks(), ids=lambda block: f"{block.page.stem}: {block.commands[0][:50] if block.commands else ''}")
def test_commands_of_the_manual_are_run_by_a_test_or_dated(block: manual.Block) -> None:
    """`Run on DATE, MACHINE` in the section, `Run by tests/...py` there, or a command that reads, which tests/end_to_end/test_manual_commands.py runs."""
    if block.is_dated:
        return
    if block.test is not None:
        assert (ROOT / block.test).is_file()
        return
    assert block.language != "python", "Python of the manual has the date on which it was run, or the test that runs it"
    tested = manual.read_only()
    for line in block.commands:
        assert line.partition("  #")[0].strip().removeprefix("penumbra").strip() in tested, f"neither dated nor run by a test: {line}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert re.search(rf"\b{re.escape(page.name)}\b", navigation), page.name
