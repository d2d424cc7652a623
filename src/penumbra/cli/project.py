"""A project of one's own: made, and brought up to newer defaults."""

import shlex
from pathlib import Path

import click

from penumbra.cli.group import command, next_commands


@command("penumbra init my-department")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True, help="In a project: show what the defaults of this penumbra changed since the project was made, and what conflicts.")
@click.option("--apply", is_flag=True, help="With --update: write what does not conflict with your own edits.")
@click.option("--keep-own", is_flag=True, help="With --update: settle every conflict on what the project has.")
def init(folder: Path | None, update: bool, apply: bool, keep_own: bool) -> None:
    """Make a project in FOLDER: params.yaml, features/, models/ and dvc.yaml to edit, with git and DVC set up where they are there.

    Commands find it from any folder below it. Its state is in data/, unless PENUMBRA_HOME names another folder.
    """
    from penumbra.base.project import enclosing, is_made
    from penumbra.base.refusal import Refusal
    from penumbra.commands import init as project

    if not update:
        if apply or keep_own:
            raise click.UsageError("--apply and --keep-own go with --update.")
        if folder is None:
            raise click.UsageError("Missing argument 'FOLDER'; for the current folder: penumbra init .")
        click.echo("\n".join([f"A project in {folder}:", *(f"  {line}" for line in project.init(folder))]))
        next_commands(f"cd {shlex.quote(str(folder))}", "penumbra run --cohort FOLDER", "penumbra simulate data/simulated")
        return
    root = folder or enclosing()
    if root is None or not is_made(root):
        raise Refusal("project_found", "there is no project here that penumbra init made", "Run it in a project, or give its folder before --update")
    changed = project.compare(root, keep_own=keep_own)
    if apply:
        project.apply(changed)
    click.echo("\n".join(project.lines(changed, applied=apply)))
    if any(change.shown for change in changed.changes):
        next_commands("penumbra doctor" if apply else "penumbra init --update --apply")
