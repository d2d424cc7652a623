"""Who may look and who may act."""

from starlette.types import ASGIApp, Receive, Scope, Send

from penumbra.console.context import Console
from penumbra.console.pages import Page
from penumbra.console.sessions import LOCAL

ROUTES: tuple[Page, ...] = ()


class Guard:
    """Gives every request its account."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self.app = app
        self.console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["account"] = LOCAL
        await self.app(scope, receive, send)
