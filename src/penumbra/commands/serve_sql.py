"""`penumbra serve-sql`: read-only SQL for colleagues over HTTP, within the limits of params.yaml."""

from dataclasses import dataclass

from penumbra.commands.sql import note_changes
from penumbra.pipeline.workspace import begin
from penumbra.store import serving


@dataclass(frozen=True)
class Service:
    """Where it answers, and the limits of one statement."""

    host: str
    port: int
    limits: serving.Limits

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}/sql"


def prepare(host: str, port: int | None) -> Service:
    """The service as params.yaml limits it, on a port that is free; None: the port that params.yaml names.

    Raises
    ------
    Refusal
        When the address is taken, or needs a proxy that it does not have.
    """
    work = begin()
    note_changes(work.home)
    chosen = work.settings.serve_sql
    limits = serving.Limits(timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, max_rows=chosen.max_rows, at_once=chosen.at_once)
    return Service(host, serving.free_port(host, chosen.port if port is None else port), limits)


def serve(service: Service, token: str) -> None:
    """Answer until it is stopped."""
    serving.serve(begin().home, token, service.limits, host=service.host, port=service.port)
