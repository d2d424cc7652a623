"""The ledger of looks: a program that reads outcomes of a center that does not train, to measure something on them, counts it here.

A test center is used up by being looked at: what was chosen after 41 looks is not confirmed by the 42nd. Nothing can be undone about a look, but it can be
counted. Every evaluation writes one row per center and split into the relation `looks`, once its numbers are there; what is read back from a manifest or a page
that is current measures nothing, and is no look. What a person reads by SQL is not counted.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import store
from penumbra.base.progress import say
from penumbra.pipeline.workspace import code_commit
from penumbra.store.lake import store_folder

TEST = "test"  # split of a look at a center that does not train


@dataclass(frozen=True)
class Look:
    """One evaluation.

    Parameters
    ----------
    stage
        What reads the outcomes.
    evaluation
        All that decides its numbers; its key is stored.
    model, version
        In the registry; version: several where they are compared, none where what is evaluated has no number yet.
    split
        TEST, or `prospective.LIVE`.
    """

    stage: str
    evaluation: Mapping[str, Any]
    model: str | None = None
    version: str | None = None
    split: str = TEST


def count(home: Path, run: str, look: Look, centers: Iterable[str], event: Iterable[bool], *, training: Collection[str] = ()) -> None:
    """Write a look at n patients into the ledger, a row for each center that does not train; none where all of them do.

    Parameters
    ----------
    run
        In `commits`.
    centers, event : shape (n,)
        Of the patients whose outcomes were read.
    training
        Centers that the evaluated models were fitted on.

    Notes
    -----
    In a state folder that cannot be written, such as a read-only copy, the look is said to be uncounted.
    """
    places, died = np.asarray(list(centers), dtype=str), np.asarray(list(event), dtype=bool)
    seen = sorted(set(places.tolist()) - set(training))
    if not seen:
        return
    folder = store_folder(home)
    if folder.is_dir() and not os.access(folder, os.W_OK):
        say(f"not counted in the ledger of looks, since the store cannot be written: {look.stage} at {', '.join(seen)}")
        return
    common = {
        "split": look.split,
        "stage": look.stage,
        "evaluation": store.version_key(look.evaluation),
        "model": look.model,
        "version": look.version,
        "code_commit": code_commit() or None,
    }
    rows = [{**common, "center": center, "patients": int((places == center).sum()), "events": int(died[places == center].sum())} for center in seen]
    with store.connect(home) as lake:
        lake.write({"looks": rows}, run=run, what=f"a look at {', '.join(seen)}: {look.stage}")


@dataclass(frozen=True)
class Counted:
    """How often one stage read the outcomes of one center, and when last, UTC."""

    center: str
    stage: str
    times: int
    questions: int
    last: datetime


def ledger(lake: "store.Store") -> tuple[Counted, ...]:
    """The looks by center and stage; `questions` counts those that asked something else than before."""
    rows = lake.sql(
        'SELECT center, stage, count(*) AS times, count(DISTINCT evaluation) AS questions, max("at") AS last FROM looks GROUP BY center, stage ORDER BY ALL'
    )
    return tuple(Counted(**row) for row in rows.to_pylist())


def last_change(lake: "store.Store") -> int:
    """The newest commit that wrote something else than looks: what a look measured holds until then."""
    rows = lake.sql("SELECT coalesce(max(id), 0) AS id FROM commits WHERE json_keys(relations::JSON) <> ['looks']").to_pylist()
    return int(rows[0]["id"])


def begun(lake: "store.Store") -> datetime:
    """When this store began to count, UTC: earlier looks are in no ledger."""
    begin: datetime = lake.sql("SELECT min(\"at\") AS begun FROM lake.migrations WHERE name LIKE '%_looks'").to_pylist()[0]["begun"]
    return begin
