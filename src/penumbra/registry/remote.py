"""Reading an MLflow server over HTTP, without importing MLflow: its registered versions with aliases, and the metrics of a logged model."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from penumbra.base.refusal import Refusal

VARIABLE = "PENUMBRA_MLFLOW"  # the address of an MLflow server; without it the registry is an SQLite file in the home
TIMEOUT_S = 60
PAGE = 1000
UNKNOWN = "RESOURCE_DOES_NOT_EXIST"


def server() -> str | None:
    """The MLflow server that PENUMBRA_MLFLOW names; None: the registry is the home's own.

    Raises
    ------
    Refusal
        "mlflow_address".
    """
    address = os.environ.get(VARIABLE)
    if address and urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise Refusal("mlflow_address", f"{VARIABLE} is {address!r}", "give the address of an MLflow server, such as http://127.0.0.1:5000")
    return address.rstrip("/") if address else None


def models(address: str) -> list[str]:
    """Names of all registered models."""
    names: list[str] = []
    token = ""
    while True:
        page = _get(address, "registered-models/search", max_results=PAGE, page_token=token) or {}
        names += [str(entry["name"]) for entry in page.get("registered_models", [])]
        token = page.get("next_page_token", "")
        if not token:
            return names


def registered_model(address: str, model: str) -> int | None:
    """When MLflow made the registered model, in milliseconds; None: it has none of this name."""
    entry = _get(address, "registered-models/get", name=model)
    return None if entry is None else int(entry["registered_model"]["creation_timestamp"])


def names_of(address: str, digest: str) -> list[str]:
    """Under which names the server has a version of a digest."""
    page = _get(address, "model-versions/search", filter=f"tags.digest = '{digest}'", max_results=PAGE) or {}
    return sorted({str(entry["name"]) for entry in page.get("model_versions", [])})


def versions(address: str, model: str) -> list[dict[str, Any]]:
    """Rows as versions.sql gives them: version, run_id, created_ms, source, deleted, aliases and tags as JSON; oldest first.

    Of a deleted version a server knows nothing.
    """
    registered = _get(address, "registered-models/get", name=model)
    if registered is None:
        return []
    of: dict[str, list[str]] = {}
    for entry in registered["registered_model"].get("aliases", []):
        of.setdefault(str(entry["version"]), []).append(entry["alias"])
    entries, token = [], ""
    while True:
        quoted = model.replace("'", "''")
        page = _get(address, "model-versions/search", filter=f"name = '{quoted}'", max_results=PAGE, page_token=token) or {}
        entries += page.get("model_versions", [])
        token = page.get("next_page_token", "")
        if not token:
            break
    rows = [
        {
            "version": int(entry["version"]),
            "run_id": entry.get("run_id", ""),
            "source": entry.get("source", ""),
            "deleted": False,
            "created_ms": int(entry["creation_timestamp"]),
            "aliases": json.dumps(of.get(str(entry["version"]), [])),
            "tags": json.dumps({tag["key"]: tag["value"] for tag in entry.get("tags", [])}),
        }
        for entry in entries
    ]
    return sorted(rows, key=lambda row: row["version"])


def metrics(address: str, model_id: str) -> dict[str, float]:
    """Newest value of every metric of a logged model."""
    logged = _get(address, f"logged-models/{urllib.parse.quote(model_id)}") or {}
    values = logged.get("model", {}).get("data", {}).get("metrics", [])
    newest = sorted(values, key=lambda entry: (int(entry["timestamp"]), int(entry.get("step", 0))))
    return {entry["key"]: float(entry["value"]) for entry in newest}


def logged_model_tags(address: str, model_id: str) -> dict[str, str] | None:
    """Tags of a logged model; None: the server has it no more."""
    logged = _get(address, f"logged-models/{urllib.parse.quote(model_id)}")
    return None if logged is None else {tag["key"]: tag["value"] for tag in logged.get("model", {}).get("info", {}).get("tags", [])}


def _get(address: str, path: str, **values: Any) -> dict[str, Any] | None:
    """One answer of the REST API; None for what the server does not know.

    Raises
    ------
    Refusal
        "mlflow_answers" for an error of the server; OSError when it cannot be reached (worth another try).
    """
    query = urllib.parse.urlencode({name: value for name, value in values.items() if value != ""})
    try:
        with urllib.request.urlopen(f"{address}/api/2.0/mlflow/{path}?{query}", timeout=TIMEOUT_S) as answer:
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        if UNKNOWN in text:
            return None
        if error.code >= 500:
            raise  # the server's trouble, which may pass
        raise Refusal("mlflow_answers", f"{error.code} {text[:200]}", f"is {VARIABLE} the address of an MLflow server?") from error
