"""`penumbra retrain`: what was decided, as a table for people and for programs."""

from typing import Any

from penumbra.base import tables
from penumbra.base.cells import p_value
from penumbra.commands.run import MEASURED
from penumbra.pipeline.manifests import DecisionManifest

DECIDED = ("arrived", *MEASURED, "decision")  # by a retraining


def decision(decided: DecisionManifest) -> str:
    """What a retraining decided: champion, challenger and baselines per center on patients that none was fitted on, and the verdict.

    A decision from before the gate recorded its limits is shown as it was taken, by C over the pool of all centers.
    """
    c = [row for row in decided.comparison if row.metric == "harrell_c"]
    models = list(dict.fromkeys(row.model for row in c))
    value = {(row.model, row.center): row.value for row in c}
    if decided.evidence is not None:
        evidence = decided.evidence
        places = (*evidence.centers, evidence.overall)
        value |= {("champion", row.center): row.other for row in places} | {("challenger", row.center): row.challenger for row in places}
        value |= {(row.against, row.center): row.other for row in evidence.baselines}
        others = ", ".join(f"{row.against} {_form(row.other, '.3f')}" for row in evidence.baselines if row.against not in models)
        below = f"\nC of {others} over all centers.\n" if others else ""
        sure, both = f"{100 * (1 - evidence.limits.noise):g} %", f"{100 * evidence.limits.confidence:g} %"
        header = [f"difference ({both})", f"at least\n({sure})"]
        sizes = {row.center: (row.n, row.events) for row in places}
        last = {
            row.center: [f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})", f"{row.lower_one_sided:+.3f}"] if row.defined else ["-", "-"]
            for row in places
        }
    else:
        header, below = ["difference", "p"], ""
        sizes = {row.center: (row.n, row.events) for row in c}
        old = {(row.center, row.metric): row.value for row in decided.comparison if row.model == "champion"}
        last = {place: [_form(old.get((place, "delta_c_combined")), "+.3f"), _p(old.get((place, "delta_c_combined_p")))] for place in sizes}
    body = [[place, *size, *(_form(value.get((model, place)), ".3f") for model in models), *last[place]] for place, size in sizes.items()]
    table = tables.render(["center", "n", "died", *(f"C {model}" for model in models), *header], body) + f"\n{below}\n" if body else ""
    return table + _update_table(decided) + decided.reason


def _update_table(decided: DecisionManifest) -> str:
    """The closed test, and the probabilities before and after an update; "" where there was none."""
    if decided.update is None:
        return ""
    tests = [[test.against, f"{test.statistic:.2f}", test.df, p_value(test.p)] for test in decided.update.tests]
    text = tables.render(["refit against", "chi-square", "df", "p"], tests) + "\n"
    rows = {(row.model, row.metric): row.value for row in decided.comparison}
    metrics = dict.fromkeys(row.metric for row in decided.comparison) if decided.evidence is None else {}
    body = [[metric, *(_form(rows.get((model, metric)), ".3f") for model in ("champion", "challenger"))] for metric in metrics]
    return text + (tables.render([f"at {decided.center}", "as it is", "updated,\ncross-validated"], body) + "\n" if body else "")


def decision_rows(decided: DecisionManifest) -> list[dict[str, Any]]:
    """The comparison of a retraining for other programs: one row per model, center and metric, with the center that arrived and the reason."""
    common = {"arrived": decided.center, "decision": decided.reason}
    rows = decided.to_json()["comparison"]
    return [{name: {**row, **common}.get(name) for name in DECIDED} for row in rows]


def _form(value: float | None, form: str) -> str:
    return "-" if value is None or value != value else format(value, form)


def _p(value: float | None) -> str:
    return "-" if value is None or value != value else p_value(value)
