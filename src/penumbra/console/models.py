"""Registered versions: the list, and downloads of a model card; one version and comparisons are in the modules next to this."""

from collections.abc import Sequence

from starlette.responses import Response

from penumbra import registry
from penumbra.base.refusal import Refusal
from penumbra.commands import card
from penumbra.commands.standing import VersionStanding, centers_of, standings
from penumbra.console.comparison import comparison
from penumbra.console.evidence import small_forest
from penumbra.console.model import chosen_model, model, registered
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.report import strips

MAX_CENTERS = 3  # columns of the list, where none are chosen
CARD_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json", "chai": "application/xml"}


def models(visit: Visit) -> Response:
    """Every version of a model, the champion first always."""
    name = chosen_model(visit)
    entries = visit.console.kept.get(("standings", visit.as_of, name), lambda: _standings(visit, name))
    asked = [center for center in visit.values("center") if center]
    centers = list(centers_of(entries))
    shown = [center for center in centers if center in asked] if asked else centers[:MAX_CENTERS]
    matching = _matching(entries, visit.value("q").strip().casefold())
    champion, others = [entry for entry in entries if "champion" in entry.aliases], [entry for entry in matching if "champion" not in entry.aliases]
    size = visit.console.settings.console.rows
    page = visit.number("page", 1, least=1, most=1_000_000)
    on_page = [*champion, *others[(page - 1) * size : page * size]]
    return visit.page(
        "models.html",
        title="Models",
        command="penumbra models" + (f" --model {name}" if name else ""),
        same="All of them" if visit.value("q").strip() else "The same",
        model_name=entries[0].model if entries else name or visit.console.settings.register.model,
        names=registry.models(visit.home),
        entries=[(entry, [small_forest(entry, None), *(small_forest(entry, center) for center in shown)]) for entry in on_page],
        total=len(others),
        every=len(entries),
        size=size,
        number=page,
        centers=centers,
        shown=shown,
        scale=strips.scale(strips.C_AXIS),
    )


def model_card(visit: Visit) -> Response:
    """The model card of a version as a file."""
    entry, form = registered(visit, visit.path("version"), chosen_model(visit)), visit.path("form")
    if form not in CARD_TYPES:
        raise Refusal("page", f"there is no card as {form[:20]!r}", f"there is {', '.join(CARD_TYPES)}")
    key = ("card", visit.as_of, entry.model, entry.version, form)
    text = visit.console.kept.get(key, lambda: card.card(visit.home, str(entry.version), form, entry.model, as_of=visit.as_of))
    ending = {"chai": "xml"}.get(form, form)
    name = f'attachment; filename="card-{entry.model}-{entry.version}.{ending}"'
    return Response(text, media_type=CARD_TYPES[form], headers={"Content-Disposition": name})


def _standings(visit: Visit, name: str | None) -> tuple[VersionStanding, ...]:
    if not visit.commit:  # there is no store yet
        return ()
    with visit.store() as lake:
        return standings(visit.home, lake, name)


def _matching(entries: Sequence[VersionStanding], text: str) -> list[VersionStanding]:
    """The versions whose number, alias or training center holds a text."""
    return [entry for entry in entries if not text or any(text in word.casefold() for word in (str(entry.version), *entry.aliases, *entry.train_centers))]


ROUTES = (
    Page("/models", models, "models"),
    Page("/models/compare", comparison, "comparison", costly=True),
    Page("/models/{version}", model, "model"),
    Page("/models/{version}/card.{form}", model_card, "card"),
)
