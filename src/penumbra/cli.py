"""`penumbra`: the command line. Results go to stdout, progress and errors to stderr; heavy libraries load inside the commands that need them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from penumbra.params import PROFILES, ParamsError, state_home
from penumbra.refusal import Refusal

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
profile_option = click.option(
    "--profile", type=click.Choice(PROFILES), help="Size of the network: quick for a CPU, paper as published. Default: the profile in params.yaml."
)


class Commands(click.Group):
    """Lists commands in the order of the path, and turns the errors a user can mend into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (Refusal, ParamsError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            raise click.ClickException("stopped; what was finished is kept, the same command goes on from there") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="penumbra")
def main() -> None:
    """Survival prediction from radiotherapy planning CT: a feature store and a model registry.

    \b
    From nothing to a registered model:   make run
    Then ask the store:                   penumbra sql "SELECT * FROM centers"
    """


def command(example: str, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of `penumbra`, named as its function where `name` is not given, whose help ends with `example`."""
    return main.command(name, epilog=f"Example:  {example}")


def next_commands(*lines: str) -> None:
    """Say on stderr what to type next."""
    click.echo("\nNext:\n" + "\n".join(f"  {line}" for line in lines), err=True)


@command("penumbra run --cohort data/simulated")
@click.option("--cohort", type=FOLDER, help="Folder with one subfolder per center. Default: the centers already in incoming/.")
@profile_option
def run(cohort: Path | None, profile: str | None) -> None:
    """The whole path: ingest, populate, train, fuse, evaluate, register, report."""
    from penumbra import answers, arrivals, drive
    from penumbra.work import begin, one_run_at_a_time

    work = begin(profile)
    with one_run_at_a_time(work.home):
        if cohort is not None:
            arrivals.take_cohort(work.home, cohort)
        drive.run_flow(work)
        drive.record_with_dvc(work)
    click.echo(answers.summary(work))
    next_commands(
        'penumbra sql "SELECT patient, risk_group, survival_2y FROM predictions LIMIT 5"',
        "penumbra compare",
        f"penumbra predict {answers.example_patient(work)}",
    )


@command("penumbra simulate data/simulated --seed 7")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=int, help="Default: simulate.seed in params.yaml.")
def simulate(folder: Path, seed: int | None) -> None:
    """Write the simulated three-center cohort: DICOM CT, RTSTRUCT and clinical.csv, with the truth beside."""
    from penumbra.simulation import simulate_cohort

    click.echo(simulate_cohort(folder, seed))
    next_commands(f"penumbra run --cohort {folder}")


@command("penumbra ingest /data/from-east --center east")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--center", help="Name of the center whose folder this is.")
@profile_option
def ingest(folder: Path | None, center: str | None, profile: str | None) -> None:
    """One center's FOLDER into the store; without FOLDER, every center in incoming/. Prints accepted and rejected."""
    from penumbra import answers, arrivals, stages
    from penumbra.work import begin, one_run_at_a_time

    if (folder is None) != (center is None):
        raise click.UsageError("FOLDER and --center go together: penumbra ingest FOLDER --center NAME")
    work = begin(profile)
    with one_run_at_a_time(work.home):
        if folder is not None and center is not None:
            arrivals.take_center(work.home, folder, center)
        manifest = stages.ingest(work, only=center)
    click.echo(answers.cohort_flow(manifest))
    next_commands('penumbra sql "SELECT patient, rule, found, advice FROM rejections"', "penumbra populate")


def _stage_command(name: str, does: str, *after: str) -> None:
    @command(f"penumbra {name}")
    @profile_option
    def stage(profile: str | None) -> None:
        from penumbra import drive, stages, tables
        from penumbra.work import begin, one_run_at_a_time

        work = begin(profile)
        with one_run_at_a_time(work.home):
            manifest = drive.populate(work) if name == "populate" else getattr(stages, name)(work)
        click.echo(tables.facts(manifest))
        next_commands(*after)

    stage.name, stage.help = name, does
    main.commands[name] = stage
    del main.commands["stage"]


_stage_command("populate", "All missing (patient, ROI, version) rows: 1316 radiomics features for GTV and rings.", "penumbra train")
_stage_command("train", "Train the network on the training centers; log_risk and deep features of every patient.", "penumbra fuse")
_stage_command("fuse", "Fit signatures, combined model and controls on the training centers.", "penumbra evaluate")
_stage_command("evaluate", "Every metric for training, each center and all external centers pooled.", "penumbra register")
_stage_command("register", "Register the combined model with its metrics, predictions and lineage.", "penumbra compare", "penumbra report")
_stage_command("report", "Write the report: one page, with its figures and tables beside.", 'penumbra sql "SELECT * FROM model_metrics LIMIT 5"')


@command('penumbra sql "SELECT center, patients, events FROM centers"')
@click.argument("statement", required=False)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet", "arrow"]), default="table", show_default=True)
@click.option("--as-of", help="A registered version (nsclc-os/3) or a commit id: the store as it was then.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds for the statement.")
def sql(statement: str, form: str, as_of: str | None, timeout: float) -> None:
    """Ask the store: one read-only SQL STATEMENT, or without it as many as you like. Works while a run goes on."""
    from penumbra import store, tables

    home = state_home()
    if statement is None and sys.stdin.isatty():
        from penumbra.store.shell import converse

        converse(home, sys.stdout)
        return
    from penumbra.store.answering import MEMORY_MB, bounded

    question = sys.stdin.read() if statement is None else statement
    with bounded(timeout, MEMORY_MB):
        commit = None if as_of is None else store.commit_of(home, as_of)
        answer = store.query(home, question, as_of=commit, timeout_s=timeout, memory=f"{MEMORY_MB}MB")
    tables.write(answer, form, sys.stdout)


@command("penumbra serve-sql --port 8765", name="serve-sql")
@click.option("--host", default="127.0.0.1", show_default=True, help="Other than loopback only behind a proxy that encrypts.")
@click.option("--port", type=int, help="Default: serve_sql.port in params.yaml.")
def serve_sql(host: str, port: int | None) -> None:
    """Read-only SQL for colleagues over HTTP, with the token in PENUMBRA_SQL_TOKEN and the limits in params.yaml (group serve_sql)."""
    from penumbra.store import serving
    from penumbra.work import begin

    token, work = serving.token_of_environment(), begin()
    chosen = work.settings.serve_sql
    limits = serving.Limits(timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, most_rows=chosen.most_rows, at_once=chosen.at_once)
    place = f"http://{host}:{port or chosen.port}"
    click.echo(f"read-only SQL on {place}/sql, {chosen.timeout_s:g} s and {chosen.memory_mb} MB a statement; Ctrl-C ends it", err=True)
    next_commands(f"""curl -s {place}/sql -H "Authorization: Bearer $PENUMBRA_SQL_TOKEN" -d '{{"sql": "FROM centers"}}'""")
    serving.serve(work.home, token, limits, host=host, port=port or chosen.port)


@command("penumbra verify nsclc-os/1")
@click.argument("version")
def verify(version: str) -> None:
    """Rebuild what a registered VERSION was trained on, as of its commit, and prove by SHA-256 that it is the same."""
    from dataclasses import asdict

    from penumbra import tables, verification

    click.echo(tables.facts(asdict(verification.verify(state_home(), version))))


@command("penumbra drift east")
@click.argument("center")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table", show_default=True, help="Others: every feature.")
def drift(center: str, form: str) -> None:
    """How far CENTER lies from the training centers: every feature (Kolmogorov-Smirnov, stability index), follow-up and survival."""
    from penumbra import drift as drifting
    from penumbra import tables
    from penumbra.work import begin

    work = begin()
    found = drifting.compare(work, center)
    if form == "table":
        click.echo(drifting.told(found, work))
        next_commands(f"penumbra drift {center} --format csv", 'penumbra sql "SELECT * FROM feature_statistics LIMIT 5"')
        return
    import pyarrow as pa

    tables.write(pa.Table.from_pylist(found.features), form, sys.stdout)


@command("penumbra forget N001 --reason 'consent withdrawn'")
@click.argument("patient", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", help="Kept in the relation withdrawals; do not name the patient in it.")
def forget(patient: str | None, yes: bool, reason: str | None) -> None:
    """Remove PATIENT from every relation, commit, snapshot and file, and name the models to retrain. Lists what there is, and asks first.

    Without PATIENT: complete a forgetting that was interrupted.
    """
    from penumbra import withdrawal
    from penumbra.work import begin, one_run_at_a_time

    work = begin()
    with one_run_at_a_time(work.home):
        finished = withdrawal.finish(work)
        if patient is None:
            click.echo("The interrupted forgetting is complete." if finished else "Nothing to complete.")
            return
        click.echo(withdrawal.listing(withdrawal.traces(work, patient)))
        if not yes:
            click.confirm(f"\nRemove all of this for ever, and {patient} from every file?", abort=True, err=True)
        click.echo(withdrawal.told(withdrawal.forget(work, patient, reason)))
    next_commands("penumbra retrain", 'penumbra sql "SELECT withdrawal, state, removed, models FROM withdrawals"')


@command("penumbra export backup/store")
@click.argument("folder", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write the whole store, with its history, into the new FOLDER: Parquet files and a manifest with their SHA-256.

    Works while a run goes on. Images and registered models are plain files of the state folder: copy them beside.
    """
    from penumbra import store, tables

    with store.connect(state_home(), read_only=True) as lake:
        done = store.export_store(lake, folder)
    click.echo(tables.facts({"folder": str(folder), "commits": done.commits, "rows": sum(done.rows.values()), "digest": done.digest}))
    next_commands(f"PENUMBRA_HOME=elsewhere penumbra import {folder}")


@command("penumbra import backup/store", name="import")
@click.argument("folder", type=FOLDER)
def import_(folder: Path) -> None:
    """Fill an empty store from the FOLDER of an export, into PostgreSQL where PENUMBRA_CATALOG names it; every row is compared before it is kept."""
    from penumbra import store, tables

    with store.connect(state_home()) as lake:
        done = store.import_store(lake, folder)
    click.echo(tables.facts({"commits": done.commits, "rows": sum(done.rows.values()), "digest": done.digest}))
    next_commands('penumbra sql "SELECT id, what FROM commits ORDER BY id DESC LIMIT 5"', "penumbra doctor")


@command("penumbra compare champion challenger")
@click.argument("versions", nargs=-1)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def compare(versions: tuple[str, ...], form: str) -> None:
    """Registered VERSIONS (numbers or aliases) side by side.

    Two: what differs, every measure per center with paired difference, interval and p, patients that changed their risk group, calibration, and
    a page with overlaid figures. More, or none for all: C at every center, each against the first.
    """
    from penumbra import versus
    from penumbra.work import begin

    click.echo(versus.compare(begin(), versions, form))


@command("penumbra models")
def models() -> None:
    """Registered versions with alias, date, and C per center."""
    from penumbra import answers

    click.echo(answers.models(state_home()))
    next_commands("penumbra compare champion 1", 'penumbra sql "SELECT alias, version, previous, reason, at FROM alias_changes"')


@command("penumbra retrain --center east")
@click.option("--center", help="A center in incoming/. Default: those that arrived after the champion was registered.")
@profile_option
def retrain(center: str | None, profile: str | None) -> None:
    """The center-arrival protocol: validate the champion on the new center, refit with it, compare, decide.

    A second retraining waits for the first.
    """
    from penumbra import answers, decided, drive, retraining
    from penumbra.work import begin

    work = begin(profile)
    centers = [center] if center else retraining.waiting(work)
    for name in centers:
        if retraining.is_new(work, name):
            click.echo(f"{answers.decision(drive.retrain_flow(work, name))}\n\npage  {work.home / decided.page_of(name)}")
        else:
            click.echo(f"Nothing new at {name} since it was decided.\n\n{answers.decision(retraining.last(work, name))}")
    if not centers:
        click.echo("Nothing new: no center arrived after the champion was registered that is not decided yet.")
    next_commands('penumbra sql "SELECT center, step, outcome FROM retrainings"', "penumbra models")


@command("penumbra serve")
@profile_option
def serve(profile: str | None) -> None:
    """Watch incoming/ and retrain when a center is complete; a weekly retraining and a nightly check beside.

    A center is complete when its folder holds a file named `complete`, or after a quiet period (params.yaml, group serve). Runs until it is
    stopped, with a Prefect server on loopback unless PREFECT_API_URL names one.
    """
    from penumbra import service
    from penumbra.work import begin

    service.serve(begin(profile))


@command('penumbra promote 2 --reason "agreed by the tumour board"')
@click.argument("version")
@click.option("--reason", required=True, help="Kept in the relation alias_changes.")
@click.option("--alias", type=click.Choice(["champion", "challenger"]), default="champion", show_default=True)
def promote(version: str, reason: str, alias: str) -> None:
    """Make a registered VERSION champion, if its files still are what was registered."""
    from penumbra import aliases
    from penumbra.work import begin

    change = aliases.set_alias(begin(), version, alias, reason=reason)
    click.echo(f"{change.model}/{change.version} is {change.alias}; before: {change.previous or 'none'}")
    next_commands("penumbra models")


@command('penumbra rollback --reason "drift at east"')
@click.option("--reason", required=True, help="Kept in the relation alias_changes.")
def rollback(reason: str) -> None:
    """Make the version champion again that was it before the last change."""
    from penumbra import aliases
    from penumbra.work import begin

    change = aliases.rollback(begin(), reason=reason)
    click.echo(f"{change.model}/{change.version} is {change.alias} again; before: {change.previous}")
    next_commands("penumbra models")


@command("penumbra predict data/simulated/east/E001")
@click.argument("path", type=FOLDER)
@click.option("--model", default="champion", show_default=True, help="Alias or version number.")
@click.option("--center", help="Whose synonyms name the GTV. Default: the name of the folder above PATH.")
@click.option("--record", is_flag=True, help="Remember the prediction in the store, for penumbra monitor.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def predict(path: Path, model: str, center: str | None, record: bool, form: str) -> None:
    """Risk, risk group and survival of one patient from the DICOM or NIfTI folder PATH."""
    import json
    from dataclasses import asdict

    from penumbra import scoring, tables

    prediction = scoring.predict(state_home(), path, model, center)
    if record:
        from penumbra import monitoring
        from penumbra.work import begin

        patient = monitoring.record(begin(), path, center or path.resolve().parent.name, prediction)
        click.echo(f"recorded as {patient}", err=True)
    if form == "json":
        click.echo(json.dumps(asdict(prediction)))
        return
    survival = {f"alive after {years.removesuffix('y')} y": value for years, value in prediction.survival.items()}
    facts = {name: value for name, value in asdict(prediction).items() if name not in ("survival", "remarks")}
    click.echo(tables.facts({**facts, **survival, **{f"remark {i}": text for i, text in enumerate(prediction.remarks, 1)}}))


@command("penumbra monitor")
def monitor() -> None:
    """C and calibration of every version on patients it scored before their outcome was known, per center."""
    from penumbra import monitoring, tables
    from penumbra.work import begin

    found = monitoring.monitor(begin())
    header = ["version", "center", "metric", "n", "died", "value", "95 %"]
    body = [
        [version, row.center, row.metric, row.n, row.events, row.reason or row.value, f"{row.lower:.3f} to {row.upper:.3f}" if row.lower == row.lower else "-"]
        for version, row in found
    ]
    click.echo(tables.render(header, body) if body else "No patient that was scored has an outcome that came later.")
    next_commands("penumbra sql \"SELECT version, center, metric, value, n FROM model_metrics WHERE split = 'live'\"")


@command("penumbra rois data/simulated/east")
@click.argument("folder", type=FOLDER)
@click.option("--center", help="Use this center's synonyms. Default: the folder's name.")
def rois(folder: Path, center: str | None) -> None:
    """All ROI names in a center's FOLDER with counts, and what each would map to; nothing is ingested."""
    from penumbra import answers

    click.echo(answers.rois(folder, center or folder.resolve().name))


@command("penumbra baseline north east,south")
@click.argument("groups", nargs=-1)
def baseline(groups: tuple[str, ...]) -> None:
    """The baseline table (Table 2) of GROUPS of centers, and what became of each center's patients.

    A group is one center or several joined by commas. Default: the training centers against all others.
    """
    from penumbra import answers, tables
    from penumbra.work import begin, read_manifest

    work = begin()
    header, lines = answers.baseline(work, groups)
    click.echo(tables.render(header, lines))
    click.echo("\n" + answers.cohort_flow(read_manifest(work.home, "ingest")))


@command("penumbra gallery --center east")
@click.option("--center", help="Default: every center in the store.")
def gallery(center: str | None) -> None:
    """One HTML page per center to look at every mask: three planes with contour and rings, the suspicious first."""
    from penumbra.gallery import gallery as write_pages
    from penumbra.work import begin

    for page in write_pages(begin(), center):
        click.echo(page)


@command("penumbra doctor")
def doctor() -> None:
    """Is everything installed, reachable and consistent?"""
    from penumbra import checkup

    findings = checkup.examine(state_home())
    for finding in findings:
        click.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.what}: {finding.found}")
    if any(not finding.ok for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
