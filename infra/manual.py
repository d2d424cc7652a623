"""MkDocs calls this while it builds the manual: the reference comes from the program, and pages outside docs/ from where they are."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from penumbra.cli import reference

ROOT = Path(__file__).resolve().parents[1]
# Pages of the repository that the manual has too -> their address in it.
OUTSIDE = {"infra/README.md": "infra.md", "ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
POINTER = re.compile(r"(?<![`\[/\w])(?<!\]\()docs/([\w/]+\.md(?:#[\w-]+)?)")
LINK = re.compile(r"(?<=\]\()([^)#\s:]+\.md)(?=[)#])")
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
CELL = re.compile(r"<td( [^>]*)?>(.*?)</td>", re.DOTALL)
LONG_NAME = re.compile(r"<code>([\w.=|/]{14,})</code>")
BREAK = re.compile(r"(?<=[._=|/])(?=\w)")  # where a long name may continue on the next line
MANY_LETTERS = 45  # in a cell: a table of sentences


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference and the pages outside docs/."""
    written = {address: (ROOT / place).read_text(encoding="utf-8") for place, address in OUTSIDE.items()}
    for address, text in (written | reference.pages()).items():
        files.append(File.generated(config, address, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are in the repository lead to the same page of the manual; a page that a table of the reference names is a link."""
    if page.file.src_uri.startswith("reference/"):
        markdown = re.sub(r"^\|.*", lambda row: POINTER.sub(r"[\1](../\1)", row[0]), markdown, flags=re.MULTILINE)
    address = page.file.src_uri
    here = {inside: place for place, inside in OUTSIDE.items()}.get(address, f"docs/{address}")

    def inside(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        return posixpath.relpath(OUTSIDE.get(target, target.removeprefix("docs/")), posixpath.dirname(address) or ".")

    return LINK.sub(inside, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Tables of sentences say so: on a phone each of their rows becomes a block (docs/manual.css). Tables of figures scroll sideways."""
    return TABLE.sub(lambda found: _table(found[0]), content)


def on_post_build(config: MkDocsConfig) -> None:
    """The index of the search as a script, which a page on a disk can load (docs/manual.js)."""
    folder = Path(config.site_dir) / "search"
    (folder / "search_index.js").write_text(f"var __index = {(folder / 'search_index.json').read_text(encoding='utf-8')}", encoding="utf-8")


def _table(table: str) -> str:
    table = re.sub(r"<code>(?=[^<]*\s)", '<code class="words">', table)  # may continue on the next line
    table = LONG_NAME.sub(lambda name: f'<code class="words">{BREAK.sub("<wbr>", name[1])}</code>', table)
    heads = [_letters(head) for head in re.findall(r"<th\b[^>]*>(.*?)</th>", table, re.DOTALL)]
    if not any(head.startswith("meaning") for head in heads) and all(len(_letters(cell)) < MANY_LETTERS for _, cell in CELL.findall(table)):
        return table
    one_row = table.count("<tr>") == 2
    rows = []
    for row in re.split(r"(?<=</tr>)", table):
        names = iter(heads if one_row else ["", *heads[1:]])  # the first cell names its row
        rows.append(CELL.sub(lambda cell, names=names: f'<td{cell[1] or ""} data-head="{next(names, "")}">{cell[2]}</td>', row))  # type: ignore[misc]
    return "".join(rows).replace("<table>", "<table data-sentences>", 1)


def _letters(cell: str) -> str:
    return re.sub(r"<[^>]+>", "", cell).strip().replace('"', "&quot;")
