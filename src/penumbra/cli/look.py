"""Inspection: names of structures, the baseline table, every mask, the state of the installation."""

import contextlib
import sys
from pathlib import Path

import click

from penumbra.base.params import ParamsError, state_home
from penumbra.cli import completion
from penumbra.cli.group import FOLDER, as_of_option, command, form_option, format_option, next_commands


@command("penumbra rois data/simulated/east")
@click.argument("folder", type=FOLDER)
@click.option("--center", shell_complete=completion.centers, help="Use this center's synonyms. Default: the folder's name.")
@format_option
def rois(folder: Path, center: str | None, form: str) -> None:
    """All ROI names in a center's FOLDER with their counts, and what each would map to; nothing is ingested."""
    from penumbra.base import tables
    from penumbra.commands import rois as rois_command

    name = center or folder.resolve().name
    if form == "table":
        click.echo(rois_command.rois(folder, name))
    else:
        tables.write(rois_command.roi_rows(folder, name), form, sys.stdout)


@command("penumbra patients --sort risk --center east")
@click.option(
    "--sort", default="suspicion", show_default=True, help="suspicion, patient, center; risk, stage, volume, time, clinical.NAME, each also as -risk."
)
@click.option("--status", help="accepted, remarked, excluded, rejected, 'without scan'; used: the first two.")
@click.option("--center", shell_complete=completion.centers, help="Patients of this center alone.")
@click.option("--group", help="Risk group: high or low.")
@click.option("--applicability", help="inside, edge or outside.")
@click.option("--rule", shell_complete=completion.rules, help="A reason or remark.")
@click.option("--search", help="A part of name, center, histology, stage or sex.")
@click.option("--version", default="", shell_complete=completion.versions, help="Whose risks. Default: the champion.")
@as_of_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Patients that are listed.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Patients that are left out before them.")
@format_option
def patients(sort: str, search: str | None, version: str, as_of: str | None, limit: int, offset: int, form: str, **filters: str | None) -> None:
    """Everybody who arrived, the most suspicious mask first: status, stage, volume, risk, applicability, outcome, and the columns of features/clinical.yaml.

    Risks of a version's training patients come from fits that never saw them, where those are still there (column basis).
    """
    from penumbra.base import tables
    from penumbra.commands import patients as listing

    filters_and_search = {**{name: value or "" for name, value in filters.items()}, "q": search or ""}
    answer = listing.patients(state_home(), filters_and_search, sort, version, as_of=as_of, limit=limit, offset=offset)
    tables.write(answer, form, sys.stdout)


@command("penumbra baseline north east,south")
@click.argument("groups", nargs=-1, shell_complete=completion.centers)
@format_option
def baseline(groups: tuple[str, ...], form: str) -> None:
    """The baseline table (Table 2) of GROUPS of centers, and what became of each center's patients.

    A group is one center or several joined by commas. Default: the training centers against all others.
    """
    from penumbra.base import tables
    from penumbra.commands import baseline as baseline_command
    from penumbra.commands import ingest as ingest_command
    from penumbra.pipeline import manifests
    from penumbra.pipeline.workspace import begin

    work = begin()
    header, lines = baseline_command.baseline(work, groups)
    if form != "table":
        tables.write(tables.Answer(tuple(name.replace("\n", ", ") or "characteristic" for name in header), lines, (), len(lines)), form, sys.stdout)
        return
    click.echo(tables.render(header, lines))
    click.echo("\n" + ingest_command.cohort_flow(manifests.read(work.home, manifests.IngestManifest)))


@command("penumbra gallery --center east")
@click.option("--center", shell_complete=completion.centers, help="Default: every center in the store.")
def gallery(center: str | None) -> None:
    """One HTML page per center showing every mask: three planes with contour and rings, suspicious ones first."""
    from penumbra.commands.gallery import gallery as write_pages
    from penumbra.pipeline.workspace import begin

    for page in write_pages(begin(), center):
        click.echo(page)


@command("penumbra doctor")
@format_option
def doctor(form: str) -> None:
    """Check that everything is installed, reachable and consistent."""
    from penumbra.base import tables
    from penumbra.commands import doctor
    from penumbra.pipeline import history

    findings = doctor.examine()
    with contextlib.suppress(ParamsError):  # then there is no state folder to remember it in, and a finding says so
        history.checked(state_home(), [f"{finding.what}: {finding.found}" for finding in findings if not finding.ok])
    rows = [[finding.what, "ok" if finding.ok else "BAD", finding.found] for finding in findings]
    tables.write(tables.Answer(("checked", "state", "found"), rows, (), len(rows)), form, sys.stdout)
    if any(not finding.ok for finding in findings):
        sys.exit(1)


@command("penumbra rules ct_found")
@click.argument("name", required=False, shell_complete=completion.rules)
@form_option("table", "csv", "json", "markdown")
def rules(name: str | None, form: str) -> None:
    """What the rule NAME means that an error, a remark or a rejection names, who raises it, and what to do. Without NAME: every rule."""
    from penumbra.base import layout, tables
    from penumbra.commands import rules as known

    if name is None:
        every = list(known.declared().values())
        if form == "table":
            for section in dict.fromkeys(rule.section for rule in every):
                rows = [[rule.name, rule.means] for rule in every if rule.section == section]
                click.echo(f"{section}\n{layout.pairs([(first, second) for first, second in rows], tables.terminal_width())}\n")
            next_commands("penumbra rules NAME")
            return
        tables.write(tables.Answer.of([{"rule": rule.name, "means": rule.means, "what to do": rule.advice} for rule in every]), form, sys.stdout)
        return
    rule, modules = known.one(name)
    record = {"rule": rule.name, "means": rule.means, "what to do": rule.advice, "raised by": ", ".join(modules)}
    if form == "table":
        click.echo(tables.facts(record))
    else:
        tables.write(tables.Answer.of([record]), form, sys.stdout)
