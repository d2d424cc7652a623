"""Which patients an answer shows, by their names in it: whatever page made it, and whatever it was made from."""

import html
import re

from starlette.responses import Response

from penumbra.base.refusal import Refusal
from penumbra.console.visit import Visit

WORD = re.compile(r"[^\s<>\"'&,;:()\[\]{}/|=]+")
UNNAMED = ("log",)  # an editor who reads the log sees names, of those who were seen; that is no look at a patient
EXAMPLES = re.compile(r"<!-- examples -->.*?<!-- end of examples -->", re.DOTALL)  # worked questions name somebody, and show nobody
NAMES = "SELECT DISTINCT patient FROM stored.patients UNION SELECT DISTINCT patient FROM stored.rejections WHERE patient IS NOT NULL"
COMPRESSED = ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "application/octet-stream")


def note(visit: Visit, page: str, response: Response, tag: str, named: frozenset[str] | None) -> None:
    """Write into the log of access whom an answer shows, before it is sent.

    Parameters
    ----------
    page
        Its name.
    tag
        Of the answer; "" for none.
    named
        The patients that it shows, see `named_in`.

    Raises
    ------
    Refusal
        "log_written", "log_whole".
    """
    if page in UNNAMED:
        return
    trail = visit.console.trail
    if response.status_code in (200, 206):
        trail.remember(tag, named)
    elif response.status_code != 304:
        return
    trail.saw(visit.account, page, named, visit.as_of)


def named_in(visit: Visit, response: Response) -> frozenset[str] | None:
    """The patients that an answer shows; None: any may be among them."""
    if response.status_code not in (200, 206):
        return frozenset()
    of_path = frozenset({visit.path("patient")} - {""})
    body = getattr(response, "body", None)
    if of_path and not str(response.media_type or "").startswith("text/html"):
        return of_path  # an image, a mask
    if not isinstance(body, bytes):
        return None  # a download as it comes from the store
    if response.media_type in COMPRESSED:
        return None
    return of_path | mentioned(visit, EXAMPLES.sub("", body.decode("utf-8", errors="replace")))


def mentioned(visit: Visit, text: str) -> frozenset[str]:
    """The patients whose names are words of a text or a page."""
    words, others = names_of_patients(visit)
    if not words and not others:
        return frozenset()
    plain = html.unescape(text)
    return frozenset(word for word in WORD.findall(plain) if word in words) | frozenset(name for name in others if name in plain)


def names_of_patients(visit: Visit) -> tuple[frozenset[str], frozenset[str]]:
    """Every name of a patient in the store: those that are one word, and the others."""

    def read() -> tuple[frozenset[str], frozenset[str]]:
        try:
            with visit.console.readers.lend() as store:
                names = {str(name) for name in store.sql(NAMES).column("patient").to_pylist()}
        except Refusal as refusal:
            if refusal.rule == "store_exists":
                return frozenset(), frozenset()
            raise
        words = frozenset(name for name in names if WORD.fullmatch(name))
        return words, frozenset(names) - words

    return visit.console.kept.get("names of patients", read)
