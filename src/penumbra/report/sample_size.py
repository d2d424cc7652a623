"""What the data can carry, as sentences and as a table."""

import math
from collections.abc import Mapping, Sequence

from penumbra.evaluate.sample_size import Demand, Sample
from penumbra.report.tables import Cell, Table, csv_text, header_cells
from penumbra.report.words import ABSENT, count, number

NO_NUMBER = "no number is enough"


def sample_sentence(sample: Sample, concordances: Sequence[tuple[float, str]]) -> str:
    """How many candidate parameters a sample carries.

    Parameters
    ----------
    concordances
        C-indices, each with what it is in words, or "".
    """
    patients = f"{count(sample.patients, 'training patient')} with {count(sample.deaths, 'death')}"
    (first, *further) = (f"at C {number(c)}{f' ({words})' if words else ''}" for c, words in concordances)
    values = [number(sample.allowed(c), 1) for c, _ in concordances]
    listed = " and ".join([f"{values[0]} candidate parameters {first}", *(f"{value} {where}" for value, where in zip(values[1:], further, strict=True))])
    return f"{patients} carry {listed} (Riley 2019, criterion 1, shrinkage {sample.shrinkage:g})"


def sample_statement(sample: Sample, demands: Sequence[Demand], served: str, expected: Sequence[float]) -> str:
    """What the sample carries and what the served model asks of it, in one line.

    Parameters
    ----------
    served
        The model; another name, or "": what it asks is left out.
    expected
        C-indices that are taken while none inside is known.
    """
    best = best_inside(demands)
    at = [(c, "") for c in expected] if best is None else [(best.c, f"the highest inside, of {best.model}")]
    more = "; no C inside is known yet" if best is None else ""
    demanded = [demand_sentence(demand) for demand in demands if demand.model == served]
    return "; ".join([f"{sample_sentence(sample, at)}{more}", *demanded])


def demand_sentence(demand: Demand) -> str:
    """What one model tries and keeps, and the patients it lacks."""
    retained = "" if demand.retained is None else f" and keeps {demand.retained}"
    wanting = "" if math.isnan(demand.missing) else f": {patients_missing(demand.missing)}"
    alone = "" if math.isnan(demand.missing_retained) or demand.retained == demand.tried else f", those kept alone {patients_missing(demand.missing_retained)}"
    return f"{demand.model} tries {count(demand.tried, 'column')}{retained}{wanting}{alone}"


def best_inside(demands: Sequence[Demand]) -> Demand | None:
    """The model with the highest C inside; None before any has one."""
    return max((demand for demand in demands if math.isfinite(demand.c)), key=lambda demand: demand.c, default=None)


def patients_missing(missing: float) -> str:
    """ "1,234 patients missing", "no patient missing", or that no number of patients is enough."""
    if math.isnan(missing):
        return ABSENT
    return NO_NUMBER if math.isinf(missing) else f"{int(missing):,} {'patient' if missing == 1 else 'patients'} missing" if missing else "no patient missing"


def sample_size_table(demands: Sequence[Demand], labels: Mapping[str, str]) -> Table:
    """Every declared model: parameters tried and kept, C inside, parameters allowed, patients missing."""
    names = ("model", "tried", "retained", "c_inside", "allowed", "patients_missing", "patients_missing_for_retained")
    rows = tuple(
        (
            Cell(labels.get(demand.model, demand.model)),
            Cell(str(demand.tried)),
            Cell(ABSENT if demand.retained is None else str(demand.retained)),
            Cell(number(demand.c)),
            Cell(number(demand.allowed, 1)),
            Cell(_patients(demand.missing)),
            Cell(_patients(demand.missing_retained)),
        )
        for demand in demands
    )
    lines = [
        (demand.model, demand.tried, demand.retained, demand.c, demand.allowed, *(value for value in (demand.missing, demand.missing_retained)))
        for demand in demands
    ]
    header = header_cells("model", "parameters tried", "kept", "C inside", "parameters allowed", "patients missing", "missing for those kept alone")
    caption = (
        "Tried: every column that a selection saw; of a model of models the sum over its members. The weights of the network are not counted. Allowed: at the C"
        f" of cross-fitted risks. A model that ranks no better than chance has nothing to be fitted: {NO_NUMBER}. A ridge shrinks by itself, which"
        " makes it usable with more columns than are allowed; the criterion counts them all the same."
    )
    return Table("sample_size", caption, header, rows, csv_text(names, lines))


def _patients(missing: float) -> str:
    return ABSENT if math.isnan(missing) else NO_NUMBER if math.isinf(missing) else f"{int(missing):,}"
