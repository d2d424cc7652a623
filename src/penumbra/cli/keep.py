"""What is kept: a patient forgotten, the store moved."""

import sys
from pathlib import Path

import click

from penumbra.base.params import state_home
from penumbra.cli import completion
from penumbra.cli.group import FOLDER, command, format_option, next_commands


@command("penumbra forget N001 --reason 'consent withdrawn'")
@click.argument("patient", required=False, shell_complete=completion.patients)
@click.option("--center", shell_complete=completion.centers, help="The patient's center, if several centers have, or had, a patient of this name.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--reason", help="Kept in the relation withdrawals; do not name the patient in it.")
@format_option
def forget(patient: str | None, center: str | None, yes: bool, reason: str | None, form: str) -> None:
    """Remove PATIENT from every relation, commit, snapshot and file, and name the models to retrain. Shows what would be deleted and asks for confirmation.

    Without PATIENT: complete a forgetting that was interrupted.
    """
    from penumbra.base import tables
    from penumbra.commands import forget
    from penumbra.pipeline import history
    from penumbra.pipeline.workspace import begin, one_run_at_a_time

    work = begin()
    with one_run_at_a_time(work.home, room=False):
        finished = forget.finish(work)
        if patient is None:
            click.echo("The interrupted forgetting is complete." if finished else "Nothing to complete.")
            return
        traces = forget.traces(work, patient, center)
        if form == "table":
            click.echo(forget.listing(traces))
        else:
            tables.write(tables.Answer.of(forget.held(traces)), form, sys.stdout)
        if not yes:
            click.confirm(f"\nPermanently delete all of this, and every mention of {patient}?", abort=True, err=True)
        click.echo(forget.summary(forget.forget(work, patient, center, reason)), err=form != "table")
        history.forget(work.home)
    next_commands("penumbra retrain", 'penumbra sql "SELECT withdrawal, state, removed, models FROM withdrawals"')


@command("penumbra export backup/store")
@click.argument("folder", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write the whole store, with its history, into the new FOLDER: Parquet files and a manifest with their SHA-256.

    Works during a run. Images and registered models are plain files of the state folder: copy them separately.
    """
    from penumbra.base import tables
    from penumbra.commands import export

    click.echo(tables.facts(export.export(state_home(), folder)))
    next_commands(f"PENUMBRA_HOME=elsewhere penumbra import {folder}")


@command("penumbra import backup/store", name="import")
@click.argument("folder", type=FOLDER)
def import_(folder: Path) -> None:
    """Fill an empty store from the FOLDER of an export, into PostgreSQL where PENUMBRA_CATALOG names it and object storage where
    PENUMBRA_FILES does; every row is compared before it is kept."""
    from penumbra.base import tables
    from penumbra.commands import import_

    click.echo(tables.facts(import_.import_(state_home(), folder)))
    next_commands('penumbra sql "SELECT id, what FROM commits ORDER BY id DESC LIMIT 5"', "penumbra doctor")
