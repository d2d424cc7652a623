"""`penumbra baseline`: the baseline table of groups of centers."""

from collections.abc import Sequence

from penumbra import store
from penumbra.base.refusal import Refusal, choose
from penumbra.cohort.baseline import baseline_table
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import IngestManifest
from penumbra.pipeline.workspace import Work


def baseline(work: Work, groups: Sequence[str] = (), *, as_of: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the baseline table of the accepted patients: one column per group of centers, then p and its test.

    Parameters
    ----------
    groups
        Each "east" or "east,south"; none: the training centers against all others.
    as_of
        A commit: the patients with their records of then; None: the newest.

    Raises
    ------
    Refusal
        "center_accepted".
    """
    accepted = {center: set(facts.accepted) for center, facts in manifests.read(work.home, IngestManifest).centers.items()}
    sets = [group.split(",") for group in groups]
    if not sets:
        trains = [center for center in accepted if center in work.settings.cohort.train_centers]
        sets = [centers for centers in (trains, [center for center in accepted if center not in trains]) if centers]
    unknown = sorted({center for centers in sets for center in centers} - set(accepted))
    if unknown:
        raise Refusal("center_accepted", f"no center {unknown[0]!r}", f"{choose(unknown[0], accepted, what='ingested')}; name groups like north east,south")
    with store.connect(work.home, read_only=True, as_of=as_of) as lake:
        patients = lake.rows("patients")
    columns = {", ".join(centers): [row for row in patients if row["center"] in centers and row["patient"] in accepted[row["center"]]] for centers in sets}
    header = ["", *(f"{name}\nn {len(rows)}" for name, rows in columns.items()), "p", "test"]
    lines = [
        [f"  {row.level}" if row.level else row.variable, *row.cells, "" if row.p is None else f"{row.p:.2f}" if row.p >= 0.01 else f"{row.p:.1g}", row.test]
        for row in baseline_table(columns)
    ]
    return header, lines
