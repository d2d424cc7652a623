"""What axe-core finds wrong with a page for people who use a keyboard, a screen reader, or cannot tell its colors apart."""

import json
from importlib.resources import files
from typing import Any

from .browser import Tab

SERIOUS = ("serious", "critical")
RUN = "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"


def findings(tab: Tab) -> list[str]:
    """The serious findings of the page that is shown: rule, what it means, the first elements."""
    tab.run(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8") + ";0")
    result: dict[str, Any] = json.loads(tab.run(f"{RUN}.then(result => JSON.stringify(result))"))
    return [
        f"{entry['id']} ({entry['impact']}): {entry['help']}; {[node['html'][:160] for node in entry['nodes'][:3]]}"
        for entry in result["violations"]
        if entry["impact"] in SERIOUS
    ]
