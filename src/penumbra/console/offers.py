"""What a page offers to do: a button where its reader may act, else the command to type."""

from dataclasses import dataclass

from markupsafe import Markup

from penumbra.console import kinds
from penumbra.console.templates import rendered
from penumbra.console.visit import Visit


@dataclass(frozen=True)
class Offer:
    """One action, on one target; address: of its page, "" where the reader may not act."""

    label: str
    command: str
    address: str
    ends: bool


def offer(visit: Visit, name: str, **target: str) -> Offer:
    """One action for a page to offer: `offer(visit, "promote", version="2")`."""
    kind = kinds.kind_of(name)
    may = visit.console.allow_actions and visit.account.is_editor
    address = visit.url("action", kind=name, as_of=None, **target) if may else ""
    return Offer(kind.label_of(target), kind.words(target), address, kind.ends)


def buttons(visit: Visit, *offers: Offer) -> Markup:
    """Offers as a part of a page: buttons, or under each name the command to type."""
    return Markup(rendered("action_buttons.html", offers=offers))
