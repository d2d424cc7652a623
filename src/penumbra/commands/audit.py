"""`penumbra audit`: the falsifiers, permuted outcomes, random panels, folds, doubles, applicability and looks of the served model, as a table and a page."""

from pathlib import Path

from penumbra.base import tables
from penumbra.pipeline.audit import audit as audited
from penumbra.pipeline.workspace import Work
from penumbra.report import site
from penumbra.report.audit import Audit, write_audit

HEADER = ("check", "seen", "reads_as")


def audit(work: Work) -> tuple[Audit, Path]:
    """Audit the served model; what was seen, and the page."""
    seen = audited(work)
    page = write_audit(seen, work.home / "reports" / seen.label.replace("/", "-"))
    site.link(work.home)
    return seen, page


def table(seen: Audit) -> tables.Answer:
    """One row per check."""
    return tables.Answer(HEADER, list(seen.rows), (), len(seen.rows))
