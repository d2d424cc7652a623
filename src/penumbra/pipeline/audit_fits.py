"""What the audit fits again: the served model on permuted outcomes, and random panels of as many columns; inside the training centers, and chosen by nobody."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from penumbra.base.blocks import CLINICAL, DEEP
from penumbra.base.progress import say, track
from penumbra.base.refusal import Refusal
from penumbra.base.workers import available_cores, over
from penumbra.evaluate.inside import Inside
from penumbra.fusion import Block, Declaration
from penumbra.pipeline.crossfit import CrossFitted, Recipe, cross_fitted, permuted_within
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.groups import Audit
from penumbra.pipeline.origins import Images
from penumbra.pipeline.workspace import Work
from penumbra.survival import Undefined
from penumbra.survival.outcome import Outcomes

PANEL = Declaration("Panel", "Random panel", "radiomics", "ridge", blocks=("panel",))  # all of its columns, no screening: nothing is selected


@dataclass(frozen=True)
class Inner:
    """The training patients of an audit, and what is cross-fitted on them.

    Parameters
    ----------
    inside
        Indices of the training patients in `data`.
    served
        The model that is audited.
    """

    work: Work
    data: Dataset
    images: Images
    inside: np.ndarray
    served: str

    @property
    def numbers(self) -> Audit:
        return self.work.settings.audit

    @property
    def fewer(self) -> Work:
        """The same work with as many draws of the folds as the audit takes."""
        settings = self.work.settings
        return replace(self.work, settings=replace(settings, crossfit=replace(settings.crossfit, repeats=self.numbers.draws)))

    @property
    def deep(self) -> bool:
        """Whether the served model reads features of the networks."""
        return any(DEEP in declaration.sources for declaration in Recipe.of(self.work.settings, [self.served]).declared)


def permuted_concordances(inner: Inner) -> list[float]:
    """C of the served model's recipe, everything learned again, on outcomes permuted within centers; one per permutation.

    Where the model reads deep features, the first `audit.networks` permutations train the networks again, a network per fold; the others leave the networks as
    they are: trained on the outcomes as they were, and blind to the patient's own.
    """
    numbers, trained = inner.numbers, inner.numbers.networks if inner.deep else 0
    count = numbers.permutations if Recipe.of(inner.work.settings).shares_networks or not inner.deep else min(trained, numbers.permutations)
    if trained:
        say(f"networks are trained again for {min(trained, count)} of {count} permutations")
    retrained = [permuted_concordance(number, inner, networks=True) for number in range(min(trained, count))]
    task = partial(permuted_concordance, inner=inner, networks=False)
    return retrained + _each(task, range(len(retrained), count), "permuted outcomes")


def permuted_concordance(number: int, inner: Inner, *, networks: bool) -> float:
    """C under one permutation; it is kept, so that an audit that was stopped resumes.

    Parameters
    ----------
    networks
        Whether a network is trained for each fold, on the permuted outcomes of the other folds.
    """
    data, outcomes = permuted_data(inner, number)
    recipe = Recipe.of(inner.work.settings, [inner.served])
    if networks:
        recipe = replace(recipe, ensemble=replace(recipe.ensemble, folds=0))
    return concordance(cross_fitted(inner.fewer, data, inner.images, inner.inside, recipe, shown=False), inner.served, outcomes)


def permuted_data(inner: Inner, number: int) -> tuple[Dataset, Outcomes]:
    """The data with each training patient's outcome replaced by that of another one of the same center; features stay where they are."""
    data, inside = inner.data, inner.inside
    order = np.arange(len(data.patients))
    order[inside] = inside[permuted_within(data.centers[inside], np.random.default_rng((inner.numbers.seed, number)))]
    event, time = data.event[order], data.time[order]
    clinical = tuple({**record, "event": bool(event[i]), "time": float(time[i])} for i, record in enumerate(data.clinical))
    permuted = replace(data, event=event, time=time, clinical=clinical)
    return permuted, permuted.outcomes.rows(inside)


def panel_concordances(inner: Inner, columns: int) -> list[float]:
    """C of a ridge Cox model of random radiomics columns, all of them in it; one per panel."""
    return _each(partial(panel_concordance, inner=inner, columns=columns), range(inner.numbers.panels), "random panels")


def panel_concordance(number: int, inner: Inner, columns: int) -> float:
    """C of one panel."""
    blocks = [block for name, block in inner.data.blocks.items() if name not in (DEEP, CLINICAL)]
    values = np.concatenate([block.values for block in blocks], axis=1)
    names = [column for block in blocks for column in block.columns]
    complete = np.flatnonzero(np.isfinite(values[inner.inside]).all(axis=0))
    chosen = np.sort(np.random.default_rng((inner.numbers.seed, number)).permutation(complete)[:columns])
    panel = Block("panel", tuple(names[i] for i in chosen), values[:, chosen])
    recipe = replace(Recipe.of(inner.work.settings, []), declared=(PANEL,))
    crossed = cross_fitted(inner.fewer, replace(inner.data, blocks={"panel": panel}), inner.images, inner.inside, recipe, shown=False)
    return concordance(crossed, PANEL.name, inner.data.outcomes.rows(inner.inside))


def concordance(crossed: CrossFitted, name: str, outcomes: Outcomes) -> float:
    """C within centers of cross-fitted risks, 0.5 where no fit retained anything."""
    if not crossed.gives(name):
        return 0.5
    try:
        return Inside.of({name: crossed.ranks(name)}, outcomes, resamples=1, seed=0).c(name).value
    except Undefined:
        return float("nan")


def _each(task: Callable[[int], float], numbers: range, what: str) -> list[float]:
    """The task of every number, in their order, on all cores."""
    values: dict[int, float] = {}
    with track(what, len(numbers)) as advance:
        for number, value in _over(task, numbers):
            if isinstance(value, Refusal):
                raise value
            values[number] = value
            advance()
    return [values[number] for number in numbers]


def _over(task: Callable[[int], float], numbers: range) -> Iterator[tuple[int, float | Refusal]]:
    workers = min(available_cores(), len(numbers))
    if workers > 1:
        yield from over(task, numbers, workers)
    else:
        yield from ((number, task(number)) for number in numbers)
