"""What a person reads on MLflow's pages of a version: its description, the report and what belongs to it, and C per center over all versions.

The description is written again with every number that comes later; one that somebody wrote in MLflow stays.
"""

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penumbra.evaluate import EXTERNAL, TRAINING
from penumbra.registry import tracking
from penumbra.registry.database import client, writing
from penumbra.registry.named_metrics import INSIDE, TABLE, artifacts_of
from penumbra.registry.shelf import RegisteredVersion
from penumbra.registry.versions import find, versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPORT, PAGE, CARD, SENTENCES = "report", "report.html", "model_card.md", "sentences.json"
OURS = ("penumbra {label}.", "**penumbra** {label}.")  # how a description of ours begins, today and before
HISTORY_TAG = "penumbra.history"  # of the run that has C per center over all versions: the model's name
HISTORY_NOTE = "C per center over all versions of {model}: the step of each point is the number of the version. Written with every registered version."
MEASURE = "harrell_c"
DESCRIPTION = "Overall survival of patients with non-small-cell lung cancer after radiotherapy, from the planning CT"


def publish(home: Path, which: str | int, folder: Path, sentences: Iterable[str], *, model: str) -> RegisteredVersion:
    """Put what belongs to a version's report among the artifacts of its run, and its first sentences into its description.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        Alias or number, see `find`.
    folder
        Files of the report, with `report.html`; nothing in them may name a patient, since everybody who opens MLflow reads them.
    sentences
        The first of the report.
    model
        Name of the registered model.

    Returns
    -------
    RegisteredVersion
        The version.

    Raises
    ------
    Refusal
        "version_registered": `no version or alias 9 of nsclc-os. ...`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import publish
    >>> Path("made").mkdir()
    >>> _ = Path("made/report.html").write_text("<p>C 0.70 at east</p>")
    >>> publish(Path("home"), 1, Path("made"), ["Combined is served."], model="nsclc-os").version
    1
    """
    with writing(home):
        entry = find(home, which, model)
        target = artifacts_of(home, entry.run_id) / REPORT
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        (target / SENTENCES).write_text(json.dumps(list(sentences)), encoding="utf-8")
        describe(client(home), home, entry)
    return entry


def is_published(home: Path, which: str | int, *, model: str) -> bool:
    """Whether a version's run has its report: not in a registry that was made again, nor of a version from before reports were put there.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        Alias or number, see `find`.
    model
        Name of the registered model.

    Returns
    -------
    bool
        True where `publish` put it there.

    Raises
    ------
    Refusal
        "version_registered": `no version or alias 9 of nsclc-os. ...`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import is_published
    >>> is_published(Path("home"), 1, model="nsclc-os")
    False
    """
    return (artifacts_of(home, find(home, which, model).run_id) / REPORT / PAGE).is_file()


def describe(mlflow_client: "MlflowClient", home: Path, entry: RegisteredVersion) -> None:
    """Write a version's description, unless somebody else wrote one (inside `writing`)."""
    current = mlflow_client.get_model_version(entry.model, str(entry.version)).description or ""
    text = description(home, entry, _experiment(mlflow_client, entry))
    if current != text and (not current or current.startswith(tuple(each.format(label=_label(entry)) for each in OURS))):
        mlflow_client.update_model_version(entry.model, str(entry.version), text)


def description(home: Path, entry: RegisteredVersion, experiment: str) -> str:
    """The report's first sentences, the training centers, C per center with its interval, and where the report is; Markdown."""
    values = tracking.logged_metrics(home, entry)
    folder = artifacts_of(home, entry.run_id) / REPORT
    try:
        sentences = [str(each) for each in json.loads((folder / SENTENCES).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        sentences = []
    parts = [" ".join((OURS[0].format(label=_label(entry)), *sentences))]
    parts.append(f"Trained on {', '.join(entry.train_centers)}; digest {entry.digest[:12]}, commit {entry.store_commit} of the store.")
    lines = [
        f"| {_place_words(place, entry)} | {values[f'{MEASURE}/{place}']:.3f}{_interval(values, place)} |"
        f" {_count(values, 'n', place)} | {_count(values, 'events', place)} |"
        for place in _in_order(places_of(values), entry)
    ]
    if lines:
        parts.append("\n".join(["| patients of | C (95 % interval) | n | died |", "|---|---|---|---|", *lines]))
    run = f"#/experiments/{experiment}/runs/{entry.run_id}/artifacts"
    files = {"Report": f"{REPORT}/{PAGE}", "model card": f"{REPORT}/{CARD}", "all metrics as one table": TABLE}
    links = [f"[{words}]({run}/{file})" for words, file in files.items() if (artifacts_of(home, entry.run_id) / file).is_file()]
    if links:
        parts.append(", ".join(links))
    return "\n\n".join(parts)


def places_of(values: Mapping[str, float]) -> list[str]:
    """Where a version's C was measured, as metric names have it: inside first, then the centers by name."""
    named = [name.partition("/")[2] for name in values if name.startswith(f"{MEASURE}/")]
    whole = [place for place in named if "/" not in place or (place.endswith(f"/{INSIDE}") and place.count("/") == 1)]
    return sorted(whole, key=lambda place: (INSIDE not in place, place))


def extend_history(mlflow_client: "MlflowClient", home: Path, model: str) -> None:
    """Let one run have C per center of every version, the number of the version as its step: MLflow draws it as one chart (inside `writing`)."""
    from mlflow.entities import Metric

    entries = versions(home, model)
    if not entries:
        return
    experiment = _experiment(mlflow_client, entries[-1])
    runs = mlflow_client.search_runs([experiment], f"tags.`{HISTORY_TAG}` = '{model}'", max_results=1)
    if runs:
        run_id = runs[0].info.run_id
    else:
        note = HISTORY_NOTE.format(model=model)
        run_id = mlflow_client.create_run(experiment, tags={HISTORY_TAG: model, "mlflow.note.content": note}, run_name=f"{model}: C over versions").info.run_id
        mlflow_client.set_terminated(run_id, "FINISHED")
    expected = {
        (f"{MEASURE}/{place}", entry.version): values[f"{MEASURE}/{place}"]
        for entry in entries
        for values in (tracking.logged_metrics(home, entry),)
        for place in places_of(values)
        if "/" not in place
    }
    names = sorted({name for name, _ in expected})
    logged = {(name, point.step): point.value for name in names for point in mlflow_client.get_metric_history(run_id, name)}
    now = time.time_ns() // 1_000_000
    points = [Metric(name, value, now, version) for (name, version), value in sorted(expected.items()) if logged.get((name, version)) != value]
    if points:
        mlflow_client.log_batch(run_id, metrics=points)
    chart = _chart(experiment, run_id, names)
    registered = mlflow_client.get_registered_model(model)
    text = f"{DESCRIPTION}\n\n[C per center over all versions]({chart})"
    if (registered.description or "").startswith(DESCRIPTION) and registered.description != text:
        mlflow_client.update_registered_model(model, text)


def _label(entry: RegisteredVersion) -> str:
    return f"{entry.model}/{entry.version}"


def _experiment(mlflow_client: "MlflowClient", entry: RegisteredVersion) -> str:
    return str(mlflow_client.get_run(entry.run_id).info.experiment_id)


def _chart(experiment: str, run_id: str, names: list[str]) -> str:
    """The address of MLflow's own page of a metric, with several lines."""
    first = names[0] if names else MEASURE
    query = {"runs": [run_id], "metric": first, "experiments": [experiment], "plot_metric_keys": names}
    parts = [f"{name}={quote(json.dumps(value))}" for name, value in query.items()]
    return "#/metric?" + "&".join((*parts, "x_axis=step", "show_point=true"))  # these two are read as they are


def _in_order(places: Iterable[str], entry: RegisteredVersion) -> list[str]:
    """Inside first, then centers that the fit did not see, all of them together, and what the fit saw; one training center is not listed twice."""
    alone = f"{TRAINING}/{INSIDE}" if len(entry.train_centers) == 1 else ""

    def rank(place: str) -> tuple[int, str]:
        return (0 if INSIDE in place else 3 if place in (*entry.train_centers, TRAINING) else 2 if place == EXTERNAL else 1), place

    return sorted((place for place in places if place != alone), key=rank)


def _place_words(place: str, entry: RegisteredVersion) -> str:
    """Whose C it is: of a training center the fit saw the patients, unless it is cross-fitted."""
    apparent = ", apparent" if place in (*entry.train_centers, TRAINING) else ""
    return place.replace(f"/{INSIDE}", ", cross-fitted") + apparent


def _interval(values: Mapping[str, float], place: str) -> str:
    lower, upper = (values.get(f"{MEASURE}_{end}/{place}") for end in ("lower", "upper"))
    return "" if lower is None or upper is None else f" ({lower:.3f} to {upper:.3f})"


def _count(values: Mapping[str, Any], measure: str, place: str) -> str:
    return f"{values[f'{measure}/{place}']:.0f}" if f"{measure}/{place}" in values else ""
