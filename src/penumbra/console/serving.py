"""`penumbra console`: one server over one state folder."""

import contextlib
import threading
from dataclasses import dataclass

from penumbra.base.refusal import Refusal
from penumbra.commands.sql import note_changes
from penumbra.console.context import Console
from penumbra.pipeline.workspace import begin
from penumbra.store.serving import free_port


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


def prepare(host: str, port: int | None, *, root_path: str = "", allow_actions: bool = False) -> Service:
    """The console as params.yaml limits it, on a port that is free; None: the port that params.yaml names.

    Raises
    ------
    Refusal
        "serving_address" where nothing can listen, "root_path" where a proxy's path is none.
    """
    prefix = root_path.rstrip("/")
    if prefix and (not prefix.startswith("/") or "//" in prefix or not prefix.replace("/", "").replace("-", "").replace("_", "").isalnum()):
        raise Refusal("root_path", f"--root-path is {root_path!r}", "it is the path below which a proxy shows the console, such as /penumbra")
    work = begin()
    note_changes(work.home)
    console = Console(work.home, work.settings, prefix, allow_actions)
    return Service(console, host, free_port(host, work.settings.console.port if port is None else port))


def serve(service: Service) -> None:
    """Answer until it is stopped."""
    import uvicorn

    from penumbra.console.application import application

    threading.Thread(target=_warm, args=(service.console,), daemon=True, name="first connection").start()
    config = uvicorn.Config(
        application(service.console),
        host=service.host,
        port=service.port,
        root_path=service.console.root_path,
        log_level="warning",
        access_log=False,  # addresses name patients
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run()


def _warm(console: Console) -> None:
    """Open the store before the first page asks for it."""
    with contextlib.suppress(Refusal):  # the page says it
        console.readers.newest_commit()
