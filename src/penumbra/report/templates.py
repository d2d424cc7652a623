"""The pages' templates: the HTML files next to this module."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any


def rendered(name: str, filters: dict[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """One page: the template `name` with its values, everything escaped, a missing value an error; `css` is the pages' common style."""
    import jinja2

    package = files("penumbra.report")
    loader = jinja2.FunctionLoader(lambda template: package.joinpath(template).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(filters or {})
    return environment.get_template(name).render(css=package.joinpath("page.css").read_text(encoding="utf-8"), **values)
