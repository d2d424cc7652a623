"""Completion in a shell: the centers, patients, versions and relations that there are, read from small files; nothing is opened that takes time."""

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from penumbra.base.params import ParamsError, project_root, state_home
from penumbra.base.refusal import Refusal

MAX_NAMES = 500  # names that are offered


def centers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Centers that were read or have arrived; also the last of several that are joined by commas."""
    before, comma, last = incomplete.rpartition(",")
    home = _home()
    names = set(_accepted(home)) if home else set()
    if home:
        with contextlib.suppress(OSError):
            names |= {path.name for path in (home / "incoming").iterdir() if not path.name.startswith(".")}
    return [f"{before}{comma}{name}" for name in _matching(names, last)]


def patients(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Accepted patients, of the center that was named, if any was."""
    home, center = _home(), ctx.params.get("center")
    accepted = _accepted(home) if home else {}
    return _matching((patient for name, names in accepted.items() if center in (None, name) for patient in names), incomplete)


def versions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Numbers and aliases of registered versions, by what penumbra last noted of MLflow."""
    home, labels = _home(), dict[str, None]()
    if home:
        for model, entry in _noted(home).items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                for number, _, aliases in json.loads(entry["state"])["versions"]:
                    labels |= dict.fromkeys((*aliases, str(number), f"{model}/{number}"))
    return _matching(labels, incomplete)


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of registered models."""
    home = _home()
    return _matching(_noted(home) if home else (), incomplete)


def relations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The last word of a statement as the name of a relation, after a word that a relation follows."""
    match = re.fullmatch(r"(.*\b(?:from|join|describe)\s+)(\w*)", incomplete, re.IGNORECASE | re.DOTALL)
    if match is None:
        return []
    with contextlib.suppress(ParamsError, OSError):
        from penumbra.store.views import INTERNAL, bodies

        return [match[1] + name for name in _matching(bodies(project_root() / "features").keys() - INTERNAL, match[2])]
    return []


def rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the rules that an error can name."""
    from penumbra.commands.rules import declared

    return _matching(declared(), incomplete)


def _home() -> Path | None:
    with contextlib.suppress(ParamsError):
        return state_home()
    return None


def _accepted(home: Path) -> Mapping[str, Collection[str]]:
    """Center -> its accepted patients."""
    from penumbra.pipeline import manifests

    with contextlib.suppress(OSError, Refusal):
        return {center: facts.accepted for center, facts in manifests.read(home, manifests.IngestManifest).centers.items()}
    return {}


def _noted(home: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        document = json.loads((home / "mlflow" / "noted.json").read_text(encoding="utf-8"))
        return document if isinstance(document, dict) else {}
    return {}


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))[:MAX_NAMES]
