"""Registered versions: compare, retrain, promote, predict one patient, monitor."""

import sys
from pathlib import Path
from typing import Any

import click

from penumbra.base.params import state_home
from penumbra.cli import completion
from penumbra.cli.group import FOLDER, as_of_option, command, form_option, format_option, model_option, next_commands, profile_option

MEASURED = ("center", "metric", "value", "lower", "upper", "n", "events", "reason")  # of a version on patients whose outcome came later


@command("penumbra compare")
@click.argument("versions", nargs=-1, shell_complete=completion.versions)
@as_of_option
@format_option
def compare(versions: tuple[str, ...], as_of: str | None, form: str) -> None:
    """Registered VERSIONS side by side: numbers, aliases, MODEL/VERSION, names of `dvc exp run`, git revisions.

    Two: what differs, every measure per center with paired difference, interval and p, patients whose risk group changed, calibration, and
    a page with overlaid figures. More, or none for all: C at every center, each against the first.
    """
    from penumbra.base import tables
    from penumbra.commands import compare as side_by_side
    from penumbra.pipeline import aliases
    from penumbra.pipeline.workspace import begin

    work = begin()
    aliases.tell(work.home, work.settings.register.model)
    output = side_by_side.shown(work, versions, form, as_of=as_of)
    if isinstance(output, str):
        click.echo(output)
    else:
        tables.write(output, form, sys.stdout)


@command("penumbra models")
@model_option
@as_of_option
@format_option
def models(model: str | None, as_of: str | None, form: str) -> None:
    """Registered versions with alias, date, and C per center."""
    from penumbra.base import tables
    from penumbra.commands import models as models_command
    from penumbra.pipeline import aliases

    home = state_home()
    aliases.tell(home, model)
    if form != "table":
        tables.write(models_command.model_rows(home, model, as_of=as_of), form, sys.stdout)
        return
    click.echo(models_command.models(home, model, as_of=as_of))
    next_commands(
        models_command.comparison_of(home, model), "penumbra card champion", """penumbra sql 'SELECT version, previous, reason, "at" FROM alias_changes'"""
    )


@command("penumbra card champion --format json")
@click.argument("version", shell_complete=completion.versions)
@model_option
@as_of_option
@form_option("md", "json", "chai", help="chai: the fields of the Applied Model Card (schema v0.2) of the Coalition for Health AI, as XML.")
def card(version: str, model: str | None, as_of: str | None, form: str) -> None:
    """The model card of a registered VERSION (number, alias, or MODEL/VERSION): purpose, data, evidence, calibration, subgroups, limits, lineage.

    What is not known is said to be not known. models/chai.yaml holds the answers that only you can give, such as who funded it.
    """
    from penumbra import store
    from penumbra.commands import card as card_command

    home = state_home()
    commit = None if as_of is None else store.commit_of(home, as_of)
    click.echo(card_command.card(home, version, form, model, as_of=commit).rstrip("\n"))
    next_commands("penumbra report", "penumbra audit")


@command("penumbra audit")
@profile_option
@format_option
def audit(profile: str | None, form: str) -> None:
    """Try what could be wrong with the evidence of the served model: permuted outcomes, random panels, folds, doubles, and how often each center was read.

    Nothing is chosen by it, and no outcome outside the training centers is read. One that was stopped resumes.
    """
    from penumbra.base import tables
    from penumbra.commands import audit as audit_command
    from penumbra.pipeline import history
    from penumbra.pipeline.workspace import begin

    work = begin(profile)
    with history.noted(work.home, "penumbra audit"):
        seen, page = audit_command.audit(work)
    tables.write(audit_command.table(seen), form, sys.stdout, title=f"{seen.served} of {seen.label}")
    click.echo(f"\npage  {page}", err=form != "table")
    next_commands("penumbra card champion", 'penumbra sql "SELECT center, stage, version FROM looks"')


@command("penumbra retrain --center east")
@click.option("--center", shell_complete=completion.centers, help="A center in incoming/. Default: those that arrived after the champion was registered.")
@profile_option
@format_option
def retrain(center: str | None, profile: str | None, form: str) -> None:
    """The center-arrival protocol: validate the champion on the new center, ask how much has to change, update or refit, decide.

    A second retraining waits for the first. One that was killed too often is set aside, until its center is named here. It gives way to whatever else runs
    on the machine (nice 10), so that people can look at the console meanwhile.
    """
    from penumbra.base import tables
    from penumbra.commands import retrain as retrain_command
    from penumbra.flows import drive
    from penumbra.pipeline import aliases, decisions, proposals
    from penumbra.pipeline.workspace import begin
    from penumbra.retraining import protocol

    work = begin(profile)
    aliases.note(work.home, work.settings.register.model, run=work.run)
    proposals.close(work)
    centers = [center] if center else protocol.waiting(work)
    to_stderr, rows = form != "table", []  # a table for another program has stdout for itself
    for name in centers:
        protocol.require_arrived(work, name)
        if protocol.is_new(work, name, include_set_aside=center is not None):
            decision = drive.retrain_flow(work, name, include_set_aside=center is not None)
            click.echo(f"{retrain_command.decision(decision)}\n\npage  {work.home / decisions.page_of(name)}", err=to_stderr)
        else:
            decision = protocol.last(work, name)
            click.echo(f"Nothing new at {name} since it was decided.\n\n{retrain_command.decision(decision)}", err=to_stderr)
        rows += retrain_command.decision_rows(decision)
    if not centers:
        click.echo("Nothing new: no center arrived after the champion was registered that is not decided yet.", err=to_stderr)
    if form != "table":
        tables.write(tables.Answer.of(rows, retrain_command.DECIDED), form, sys.stdout)
    waiting = [proposals.command(decided.model, decided.challenger) for decided in decisions.proposals(work.home)]
    next_commands(*waiting, 'penumbra sql "SELECT center, step, outcome FROM retrainings"', "penumbra models")


@command("penumbra serve")
@profile_option
def serve(profile: str | None) -> None:
    """Watch incoming/ and retrain when a center is complete; also run a weekly retraining and a nightly check.

    A center is complete when its folder holds a file named `complete`, or after a quiet period (params.yaml, group serve). Runs until it is
    stopped, with a Prefect server on loopback unless PREFECT_API_URL names one.
    """
    from penumbra.flows import serve
    from penumbra.pipeline.workspace import begin

    serve.serve(begin(profile))


@command('penumbra promote 2 --reason "agreed by the tumor board"')
@click.argument("version", shell_complete=completion.versions)
@click.option("--reason", required=True, help="Kept in the relation alias_changes.")
@click.option(
    "--alias",
    type=click.Choice(["champion", "challenger"]),
    default="champion",
    show_default=True,
    help="champion answers; challenger scores the same patients in the shadow.",
)
def promote(version: str, reason: str, alias: str) -> None:
    """Make a registered VERSION (or MODEL/VERSION) champion, provided its files have not changed since registration.

    This also decides a proposal: where `retrain.promotion` is propose, a retraining that would promote its version waits for this command.
    """
    from penumbra.commands import promote
    from penumbra.pipeline.workspace import begin

    click.echo(promote.promote(begin(), version, alias, reason))
    next_commands("penumbra models")


@command('penumbra rollback --reason "drift at east"')
@click.option("--reason", required=True, help="Kept in the relation alias_changes.")
@model_option
def rollback(reason: str, model: str | None) -> None:
    """Restore the previous champion."""
    from penumbra.commands import rollback
    from penumbra.pipeline.workspace import begin

    click.echo(rollback.rollback(begin(), reason, model))
    next_commands("penumbra models")


def covariates(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, several times, as a mapping."""
    strange = next((each for each in texts if not each.partition("=")[0].strip() or "=" not in each), None)
    if strange is not None:
        raise click.BadParameter(f"{strange!r} is not NAME=VALUE, such as ecog=1", context, option)
    return {name.strip(): value for name, _, value in (each.partition("=") for each in texts)}


@command("penumbra predict data/simulated/east/E001")
@click.argument("path", type=FOLDER)
@click.option("--model", default="champion", show_default=True, shell_complete=completion.versions, help="Alias, version number, or MODEL/VERSION.")
@click.option(
    "--center", shell_complete=completion.centers, help="The patient's center, whose GTV names and recalibration hold. Default: the folder above PATH."
)
@click.option("--age", type=click.FloatRange(0, 120), help="In years, for a version that reads it. Default: the median of its training patients.")
@click.option("--stage", type=click.Choice(["I", "II", "III", "IV"], case_sensitive=False), help="Overall stage, likewise.")
@click.option(
    "--clinical", callback=covariates, multiple=True, metavar="NAME=VALUE", help="Of features/clinical.yaml, for a version that reads it; repeatable."
)
@click.option("--treatment", type=click.Choice(["radiotherapy", "surgery", "systemic"]), help="Primary treatment. Default: what the center declares.")
@click.option("--intent", type=click.Choice(["curative", "palliative"]), help="Likewise.")
@click.option("--record", is_flag=True, help="Store the prediction, for penumbra monitor.")
@format_option
def predict(path: Path, model: str, center: str | None, record: bool, form: str, **options: Any) -> None:
    """Whether the version is for the patient, then risk, risk group and survival of one patient from the DICOM or NIfTI folder PATH."""
    import json

    from penumbra.base import tables
    from penumbra.base.cells import percent
    from penumbra.commands import predict as predict_command
    from penumbra.survival.horizons import horizon_words

    prediction = predict_command.predict(state_home(), path, model, center, **options)
    if record:
        from penumbra.commands import monitor
        from penumbra.pipeline import aliases
        from penumbra.pipeline.workspace import begin

        work = begin()
        aliases.note(work.home, prediction.model, run=work.run)
        patient = monitor.record(work, path, center or path.resolve().parent.name, prediction, **options)
        click.echo(f"recorded as {patient}", err=True)
    if form == "json":
        click.echo(json.dumps(prediction.to_dict()))
        return
    if form != "table":
        tables.write(tables.Answer.of([prediction.to_dict()]), form, sys.stdout)
        return
    answers = prediction.survival | prediction.unanswered
    shown = {name: percent(value) if isinstance(value, float) else value for name, value in answers.items()}
    between = {
        name: f"{shown[name]} ({percent(low)} to {percent(high)})"
        for name, low, high in ((name, prediction.survival_lower.get(name), prediction.survival_upper.get(name)) for name in shown)
        if low is not None and high is not None
    }
    survival = {f"alive after {horizon_words(days)}": (shown | between)[name] for name, days in prediction.horizons_days.items()}
    apart = ("survival", "horizons_days", "unanswered", "remarks", "recalibrated", "survival_lower", "survival_upper")
    values = {name: value for name, value in prediction.to_dict().items() if name not in apart and not name.startswith("applicability")}
    facts = {"applicability": f"{prediction.applicability}: {prediction.applicability_reason}", **values}
    if prediction.recalibrated is not None:
        facts["recalibrated"] = str(prediction.recalibrated)
    click.echo(tables.facts({**facts, **survival, **{f"remark {i}": text for i, text in enumerate(prediction.remarks, 1)}}))


@command("penumbra explain E001")
@click.argument("patient", shell_complete=completion.patients)
@click.option("--model", default="champion", show_default=True, shell_complete=completion.versions, help="Alias, version number, or MODEL/VERSION.")
@click.option("--center", shell_complete=completion.centers, help="The patient's center. Default: the only one with this name, or the folder above.")
@click.option("--features", type=click.IntRange(1), help="Contributions shown of each block. Default: explain.features in params.yaml.")
@click.option("--age", type=click.FloatRange(0, 120), help="In years, of a folder, for a version that reads it.")
@click.option("--stage", type=click.Choice(["I", "II", "III", "IV"], case_sensitive=False), help="Overall stage, likewise.")
@click.option("--clinical", callback=covariates, multiple=True, metavar="NAME=VALUE", help="A column of features/clinical.yaml, of a folder; repeatable.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the patient's page to this file.")
@form_option("table", "json")
def explain(
    patient: str,
    model: str,
    center: str | None,
    features: int | None,
    age: float | None,
    stage: str | None,
    clinical: dict[str, str],
    html: Path | None,
    form: str,
) -> None:
    """Why a version says what it says of PATIENT: a name in the store, or a folder.

    Whether the version is for this patient, the risk with its limits, what adds up to it, and training patients who are alike.
    """
    import json

    from penumbra.commands import explain as explain_command
    from penumbra.pipeline import explain as explaining
    from penumbra.pipeline import patient_page
    from penumbra.pipeline.workspace import begin

    work = begin()
    explanation = explaining.explain(work, patient, model, center, features=features, age=age, stage=stage, clinical=clinical)
    if html is not None:
        click.echo(f"page  {patient_page.write_page(work, explanation, html)}", err=True)
    click.echo(json.dumps(explanation.to_dict(), allow_nan=False) if form == "json" else explain_command.shown(explanation))


@command("penumbra monitor")
@model_option
@format_option
def monitor(model: str | None, form: str) -> None:
    """C and calibration of every version on patients it scored before their outcome was known, per center, and how their deaths come.

    A center where more or fewer die than the champion expected, beyond what chance does, waits for penumbra retrain.
    """
    from penumbra.base import tables
    from penumbra.commands import monitor
    from penumbra.pipeline import aliases
    from penumbra.pipeline.workspace import begin

    work = begin()
    aliases.note(work.home, model or work.settings.register.model, run=work.run)
    measures, (watched, page) = monitor.monitor(work, model), monitor.watch(work, model)
    if form != "table":
        measured = [{"version": version} | {name: getattr(row, name) for name in MEASURED} for version, row in measures]
        tables.write(tables.Answer.of(measured, ("version", *MEASURED)), form, sys.stdout)
        return
    header = ["version", "center", "metric", "n", "died", "value", "95 %"]
    body = [
        [version, row.center, row.metric, row.n, row.events, row.reason or row.value, f"{row.lower:.3f} to {row.upper:.3f}" if row.lower == row.lower else "-"]
        for version, row in measures
    ]
    click.echo(tables.render(header, body) if body else "No patient that was scored has an outcome that came later.")
    if watched:
        header = ["version", "center", "patients", "died", "expected", "difference", "more\n(limit)", "fewer\n(limit)", "signal"]
        rows = [(one, one.record()) for one in watched]
        charts = [
            [one.version, one.center, one.patients, one.observed, f"{one.expected:.1f}", f"{one.observed - one.expected:+.1f}"]
            + [f"{row[f'cusum_{name}']:.1f} ({row[f'limit_{name}']:.1f})" for name in ("more", "fewer")]
            + [f"{one.signal.deaths} deaths" if one.signal else "-"]
            for one, row in rows
        ]
        click.echo(f"{tables.render(header, charts)}\n\npage  {page}")
        for one in watched:
            if one.signal:
                click.echo(f"\n{one.signal}.")
    next_commands("penumbra sql \"FROM model_metrics WHERE split = 'live'\"", 'penumbra sql "FROM live_monitoring"')


@command('penumbra set-aside east --reason "the scanner was replaced; waiting for a phantom"', name="set-aside")
@click.argument("center", shell_complete=completion.centers)
@click.option("--reason", required=True, help="Kept in the relation retrainings.")
@click.option("--undo", is_flag=True, help="Take the center back.")
def set_aside(center: str, reason: str, undo: bool) -> None:
    """No retraining for CENTER until it is taken back: `penumbra serve` passes it over, `penumbra retrain --center` refuses it."""
    from penumbra.commands import set_aside as setting
    from penumbra.pipeline.workspace import begin

    click.echo(setting.set_aside(begin(), center, reason, undo=undo))
    if undo:
        next_commands(f"penumbra retrain --center {center}")
