"""The static pages of the state folder as they are, with a way back to the console.

The address of a file is its path below the state folder, so that the pages' links to each other work here as they do on disk.
"""

import re
from functools import partial
from html import escape
from pathlib import Path

from starlette.responses import Response

from penumbra.base.refusal import Refusal
from penumbra.commands.gallery import FOLDER as GALLERY
from penumbra.commands.gallery import PICTURES
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.pipeline.patient_page import FOLDER as PATIENTS

REPORTS = "reports"
# The pages' own policy (report/frame.html), and what a meta element cannot say.
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
}
BODY = re.compile(rb"<body[^>]*>")


def report(visit: Visit, root: str) -> Response:
    """One file below a folder of static pages.

    Raises
    ------
    Refusal
        "page": there is none, it is not one of a page, or it is of a patient who is not in the store any more.
    """
    path = file_of(visit, root)
    if path is None:
        raise Refusal("page", f"{root}/ has no such page", "the pages of patients, models, centers and decisions link what there is")
    content = path.read_bytes()
    if path.suffix == ".html":
        back = f'<p class="kicker"><a href="{escape(visit.url("overview"))}">&#8592; penumbra console</a></p>'
        content = BODY.sub(lambda begin: begin[0] + b"\n" + back.encode(), content, count=1)
    return Response(content, media_type=MEDIA[path.suffix], headers={"Content-Security-Policy": POLICY})


def file_of(visit: Visit, root: str) -> Path | None:
    """The file that an address names; None where there is none that may be shown."""
    folder, parts = visit.home / root, visit.path("path").split("/")
    parts = [*parts[:-1], parts[-1] or "index.html"]
    if any(not part or part.startswith(".") or "\\" in part or "\0" in part or len(part) > 255 for part in parts):
        return None
    path = folder.joinpath(*parts)
    try:
        if path.is_dir():
            path = path / "index.html"
        real = path.resolve(strict=True)
        inside = real.is_file() and real.is_relative_to(folder.resolve(strict=True))
    except OSError:  # not there
        return None
    return path if inside and path.suffix in MEDIA and _may_be_shown(visit, root, parts) else None


def _may_be_shown(visit: Visit, root: str, parts: list[str]) -> bool:
    """Whether the patient of a file, where it is of one, is still in the store."""
    name = parts[-1]
    if root == REPORTS and parts[0] == PATIENTS:
        return name.removesuffix(".html") in {f"{center}-{patient}" for center, patient in _patients(visit)}
    if root == GALLERY and PICTURES in parts[1:-1]:
        return any(name.startswith(f"{patient}-") for center, patient in _patients(visit) if center == parts[0])
    return True


def _patients(visit: Visit) -> set[tuple[str, str]]:
    """Center and key of everybody who is in the store."""

    def read() -> set[tuple[str, str]]:
        with visit.console.readers.lend() as lake:  # of now, whatever the page shows
            return {
                (row["center"], row["patient"]) for row in lake.sql("SELECT center, patient FROM patients UNION SELECT center, patient FROM images").to_pylist()
            }

    return visit.console.kept.get("patients in the store", read)


def _tag(visit: Visit, root: str) -> str:
    """Of the file and of the state, which says who is still in the store."""
    path = file_of(visit, root)
    if path is None:
        return ""
    seen = path.stat()
    return f"{visit.console.stamp()} {seen.st_mtime_ns} {seen.st_size}"


ROUTES = tuple(
    Page(f"/{root}/{{path:path}}", partial(report, root=root), name=name, etag=partial(_tag, root=root))
    for root, name in ((REPORTS, "report"), (GALLERY, "gallery"))
)
