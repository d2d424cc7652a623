"""What a run leaves on its page of a Prefect server, as data: the cohort's flow, C per center, the model and the decision, under keys that stay the same.

Keys are the same in every run, so that Prefect shows the history of each.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from penumbra import registry
from penumbra.base.faults import counted
from penumbra.commands import retrain as retrain_command
from penumbra.commands import standing, verdict
from penumbra.commands.mlflow import HOST, PORT
from penumbra.pipeline import manifests
from penumbra.pipeline.decisions import page_of
from penumbra.pipeline.manifests import DecisionManifest, EvaluateManifest, IngestManifest, RegisterManifest
from penumbra.pipeline.workspace import Work
from penumbra.registry import remote

C = "harrell_c"
COHORT, C_PER_CENTER, MODEL = "cohort-flow", "c-per-center", "model"


@dataclass(frozen=True)
class Content:
    """One artifact: data is a list of rows for a table, a text for Markdown."""

    key: str
    kind: Literal["table", "markdown"]
    description: str
    data: str


def key_of(*words: str) -> str:
    """A key as Prefect takes it: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def cohort_flow(ingested: IngestManifest) -> Content:
    """Who was found, accepted and rejected at each center."""
    rows = [
        {
            "center": center,
            "found": facts.found,
            "accepted": len(facts.accepted),
            "remarks": counted(facts.remarks),
            "rejected": counted(facts.rejected),
        }
        for center, facts in ingested.centers.items()
    ]
    return Content(COHORT, "table", "Patients found, accepted and rejected, with the rules behind it", json.dumps(rows))


def c_per_center(evaluated: EvaluateManifest) -> Content:
    """Harrell's C of every fitted model on every set of patients."""
    rows = [_row(asdict(row)) for row in evaluated.metrics if row.metric == C]
    return Content(C_PER_CENTER, "table", "Harrell's C of every fitted model, with its 95 % interval", json.dumps(rows))


def c_of_versions(work: Work, decided: DecisionManifest) -> Content:
    """Harrell's C of champion and challenger as the store has it."""
    model = decided.model or work.settings.register.model
    versions = [version for version in (decided.champion, decided.challenger) if version is not None]
    rows = [_row(row) for row in standing.c_of(work.home, model, versions)]
    return Content(C_PER_CENTER, "table", "Harrell's C of champion and challenger, with its 95 % interval", json.dumps(rows))


def model(work: Work) -> Content:
    """What a run registered, in the words of the command line, with links."""
    registered = manifests.read(work.home, RegisterManifest)
    choice = manifests.read(work.home, EvaluateManifest).choice
    name = registered.model or work.settings.register.model
    text = verdict.sentence(verdict.verdict(work.home, name), registered, choice.reason if choice else "")
    links = [_version(name, registered.version)] if registered.version is not None else []
    report = manifests.read(work.home, manifests.ReportManifest).page
    return Content(MODEL, "markdown", "What is served", "\n\n".join([text, *links, _page(work, report.removeprefix("reports/"), report)]))


def decision(work: Work, decided: DecisionManifest) -> Content:
    """What a retraining decided and on which numbers, with links."""
    name = decided.model or work.settings.register.model
    table, reason = retrain_command.decision(decided).removesuffix(decided.reason).strip("\n"), decided.reason
    versions = [_version(name, version) for version in dict.fromkeys((decided.champion, decided.challenger)) if version is not None]
    console = f"[Evidence in the console](http://{HOST}:{work.settings.console.port}/decisions/{decided.center})"
    page = _page(work, page_of(decided.center).removeprefix("reports/"), page_of(decided.center))
    numbers = [f"```text\n{table}\n```"] if table else []
    parts = [f"# {decided.center}: {decided.decision}", reason, *numbers, *versions, console, page]
    return Content(key_of("decision", decided.center), "markdown", f"What was decided on {decided.center}", "\n\n".join(parts))


def _version(name: str, version: int) -> str:
    address = remote.server() or f"http://{HOST}:{PORT}"
    shown = "" if remote.server() else " (while `penumbra mlflow` runs)"
    return f"[{name}/{version} in MLflow]({address.rstrip('/')}/#/models/{name}/versions/{version}){shown}"


def _page(work: Work, below: str, path: str) -> str:
    return f"[Report](http://{HOST}:{work.settings.console.port}/reports/{below}) (while `penumbra console` runs; the file is {path} in the state folder)"


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as they are read, with "-" where there is none."""
    value, lower, upper = (row[name] for name in ("value", "lower", "upper"))
    undefined = value is None or value != value
    interval = "-" if undefined or lower is None or lower != lower else f"{lower:.3f} to {upper:.3f}"
    return {
        "model": row["model"],
        "center": row["center"],
        "split": row["split"],
        "C": "-" if undefined else f"{value:.3f}",
        "95 % interval": interval,
        "patients": row["n"],
        "deaths": row["events"],
    }


def label(model: str, version: int) -> str:
    """The tag of a version."""
    return f"version:{model}/{version}"


def champion(entry: registry.RegisteredVersion) -> str:
    """The tag of the version that is champion."""
    return label(entry.model, entry.version)
