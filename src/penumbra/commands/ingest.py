"""`penumbra ingest`: who was found, accepted, flagged and rejected."""

from penumbra.base import tables
from penumbra.base.faults import counted
from penumbra.pipeline.manifests import IngestManifest


def cohort_flow(ingested: IngestManifest) -> str:
    """Found, accepted, flagged and rejected per center, with the reasons."""
    rows = [
        [
            center,
            facts.found,
            len(facts.accepted),
            counted(facts.remarks),
            counted(facts.rejected),
        ]
        for center, facts in ingested.centers.items()
    ]
    return tables.render(["center", "found", "accepted", "remarks", "rejected"], rows)


def cohort_flow_rows(ingested: IngestManifest) -> tables.Answer:
    """The same for other programs: patients per center, outcome and rule."""
    records = []
    for center, facts in ingested.centers.items():
        counts: list[tuple[str, str | None, int]] = [("found", None, facts.found), ("accepted", None, len(facts.accepted))]
        counts += [("remark", rule, count) for rule, count in facts.remarks.items()]
        counts += [("rejected", rule, count) for rule, count in facts.rejected.items()]
        records += [{"center": center, "outcome": outcome, "rule": rule, "patients": count} for outcome, rule, count in counts]
    return tables.Answer.of(records, ("center", "outcome", "rule", "patients"))
