"""`penumbra serve-model`: a registered version that stays in memory and answers over HTTP."""

import contextlib
import os
import tempfile
import threading
from dataclasses import dataclass

from penumbra.base import temporary_files
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.commands.model_service.callers import Door, door
from penumbra.commands.model_service.resident import Resident
from penumbra.commands.sql import note_changes
from penumbra.pipeline.workspace import begin
from penumbra.store.serving import free_port

MEMORY = "/dev/shm"  # a file system in memory, where there is one: a scan that is sent never reaches a disk


@dataclass(frozen=True)
class Service:
    """Which version answers, where, and to whom."""

    resident: Resident
    door: Door
    port: int

    @property
    def address(self) -> str:
        host = f"[{self.door.host}]" if ":" in self.door.host else self.door.host
        return f"http://{host}:{self.port}"


def prepare(host: str, port: int | None, which: str) -> Service:
    """The version, read and checked, and a port that is free; None: the port that params.yaml names.

    Raises
    ------
    Refusal
        "token", "model_access" where nobody could be let in, or everybody would be; "serving_address" where nothing can listen; "version_registered",
        "bundle_unchanged" and the like.
    """
    opened, work = door(host), begin()
    note_changes(work.home)
    resident = Resident(work, which)
    resident.loaded()
    return Service(resident, opened, free_port(host, work.settings.serve_model.port if port is None else port))


def serve(service: Service) -> None:
    """Answer until it is stopped."""
    import uvicorn

    from penumbra.commands.model_service import application

    folder = temporary_files.private_folder(MEMORY) if os.access(MEMORY, os.W_OK) else None
    tempfile.tempdir = folder  # or where it was looked for before
    try:
        threading.Thread(target=_warm, args=(service.resident,), daemon=True, name="warming").start()
        config = uvicorn.Config(
            application.application(application.Service(service.resident, service.door), service.address),
            host=service.door.host,
            port=service.port,
            log_level="warning",
            access_log=False,  # it would have addresses with ages and stages
            server_header=False,
            proxy_headers=False,
            limit_concurrency=64,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run()
    finally:
        service.resident.close()
        temporary_files.remove(folder)


def _warm(resident: Resident) -> None:
    with contextlib.suppress(Refusal):  # the first request says it
        resident.warm()
        say("warm: the first scan waits for no compiler")
