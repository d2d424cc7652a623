"""`penumbra console`: one server over one state folder."""

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penumbra.base import addresses, chained_log
from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.commands.sql import note_changes
from penumbra.console import scans, trail
from penumbra.console.admission import Door, admission
from penumbra.console.context import Console
from penumbra.console.sent import ENDING_S
from penumbra.console.sessions import Role
from penumbra.pipeline.workspace import begin
from penumbra.store.serving import free_port

if TYPE_CHECKING:
    from starlette.applications import Starlette

FIRST = ("overview", "patients", "models", "centers", "features", "decisions", "tables")  # pages that are rendered when the console has started


@dataclass(frozen=True)
class Service:
    """A console that can be started, and where it will answer."""

    console: Console
    host: str
    port: int

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.console.root_path}/"


def prepare(door: Door, port: int | None, *, root_path: str = "", allow_actions: bool = False) -> Service:
    """The console as params.yaml limits it, on a port that is free; None: the port that params.yaml names.

    Raises
    ------
    Refusal
        "serving_address" where nothing can listen, "root_path" where a proxy's path is none; "token", "console_access" where nobody could be let in, or
        everybody would be; "log_whole" where the log of access was altered.
    """
    prefix = root_path.rstrip("/")
    if prefix and (not prefix.startswith("/") or "//" in prefix or not prefix.replace("/", "").replace("-", "").replace("_", "").isalnum()):
        raise Refusal("root_path", f"--root-path is {root_path!r}", "it is the path below which a proxy shows the console, such as /penumbra")
    work = begin()
    note_changes(work.home)
    whole, sentence = trail.verdict(work.home)
    if not whole:
        raise Refusal("log_whole", sentence, chained_log.ADVICE)
    admitted = admission(door, work.settings.console.session_hours)
    console = Console(work.home, work.settings, prefix, allow_actions, admitted)
    return Service(console, door.host, free_port(door.host, work.settings.console.port if port is None else port))


def serve(service: Service) -> None:
    """Answer until it is stopped."""
    import uvicorn

    from penumbra.console.application import application

    served = application(service.console)
    warming = threading.Thread(target=_warm, args=(service.console, served), daemon=True, name="first pages")
    warming.start()
    config = uvicorn.Config(
        served,
        host=service.host,
        port=service.port,
        root_path=service.console.root_path,
        log_level="warning",
        access_log=False,  # addresses name patients
        server_header=False,
        proxy_headers=False,
        http="h11",
        ws="none",
        h11_max_incomplete_event_size=addresses.MAX_QUERY + addresses.MAX_HEADERS,
        limit_concurrency=256,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run()
    warming.join(ENDING_S)


def _warm(console: Console, served: "Starlette") -> None:
    """Render the pages that people open first, one after the other, and import what pictures and figures are made with, before anybody asks for them."""
    from penumbra.console import pages
    from penumbra.console.application import MODULES
    from penumbra.report import feature_figures

    roles: tuple[Role, ...] = ("editor",) if not console.admission.signs_in else ("viewer", "editor")
    for page in (page for name in FIRST for module in MODULES for page in module.ROUTES if page.name == name):
        for role in () if console.is_closed else roles:
            with contextlib.suppress(Refusal, ParamsError):  # the page says it
                pages.prepare(page, served, console, role)
    scans.warm()
    with contextlib.suppress(Refusal, RuntimeError):  # the second: the console ended meanwhile
        if not console.is_closed:
            console.drawing.run(feature_figures.ready)
