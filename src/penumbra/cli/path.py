"""The path: from arrived centers to a registered model and its report, as one run or stage by stage."""

import os
import shlex
import sys
from pathlib import Path

import click

from penumbra.base.params import state_home
from penumbra.cli import completion
from penumbra.cli.group import FOLDER, command, format_option, next_commands, profile_option
from penumbra.pipeline.stages import BY_NAME, STAGES, Stage


@command("penumbra run --cohort data/simulated")
@click.option("--cohort", type=FOLDER, help="Folder with one subfolder per center. Default: the centers already in incoming/.")
@profile_option
@format_option
def run(cohort: Path | None, profile: str | None, form: str) -> None:
    """The whole path: ingest, populate, train, fuse, evaluate, register, report."""
    from penumbra.pipeline import arrivals

    if cohort is None:
        arrivals.center_folders(state_home())  # before anything that takes longer to start
    from penumbra.base import layout, tables
    from penumbra.commands import run as run_command
    from penumbra.commands import verdict
    from penumbra.flows import drive
    from penumbra.pipeline import aliases, history, manifests
    from penumbra.pipeline.settings import require_shown
    from penumbra.pipeline.workspace import begin, one_run_at_a_time

    work = begin(profile)
    with one_run_at_a_time(work.home), history.noted(work.home, "penumbra run" + (f" --profile {profile}" if profile else "")):
        aliases.tell(work.home, work.settings.register.model)
        if cohort is not None:
            arrivals.take_cohort(work.home, cohort)
        arrivals.require_training(work.home, work.settings.cohort.train_centers)
        require_shown()  # what the report reads at the end
        drive.run_flow(work)
        drive.record_with_dvc(work)
    choice, registered = manifests.read(work.home, manifests.EvaluateManifest).choice, manifests.read(work.home, manifests.RegisterManifest)
    served = verdict.sentence(verdict.verdict(work.home, work.settings.register.model), registered, choice.reason if choice else "")
    sentence = "\n".join(layout.wrap(served, tables.terminal_width())[0])
    if form == "table":
        click.echo(f"{sentence}\n\n{run_command.summary(work)}")
    else:
        click.echo(sentence, err=True)
        tables.write(tables.Answer.of(manifests.read(work.home, manifests.EvaluateManifest).to_json()["metrics"], run_command.MEASURED), form, sys.stdout)
    next_commands(
        "penumbra console",
        'penumbra sql "SELECT patient, survival_2y FROM predictions LIMIT 5"',
        "penumbra compare",
        f"penumbra predict {shlex.quote(run_command.example_patient(work))}",
    )


@command("penumbra simulate data/simulated --seed 7")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=int, help="Default: simulate.seed in params.yaml.")
def simulate(folder: Path, seed: int | None) -> None:
    """Write the simulated three-center cohort: DICOM CT, RTSTRUCT and clinical.csv, and the ground truth."""
    from penumbra.commands.simulate import simulate_cohort

    click.echo(simulate_cohort(folder, seed))
    if "MAKELEVEL" not in os.environ:  # `make run` continues with the run by itself
        next_commands(f"penumbra run --cohort {shlex.quote(str(folder))}")


@command("penumbra ingest /data/from-east --center east")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--center", shell_complete=completion.centers, help="Name of the center whose folder this is.")
@click.option(
    "--confirm",
    multiple=True,
    shell_complete=completion.patients,
    metavar="PATIENT",
    help="Take PATIENT's new record, though it contradicts the stored one; may be repeated.",
)
@click.option("--new-key", is_flag=True, help="Rename every patient with the current PENUMBRA_PSEUDONYM_KEY, or without one; for all centers at once.")
@click.option("--arrivals", "noted", is_flag=True, help="Only note which files have arrived, by hash: where dvc repro begins.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, center by center, and write nothing; FOLDER may hold several centers.")
@profile_option
@format_option
def ingest(
    folder: Path | None, center: str | None, confirm: tuple[str, ...], new_key: bool, noted: bool, dry_run: bool, profile: str | None, form: str
) -> None:
    """One center's FOLDER into the store; without FOLDER, every center in incoming/. Prints accepted and rejected."""
    from penumbra.base import tables
    from penumbra.commands import ingest as ingest_command
    from penumbra.pipeline import arrivals, history
    from penumbra.pipeline.ingest import ingest
    from penumbra.pipeline.workspace import begin, one_run_at_a_time

    if dry_run:
        _rehearse(folder, center, confirm, new_key, profile, form)
        return
    if (folder is None) != (center is None):
        several = "" if folder is None or not any(folder.glob("*/clinical.csv")) else f"; a folder of several centers: penumbra run --cohort {folder}"
        raise click.UsageError(f"FOLDER and --center go together: penumbra ingest FOLDER --center NAME{several}")
    if new_key and folder is not None:
        raise click.UsageError("--new-key renames the patients of every center: penumbra ingest --new-key")
    if noted and (folder is not None or new_key or confirm):
        raise click.UsageError("--arrivals goes alone: it notes the centers in incoming/ and ingests none")
    work = begin(profile)
    if noted:
        with one_run_at_a_time(work.home):
            arrivals.note(work.home, work.settings.ingest.roots)
        return
    with one_run_at_a_time(work.home), history.noted(work.home, "penumbra ingest"):
        if folder is not None and center is not None:
            arrivals.take_center(work.home, folder, center)
        ingested = ingest(work, only=center, confirmed=confirm, new_key=new_key)
    refused = [facts.refused for name, facts in ingested.centers.items() if center in (None, name) and facts.refused]
    if refused and not any(facts.accepted for name, facts in ingested.centers.items() if center in (None, name)):
        more = f' {len(refused) - 1} more centers were refused; penumbra sql "FROM rejections" has all.' if len(refused) > 1 else ""
        raise click.ClickException(refused[0].replace(" (rule ", f".{more} (rule "))
    if form != "table":
        tables.write(ingest_command.cohort_flow_rows(ingested), form, sys.stdout)
        return
    click.echo(ingest_command.cohort_flow(ingested))
    next_commands('penumbra sql "SELECT patient, rule, found, advice FROM rejections"', "penumbra populate")


def _rehearse(folder: Path | None, center: str | None, confirm: tuple[str, ...], new_key: bool, profile: str | None, form: str) -> None:
    from penumbra.base import tables
    from penumbra.commands import dry_run
    from penumbra.pipeline import arrivals
    from penumbra.pipeline.workspace import begin

    if new_key or (center is not None and folder is None):
        raise click.UsageError("--dry-run takes FOLDER --center NAME, the FOLDER of several centers, or nothing for those in incoming/; not --new-key")
    work = begin(profile)
    if folder is None:
        folders = arrivals.center_folders(work.home)
    elif center is None:
        folders = arrivals.cohort_centers(folder)
    else:
        arrivals.require_center(work.home, folder, center)
        folders = {center: folder}
    rehearsals = dry_run.rehearse(work, folders, confirm)
    if form != "table":
        tables.write(dry_run.rows(rehearsals), form, sys.stdout)
        return
    click.echo(dry_run.shown(rehearsals))
    place = shlex.quote(str(folder))
    next_commands(f"penumbra ingest {place} --center {shlex.quote(center)}" if center else f"penumbra run --cohort {place}" if folder else "penumbra ingest")


def _stage_command(of: Stage) -> None:
    @command(f"penumbra {of.name}", of.name)
    @profile_option
    def stage(profile: str | None) -> None:
        from penumbra.base import tables
        from penumbra.flows.pool import run_stage
        from penumbra.pipeline import history
        from penumbra.pipeline.workspace import begin, one_run_at_a_time

        work = begin(profile)
        with one_run_at_a_time(work.home), history.noted(work.home, f"penumbra {of.name}"):
            manifest = run_stage(of, work)
        click.echo(tables.facts(manifest.to_json()))
        next_commands(*of.after)

    stage.help = of.does


for declared in STAGES[1:]:  # ingest takes a folder, and is above
    _stage_command(declared)


@command("penumbra stability")
@profile_option
@format_option
def stability(profile: str | None, form: str) -> None:
    """How stable each radiomics feature is: training patients measured again under noise, thicker slices, a shift, a rotation and another margin.

    Not part of penumbra run. Without outcomes, and without any center that does not train; by the numbers of the group stability in params.yaml. Finished
    patients are kept when it is stopped, and a second call with nothing new measures nothing.
    """
    from penumbra.base import tables
    from penumbra.commands import stability as stability_command
    from penumbra.flows.pool import run_stage
    from penumbra.pipeline import history, manifests
    from penumbra.pipeline.stability_manifest import StabilityManifest
    from penumbra.pipeline.workspace import begin, one_run_at_a_time

    work, of = begin(profile), BY_NAME["stability"]
    with one_run_at_a_time(work.home), history.noted(work.home, "penumbra stability"):
        run_stage(of, work)
    measured = manifests.read(work.home, StabilityManifest)
    if form != "table":
        tables.write(tables.Answer.of(stability_command.rows(measured), stability_command.COLUMNS), form, sys.stdout)
        return
    click.echo(stability_command.summary(measured))
    next_commands(*of.after)
