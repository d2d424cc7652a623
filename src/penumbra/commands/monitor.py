"""Monitoring: scored patients are recorded; once their outcome is known, the version that scored them is measured on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry, store
from penumbra.base.progress import say
from penumbra.commands.predict import Prediction, predict
from penumbra.evaluate import MetricRow, ModelRisk
from penumbra.evaluate.metrics import OneModel, is_calibration
from penumbra.evaluate.paired import Pair, paired_rows
from penumbra.evaluate.sets import value_or_reason
from penumbra.pipeline import applicability, live, looks, persons, prospective, pseudonyms, recalibration, recording, shadow
from penumbra.pipeline.prospective import DELTA, LIVE
from penumbra.pipeline.workspace import Work
from penumbra.survival.outcome import Outcomes

PAGE = "reports/monitor/index.html"  # of the charts of live patients


def record(work: Work, folder: Path, center: str, prediction: Prediction, **facts: Any) -> str:
    """Remember a scored patient in `predictions`; the name it has there (a pseudonym where PENUMBRA_PSEUDONYM_KEY is set, as at ingest).

    A patient whom the champion scored is scored by the challenger as well, in the shadow; where it cannot, that is said.

    Parameters
    ----------
    facts
        What `predict` was told of the patient, such as age and treatment: the challenger is told the same.

    Raises
    ------
    Refusal
        "pseudonym_key", or "patient_id_free" and "patient_scan" where the name belongs to somebody else.
    """
    patient: str = pseudonyms.namer(center)(folder.resolve().name)
    with store.connect(work.home) as lake:
        pseudonyms.require_key(work, lake)
        image_version = persons.require_own(lake, patient, center, prediction.sha256) or prediction.image_version
    person = {"patient": patient, "center": center, "image_version": image_version}
    _write(work, person, prediction)
    challenger = shadow.challenger_of(work.home, prediction.model, prediction.version)
    if challenger is not None:
        try:
            _write(work, person, predict(work.home, folder, f"{prediction.model}/{challenger}", center, **facts))
        except Exception as error:  # the champion's answer stands
            say(shadow.not_scored(prediction.model, challenger, error))
    return patient


def _write(work: Work, person: Mapping[str, str | None], prediction: Prediction) -> None:
    rows = recording.prediction_records(
        prediction.model,
        [person],
        np.array([prediction.log_risk]),
        np.array([prediction.risk_group]),
        tuple(prediction.horizons_days.values()),
        np.array([[np.nan if value is None else value for value in prediction.survival.values()]]),
        prediction.band,
        [{name: getattr(prediction, name) for name in applicability.STORED}],
    )
    if prediction.recalibrated is not None:
        rows["recalibrations"] = [recalibration.record(prediction.recalibrated, prediction.model, person["patient"])]
    with store.connect(work.home) as lake:
        what = f"{prediction.model}/{prediction.version} scored a patient of {person['center']}"
        lake.write(recording.of_version(prediction.version, rows), run=work.run, what=what)


def monitor(work: Work, model: str | None = None) -> list[tuple[str, MetricRow]]:
    """(version, measure) per center of the patients that a version scored before their outcome was known; also into `model_metrics`, split live.

    The challenger has one more, delta_c_champion: its C minus the champion's on the patients that both scored, with the interval of a paired bootstrap.

    Parameters
    ----------
    model
        None: the one that params.yaml names.

    Notes
    -----
    A measure that these patients do not define yet is a row with NaN and its reason, and is not stored. What was stored before and is not measured
    on them now is taken back.
    """
    model, measures = model or work.settings.register.model, []
    store.require(work.home)  # which must not be made by asking
    with store.connect(work.home) as lake:
        rows, before = prospective.matured(lake, model), prospective.stored(lake, model)
        versions = {str(entry.version) for entry in registry.versions(work.home, model)}
        champion, challenger = (str(registry.shelf(work.home, model).aliases.get(alias)) for alias in (registry.CHAMPION, registry.CHALLENGER))
        for version in dict.fromkeys(row["version"] for row in rows):
            if str(version) not in versions:
                say(f"{model}/{version} was deleted outside penumbra: the patients that it scored are not measured")
                continue
            loaded = registry.load(work.home, version, model=model)
            mine = [row for row in rows if row["version"] == version]
            measured = [entry for center in dict.fromkeys(row["center"] for row in mine) for entry in _measured(work, loaded, center, mine)]
            if version == challenger:
                measured += _against(work, loaded.served, [row for row in rows if row["version"] == champion], mine)
            defined = [entry for entry in measured if entry.value == entry.value]
            if defined:
                rows_of_version = {"model_metrics": recording.metric_records(model, loaded.served, defined)}
                commit = lake.write(recording.of_version(loaded.entry.version, rows_of_version), run=work.run, what=f"{model}/{version} live")
                if commit is not None:  # else every number is as it was the night before
                    evaluation = {"digest": loaded.entry.digest, "patients": [[row["patient"], row["time"], row["event"]] for row in mine]}
                    look = looks.Look("monitor", evaluation, model, str(version), LIVE)
                    looks.count(work.home, work.run, look, (row["center"] for row in mine), (row["event"] for row in mine))
            measures += [(str(version), entry) for entry in measured]
        _take_back(work, lake, model, before, measures)
    return measures


def watch(work: Work, model: str | None = None) -> tuple[list[live.Watched], Path | None]:
    """Look at how the deaths of live patients come, per version and center; recorded in `live_monitoring`, and shown on the page, None where there is none.

    Raises
    ------
    Refusal
        "store_there".
    """
    model = model or work.settings.register.model
    store.require(work.home)
    with store.connect(work.home) as lake:
        watched = live.look(work, lake, model)
    return watched, _write_page(work.home, model, watched)


def _write_page(home: Path, model: str, watched: Sequence[live.Watched]) -> Path | None:
    """The page of the charts: a section for each version and center; None where no patient is live."""
    from penumbra.report.monitoring import charts
    from penumbra.report.sections import Section, write_sections

    if not watched:
        return None
    sections = []
    for one in watched:
        signal = one.signal
        difference = f"{one.observed} died, {one.expected:.1f} were expected ({one.observed - one.expected:+.1f}) of {one.patients} patients"
        words = f"{difference}. {f'Signal: {signal.deaths} than expected.' if signal else 'No chart is beyond its limit.'}"
        figure = charts(one.stream, one.more, one.fewer, f"{one.center}-{one.version}")
        sections.append(Section(f"{one.center}, {one.model}/{one.version}", words, figures=(figure,)))
    verdict = [str(one.signal) for one in watched if one.signal] or ["Nowhere do deaths come otherwise than expected."]
    footer = "penumbra monitor; research software, not a medical device."
    return write_sections(home / PAGE, "Deaths as they come", model, verdict, sections, footer)


def _take_back(work: Work, lake: store.Store, model: str, before: dict[prospective.Place, list[dict[str, Any]]], measures: list[tuple[str, MetricRow]]) -> None:
    """Take back the stored live metrics that were not measured again."""
    places = {(version, entry.center, entry.metric) for version, entry in measures if entry.value == entry.value}
    for (version, center), rows in before.items():
        stale = [row for row in rows if (version, center, row["metric"]) not in places]
        if stale:
            retracted = prospective.retractions(model, (version, center), stale)
            lake.write({"model_metrics": retracted}, run=work.run, what=f"{model}/{version}: live metrics of {center} taken back")
            say(f"{len(stale)} live metrics of {model}/{version} at {center} are taken back: not measured on patients scored before their outcome was known")


def _measured(work: Work, loaded: registry.LoadedModel, center: str, rows: list[dict[str, Any]]) -> list[MetricRow]:
    here = [row for row in rows if row["center"] == center]
    event, time = np.array([bool(row["event"]) for row in here]), np.array([float(row["time"]) for row in here])
    risk = ModelRisk(np.array([row["log_risk"] for row in here], dtype=float), loaded.model.cutoff, loaded.model.baseline)
    one = OneModel(event, time, risk, work.settings.evaluate.confidence)
    answered = replace(one, model=replace(risk, log_risk=np.array([row["answered_risk"] for row in here], dtype=float)))
    shown = {"harrell_c": one.harrell, **{name: compute for name, compute in answered.metrics(loaded.horizons_days) if is_calibration(name)}}
    size, metric_rows = (len(here), int(event.sum())), []
    for name, compute in shown.items():
        value, lower, upper, reason = value_or_reason(compute, risk.log_risk)
        metric_rows.append(MetricRow(loaded.served, center, LIVE, name, value, lower, upper, *size, reason))
    return metric_rows


def _against(work: Work, served: str, champions: list[dict[str, Any]], challengers: list[dict[str, Any]]) -> Iterator[MetricRow]:
    """C of the challenger minus C of the champion at each center, on the patients that both scored before their outcome."""
    other = {(row["patient"], row["center"]): row["log_risk"] for row in champions}
    both = [row for row in challengers if (row["patient"], row["center"]) in other]
    for center in dict.fromkeys(row["center"] for row in both):
        here = [row for row in both if row["center"] == center]
        outcomes = Outcomes.of_one_center(np.array([bool(row["event"]) for row in here]), np.array([float(row["time"]) for row in here]))
        log_risk = np.array([[other[row["patient"], center] for row in here], [row["log_risk"] for row in here]], dtype=float)
        nothing = np.zeros((2, len(here)), dtype=bool)
        pair = Pair(center, ("champion", "challenger"), outcomes, log_risk, np.zeros((2, len(here), 0)), nothing, nothing, ())
        for row in paired_rows(pair, work.settings.evaluate):
            yield MetricRow(served, center, LIVE, DELTA, row.difference, row.lower, row.upper, row.n, row.events, row.reason)
