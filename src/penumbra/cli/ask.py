"""Questions to the store: SQL here and over the network, the proof of a training matrix, drift."""

import json
import os
import sys
from pathlib import Path

import click

from penumbra.base.params import state_home
from penumbra.cli import completion
from penumbra.cli.group import command, format_option, next_commands


def note_changes(home: Path) -> None:
    """Let the store have what was changed in MLflow since penumbra last looked.

    Checking the file's time stamp costs nothing; all else is imported only where it changed (with a registry on a server, every other command looks).
    """
    try:
        known = json.loads((home / "mlflow" / "noted.json").read_text(encoding="utf-8"))
        stamps = {entry["stamp"] for entry in known.values()}
        seen = (home / "mlflow" / "mlflow.db").stat()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if os.environ.get("PENUMBRA_MLFLOW") or stamps == {f"{seen.st_mtime_ns} {seen.st_size}"}:
        return
    from penumbra.pipeline.aliases import note_before_reading

    note_before_reading(home)


@command('penumbra sql "SELECT center, patients, events FROM centers"')
@click.argument("statement", required=False, shell_complete=completion.relations)
@format_option
@click.option("--as-of", shell_complete=completion.versions, help="A registered version (champion, nsclc-os/3) or a commit id: the store as it was then.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=120.0, show_default=True, help="Time limit for the statement, in seconds.")
def sql(statement: str, form: str, as_of: str | None, timeout: float) -> None:
    """Query the store: one read-only SQL STATEMENT, or without it an interactive shell. Works during a run."""
    from penumbra import store
    from penumbra.base import tables

    home = state_home()
    note_changes(home)
    if statement is None and sys.stdin.isatty():
        from penumbra.store.shell import converse

        converse(home, sys.stdout)
        return
    from penumbra.store.answer import import_meanwhile
    from penumbra.store.answering import MEMORY_MB, bounded
    from penumbra.store.judging import JUDGE

    question = sys.stdin.read() if statement is None else statement
    with bounded(timeout, MEMORY_MB):
        JUDGE.begin()
        imports = import_meanwhile(*(("rich.cells",) if form == "table" else ("pyarrow",)))
        commit = None if as_of is None else store.commit_of(home, as_of)
        answer = store.for_format(home, question, form, as_of=commit, timeout_s=timeout, memory=f"{MEMORY_MB}MB")
    imports.join()
    tables.write(answer, form, sys.stdout)
    if isinstance(answer, tables.Answer) and not answer.rows:
        from penumbra.store.meanings import empty_answer_notes

        for sentence in empty_answer_notes(question):
            click.echo(sentence, err=True)


@command("penumbra serve-sql --port 8765", name="serve-sql")
@click.option("--host", default="127.0.0.1", show_default=True, help="Use another address than loopback only behind a proxy that encrypts.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one. Default: serve_sql.port in params.yaml.")
def serve_sql(host: str, port: int | None) -> None:
    """Read-only SQL for colleagues over HTTP, with the token in PENUMBRA_SQL_TOKEN and the limits in params.yaml (group serve_sql)."""
    from penumbra.pipeline.workspace import begin
    from penumbra.store import serving

    token, work = serving.token_of_environment(), begin()
    note_changes(work.home)
    chosen = work.settings.serve_sql
    port = serving.free_port(host, chosen.port if port is None else port)
    limits = serving.Limits(timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, max_rows=chosen.max_rows, at_once=chosen.at_once)
    place = f"http://{host}:{port}"
    click.echo(f"read-only SQL on {place}/sql, {chosen.timeout_s:g} s and {chosen.memory_mb} MB a statement; Ctrl-C ends it", err=True)
    next_commands(f"""curl -s {place}/sql -H "Authorization: Bearer $PENUMBRA_SQL_TOKEN" -d '{{"sql": "FROM centers"}}'""")
    serving.serve(work.home, token, limits, host=host, port=port)


@command("penumbra verify nsclc-os/1")
@click.argument("version", shell_complete=completion.versions)
def verify(version: str) -> None:
    """Rebuild what a registered VERSION (or MODEL/VERSION) was trained on, as of its commit, and verify by SHA-256 that it is unchanged."""
    from dataclasses import asdict

    from penumbra.base import tables
    from penumbra.commands import verify

    click.echo(tables.facts(asdict(verify.verify(state_home(), version))))


@command("penumbra drift east")
@click.argument("center", shell_complete=completion.centers)
@format_option
def drift(center: str, form: str) -> None:
    """How far CENTER is from the training centers: every feature (Kolmogorov-Smirnov, stability index), follow-up and survival.

    The formats other than table list every feature.
    """
    from penumbra.base import tables
    from penumbra.commands import drift as drifting
    from penumbra.pipeline.workspace import begin

    work = begin()
    found = drifting.drift_of(work, center)
    if form == "table":
        click.echo(drifting.summary(found, work))
        next_commands(f"penumbra drift {center} --format csv", 'penumbra sql "SELECT * FROM feature_statistics LIMIT 5"')
        return
    import pyarrow as pa

    tables.write(pa.Table.from_pylist(found.features), form, sys.stdout)
