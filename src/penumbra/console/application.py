"""The application: every page module's routes, the files of the pages, and the headers that hold for all of them."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from importlib.resources import files
from types import ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penumbra.base.refusal import Refusal
from penumbra.console import (
    access,
    actions,
    centers,
    decisions,
    features,
    log,
    models,
    overview,
    pages,
    patient,
    patients,
    reports,
    sql,
    tables,
    viewing,
)
from penumbra.console.context import Console
from penumbra.console.visit import Visit

MODULES: tuple[ModuleType, ...] = (overview, patients, viewing, patient, centers, models, decisions, features, tables, sql, reports, actions, log, access)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def application(console: Console) -> Starlette:
    """The console as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        console.close()

    every = [page for module in MODULES for page in module.ROUTES]
    routes = [Route("/static/{file}", static, name="static"), *(page.route(console) for page in every)]

    async def nowhere(request: Request, _: Exception) -> Response:
        return pages.refused(Visit(request, console), Refusal("page", "there is no such page", "the links above lead everywhere"))

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: nowhere})
    app.state.paths = {"static": "/static/{file}", **{page.name: page.path for page in every}}
    app.add_middleware(access.Guard, console=console)
    app.add_middleware(SecurityHeaders)
    return app


class SecurityHeaders:
    """Puts HEADERS on every answer; a page that sets one of them keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def _add(message: MutableMapping[str, Any]) -> None:
    there = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *((name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in there),
    ]


async def static(request: Request) -> Response:
    """A style or a script; `console.css` is the style of the static pages with that of the frame behind it."""
    name = request.path_params["file"]
    folder = files("penumbra.console").joinpath("static")
    if name == "console.css":
        text = files("penumbra.report").joinpath("page.css").read_text(encoding="utf-8") + folder.joinpath("frame.css").read_text(encoding="utf-8")
    elif name in {entry.name for entry in folder.iterdir()}:
        text = folder.joinpath(name).read_text(encoding="utf-8")
    else:
        return PlainTextResponse("no such file\n", 404)
    ending = name[name.rfind(".") :]
    return Response(text, media_type=MEDIA[ending], headers={"Cache-Control": "public, max-age=86400"})
