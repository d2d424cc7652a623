"""Questions to the store: SQL here and over the network, the proof of a training matrix, drift."""

import sys
from typing import Any

import click

from penumbra.base.params import state_home
from penumbra.cli import completion
from penumbra.cli.group import as_of_option, command, format_option, next_commands


@command('penumbra sql "SELECT center, patients, events FROM centers"')
@click.argument("statement", required=False, shell_complete=completion.relations)
@format_option
@as_of_option
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=120.0, show_default=True, help="Time limit for the statement, in seconds.")
@click.option("--script", is_flag=True, help="Print the SQL with which DuckDB's own clients show the same relations, read-only.")
def sql(statement: str, form: str, as_of: str | None, timeout: float, script: bool) -> None:
    """Query the store: one read-only SQL STATEMENT, or without it an interactive shell. Works during a run."""
    from penumbra.commands import sql

    home = state_home()
    sql.note_changes(home)
    if script:
        click.echo(sql.script(home, as_of), nl=False)
        return
    if statement is None and sys.stdin.isatty():
        from penumbra.store.shell import converse

        converse(home, sys.stdout)
        return
    from penumbra.base import tables

    question = sys.stdin.read() if statement is None else statement
    answer = sql.answer(home, question, form, as_of=as_of, timeout_s=timeout)
    tables.write(answer, form, sys.stdout)
    if isinstance(answer, tables.Answer):
        for sentence in sql.remarks(question, len(answer.rows)):
            click.echo(sentence, err=True)


@command("penumbra serve-sql --port 8765", name="serve-sql")
@click.option("--host", default="127.0.0.1", show_default=True, help="Use another address than loopback only behind a proxy that encrypts.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one. Default: serve_sql.port in params.yaml.")
def serve_sql(host: str, port: int | None) -> None:
    """Read-only SQL for colleagues over HTTP, with the token in PENUMBRA_SQL_TOKEN and the limits in params.yaml (group serve_sql)."""
    from penumbra.commands import serve_sql
    from penumbra.store import serving

    token, service = serving.token_of_environment(), serve_sql.prepare(host, port)
    limits = service.limits
    click.echo(f"read-only SQL on {service.address}, {limits.timeout_s:g} s and {limits.memory_mb} MB a statement; Ctrl-C ends it", err=True)
    next_commands(f"""curl -s {service.address} -H "Authorization: Bearer $PENUMBRA_SQL_TOKEN" -d '{{"sql": "FROM centers"}}'""")
    serve_sql.serve(service, token)


@command("penumbra serve-model --port 8780", name="serve-model")
@click.option("--model", "which", default="champion", show_default=True, shell_complete=completion.versions, help="Alias or version; an alias is followed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Use another address than loopback only behind a proxy that encrypts.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one. Default: serve_model.port in params.yaml.")
def serve_model(which: str, host: str, port: int | None) -> None:
    """Answer with a registered version over HTTP: features, a patient of the store, or a zip of a scan. Nothing that is sent is kept.

    On loopback for the user who starts it. With PENUMBRA_MODEL_TOKEN (features and scans) and PENUMBRA_MODEL_STORE_TOKEN (also patients of the store) others
    send a token.
    """
    from penumbra.commands import serve_model

    service = serve_model.prepare(host, port, which)
    click.echo(f"{service.resident.loaded().entry.label} answers on {service.address}; Ctrl-C ends it.", err=True)
    token = '-H "Authorization: Bearer $PENUMBRA_MODEL_TOKEN" ' if service.door.tokens else ""
    next_commands(
        f"open {service.address}/ in a browser: what it is sent, and what it answers" if not token else f"curl -s {token}{service.address}/columns",
        f"curl -s {token}{service.address}/predict?center=north -H 'Content-Type: application/zip' --data-binary @patient.zip",
    )
    serve_model.serve(service)


@command("penumbra mlflow --port 5000")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one. Default: 5000, as MLflow's own.")
def mlflow(port: int | None) -> None:
    """Open MLflow's pages over the registry of this state folder, on loopback; where PENUMBRA_MLFLOW names a server, say its address.

    MLflow asks nobody who they are: every user of this machine can open them, and change what they show.
    """
    from penumbra.commands import mlflow

    service = mlflow.prepare(port=port)
    if not service.command:
        click.echo(service.address)
        return
    click.echo("MLflow starts, which takes some seconds; Ctrl-C ends it.", err=True)
    next_commands(f"open {service.address} in a browser", f"export MLFLOW_TRACKING_URI={service.address}")
    sys.exit(mlflow.serve(service))


@command("penumbra console --port 8790")
@click.option("--host", default="127.0.0.1", show_default=True, help="Use another address than loopback only behind a proxy that encrypts.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one. Default: console.port in params.yaml.")
@click.option("--root-path", default="", help="The path below which a proxy shows the console, such as /penumbra.")
@click.option("--allow-actions", is_flag=True, help="Let editors promote, roll back, retrain, set aside and withdraw here; without it pages show the command.")
@click.option("--origin", default="", help="Scheme and name as browsers show them behind a proxy, such as https://penumbra.clinic.")
@click.option("--user-header", default="", help="The header in which a proxy names the user who signed in there, such as X-Remote-User.")
@click.option("--proxy", "proxies", multiple=True, metavar="ADDRESS", help="A proxy whose headers are believed; repeat for more. Default: this machine's.")
@click.option("--editor", "editors", multiple=True, metavar="USER", help="A user of --user-header who is an editor; repeat for more. Others are viewers.")
@click.option("--verify-log", is_flag=True, help="Check the log of who saw which patient, and end: nothing changed, removed, moved or cut off?")
def console(host: str, port: int | None, root_path: str, allow_actions: bool, verify_log: bool, **door: Any) -> None:
    """Look at the cohort, one patient, the models and the decisions in a browser. Works during a run.

    On loopback for the user who starts it. With PENUMBRA_CONSOLE_TOKEN (viewers) and PENUMBRA_CONSOLE_EDITOR_TOKEN (editors) people sign in.
    """
    if verify_log:
        from penumbra.console import trail

        whole, sentence = trail.verdict(state_home())
        click.echo(sentence)
        sys.exit(0 if whole else 1)
    from penumbra.console import serving
    from penumbra.console.admission import Door

    service = serving.prepare(Door(host, **door), port, root_path=root_path, allow_actions=allow_actions)
    click.echo(f"The console of {service.console.home} answers; Ctrl-C ends it.", err=True)
    next_commands(f"open {service.address} in a browser")
    serving.serve(service)


@command("penumbra verify nsclc-os/1")
@click.argument("version", shell_complete=completion.versions)
def verify(version: str) -> None:
    """Rebuild what a registered VERSION (or MODEL/VERSION) was trained on, as of its commit, and verify by SHA-256 that it is unchanged."""
    from dataclasses import asdict

    from penumbra.base import tables
    from penumbra.commands import verify

    click.echo(tables.facts(asdict(verify.verify(state_home(), version))))


@command("penumbra upgrade --apply")
@click.option("--apply", "applied", is_flag=True, help="Apply the pending migrations, each part in one transaction; without it they are only listed.")
@format_option
def upgrade(applied: bool, form: str) -> None:
    """List the numbered migrations of the store, of MLflow's database and of params.yaml, and with --apply bring them to this program's format.

    Nothing is changed without --apply, and stopped at any moment it is simply run again. Back up first: make backup TO=FILE.
    """
    from penumbra.base import tables
    from penumbra.commands import upgrade

    home = state_home()
    steps = upgrade.apply(home) if applied else upgrade.listed(home)
    rows = [[step.part, step.number, step.name, step.state] for step in steps]
    tables.write(tables.Answer(("part", "number", "migration", "state"), rows, (), len(rows)), form, sys.stdout)
    pending = sum(step.state == "pending" for step in steps)
    click.echo(f"{pending} pending; penumbra upgrade --apply applies them" if pending else "nothing is pending", err=True)


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
    center_drift = drifting.drift_of(work, center)
    if form == "table":
        click.echo(drifting.summary(center_drift, work))
        next_commands(f"penumbra drift {center} --format csv", 'penumbra sql "SELECT * FROM feature_statistics LIMIT 5"')
        return
    import pyarrow as pa

    tables.write(pa.Table.from_pylist(center_drift.features), form, sys.stdout)
