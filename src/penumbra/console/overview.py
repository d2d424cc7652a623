"""The first page: what arrived, waits, runs, failed and was decided; the champion; health."""

from starlette.responses import Response

from penumbra.commands import status
from penumbra.console.pages import Page
from penumbra.console.visit import Visit


def overview(visit: Visit) -> Response:
    """The state of the folder."""
    return visit.page("overview.html", title="Overview", command="penumbra status", status_now=status.look())


ROUTES = (Page("/", overview, "overview", live=True),)
