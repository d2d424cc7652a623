"""What a useful model must beat, cross-fitted as it is: the controls, its own risks permuted, its recipe on shuffled columns, a network with random weights."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from penumbra import fusion, store
from penumbra.base.blocks import DEEP, deep_names
from penumbra.evaluate.choice import CONTROLS
from penumbra.fusion import Block
from penumbra.pipeline.crossfit import CrossFitted, Recipe, cross_fitted, permuted_within, write_arrays
from penumbra.pipeline.dataset import Dataset, columns_of, network_file
from penumbra.pipeline.origins import Images
from penumbra.pipeline.train import network_inputs
from penumbra.pipeline.workspace import Work

SHUFFLED, SHUFFLED_COLUMNS, RANDOM_NETWORK = "Shuffled", "ShuffledColumns", "RandomNetwork"
DEEP_SIGNATURE = "DL"  # in models/signatures.yaml; also what the features of a random network are given to


def cross_fitted_falsifiers(work: Work, data: Dataset, images: Images, inside: np.ndarray, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Cross-fitted risks, (draws, n) by name, of recipes on shuffled columns, and of the deep signature of a network with random weights.

    The controls are among the cross-fitted models already, and permuting risks needs no fit; `falsifiers_of` puts all together for one model.

    Parameters
    ----------
    inside
        Indices of the n patients.
    names
        The models; None: those of which one is served. Controls have nothing to beat.
    """
    settings = work.settings
    chosen = {*settings.register.candidates, settings.register.served} if names is None else set(names)
    learned, risks = Recipe.of(settings, chosen - set(CONTROLS.values())), {}
    if learned.declared:
        crossed = cross_fitted(work, data, images, inside, learned, shuffled=True)
        risks = {shuffled_columns(name): crossed.risks[name] for name in crossed.risks}
    signature = Recipe.of(settings, [DEEP_SIGNATURE])
    if signature.declared and network_file(work.home, data.versions[DEEP]).is_file():
        untrained = replace(data, blocks={**data.blocks, DEEP: _random_features(work, data, images, inside)})
        fixed = replace(signature, ensemble=replace(signature.ensemble, folds=max(2, signature.ensemble.folds)))  # nothing is trained in a fold
        risks[RANDOM_NETWORK] = cross_fitted(work, untrained, images, inside, fixed).risks[DEEP_SIGNATURE]
    return risks


def shuffled_columns(name: str) -> str:
    """Under which name the risks of a model's recipe on shuffled columns are."""
    return f"{SHUFFLED_COLUMNS} {name}"


def falsifiers_of(name: str, crossed: CrossFitted, centers: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Ranks, (draws, n), of everything that a model must beat, by name: as many of them as were cross-fitted.

    Parameters
    ----------
    centers : shape (n,)
        Within which the model's own risks are permuted.
    seed
        Of the permutations.
    """
    others = [control for control in CONTROLS.values() if control != name and crossed.gives(control)]
    ranks: dict[str, np.ndarray] = {control: crossed.ranks(control) for control in others}
    ranks[SHUFFLED] = permuted(crossed.ranks(name), centers, seed)
    for falsifier, stored in ((SHUFFLED_COLUMNS, shuffled_columns(name)), (RANDOM_NETWORK, RANDOM_NETWORK)):
        if stored in crossed.risks:
            ranks[falsifier] = crossed.ranks(stored)
    return ranks


def falsifiers_elsewhere(work: Work, data: Dataset, images: Images, inside: np.ndarray, log_risk: np.ndarray) -> dict[str, np.ndarray]:
    """Log risks, (n,) by name, of the falsifiers for everybody, as they are where no model was fitted.

    Permuting the columns of an external center permutes the risks that a model gives there.

    Parameters
    ----------
    inside
        Indices of the patients that the model was fitted on.
    log_risk : shape (n,)
        Of the model.
    """
    seed = work.settings.crossfit.seed
    draws = permuted(np.stack([log_risk, log_risk]), data.centers, seed)
    risks = {SHUFFLED: draws[0], SHUFFLED_COLUMNS: draws[1]}
    signature = Recipe.of(work.settings, [DEEP_SIGNATURE]).declared
    if signature and network_file(work.home, data.versions[DEEP]).is_file():
        block = _random_features(work, data, images, np.arange(len(data.patients)))
        model = fusion.fit(signature[0], [Block(DEEP, block.features, block.values[inside])], data.outcomes.rows(inside), work.settings.fuse)
        risks[RANDOM_NETWORK] = model.log_risk(columns_of({DEEP: block})) if model.retained else np.zeros(len(data.patients))
    return risks


def everywhere(ranks: np.ndarray, inside: np.ndarray, log_risk: np.ndarray) -> np.ndarray:
    """Ranks (draws, m) of the patients inside and log risks (n,) of the others as one array (draws, n): only patients of one center are compared."""
    whole = np.tile(log_risk, (len(ranks), 1))
    whole[:, inside] = ranks
    return whole


def permuted(ranks: np.ndarray, centers: np.ndarray, seed: int) -> np.ndarray:
    """Each draw of (draws, n) risks permuted within the centers (n,): what is left when a risk says nothing of the patient."""
    return np.stack([risk[permuted_within(centers, np.random.default_rng((seed, draw)))] for draw, risk in enumerate(ranks)])


def _random_features(work: Work, data: Dataset, images: Images, inside: np.ndarray) -> Block:
    """Deep features of the patients inside from networks that were never trained, zeros elsewhere; made once for the same scans."""
    from penumbra import network

    settings = work.settings
    patients = data.patients[inside].tolist()
    facts: Mapping[str, object] = {"scans": [[patient, images[patient]["image_version"]] for patient in patients], "network": vars(settings.network)}
    file = work.home / "crossfitted" / f"random-{store.version_key({**facts, 'seed': settings.crossfit.seed})}.npz"
    if not file.is_file():
        untrained = network.untrained(settings.network, seed=settings.crossfit.seed)
        write_arrays(file, {"features": network.embed(untrained, network_inputs(work, patients, images, settings.network))[1].astype(float)})
    with np.load(file, allow_pickle=False) as arrays:
        features = arrays["features"]
    everybody = np.zeros((len(data.patients), features.shape[1]))
    everybody[inside] = features
    return Block(DEEP, deep_names(features.shape[1]), everybody)
