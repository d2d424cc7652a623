"""The pages' templates: the HTML files in `pages/`, everything escaped, a missing value an error."""

import json
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from penumbra.console.offers import offers

if TYPE_CHECKING:
    import jinja2


def rendered(name: str, **values: Any) -> str:
    """One page."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("penumbra.console", "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(iso=iso, minute=minute, grouped=grouped, attribute_json=attribute_json, figure=figure)
    environment.globals["offers"] = offers
    return environment


def iso(moment: datetime | date | str) -> str:
    """A moment for programs: UTC where it says nothing else."""
    if isinstance(moment, str):
        return moment
    if isinstance(moment, datetime) and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.isoformat()


def minute(moment: datetime | date | str) -> str:
    """A moment for people, in UTC; the script of the page puts it into the reader's zone."""
    if isinstance(moment, str):
        try:
            return minute(datetime.fromisoformat(moment))
        except ValueError:
            return moment
    if not isinstance(moment, datetime):
        return moment.isoformat()
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def grouped(number: float) -> str:
    """1234567 -> 1,234,567."""
    return f"{number:,}"


def figure(number: float | None, digits: int = 3) -> str:
    """A number of so many significant digits; a dash where there is none."""
    if number is None or number != number:
        return "–"
    return f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:,.0f}"


def attribute_json(value: Any) -> str:
    """A value for a script, as the content of an attribute (which the template escapes)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
