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
LINK = re.compile(r"(?<=\]\()([^)#\s:]+\.md)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference and the pages outside docs/."""
    written = {address: (ROOT / place).read_text(encoding="utf-8") for place, address in OUTSIDE.items()}
    for address, text in (written | reference.pages()).items():
        files.append(File.generated(config, address, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are in the repository lead to the same page of the manual."""
    address = page.file.src_uri
    here = {inside: place for place, inside in OUTSIDE.items()}.get(address, f"docs/{address}")

    def inside(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        return posixpath.relpath(OUTSIDE.get(target, target.removeprefix("docs/")), posixpath.dirname(address) or ".")

    return LINK.sub(inside, markdown)
