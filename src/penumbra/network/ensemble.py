"""Networks that answer together: how they are trained, what they say, how they are kept. One network is an ensemble of one.

Members start from the same weights, so that channel i of one began as channel i of the other; then each member's channels are z-scored by the
patients it was trained on, without looking at an outcome, and averaged. What that leaves of agreement is measured in docs/network.md.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.network import tensors
from penumbra.network.batches import assign_folds, needs_redraw
from penumbra.network.compilation import one_thread
from penumbra.network.members import Member, train_all
from penumbra.network.se_resnet import initial_variables
from penumbra.network.self_supervised import pretrain as pretrained
from penumbra.network.settings import NO_AUGMENT, Augment, EnsembleSettings, Learning, Network, Pretrain, Train
from penumbra.network.trained import Epoch, Trained, describe, flatten, rebuild, unflatten
from penumbra.network.trained import embed as embed_one

FORMAT = "penumbra network 2"
NO_STEPS = Train(  # of a network that was not trained; embedding uses its batch size alone
    learning_rate=1.0,
    decay_rate=1.0,
    decay_steps=1,
    batch_size=16,
    epochs=1,
    patience=1,
    validation_fraction=0.5,
    ties="efron",
    weight_decay=0.0,
    average_from=0,
    seed=0,
    precision="float32",
    data_parallel=False,
    checkpoint_seconds=0.0,
)


@dataclass(frozen=True)
class Ensemble:
    """Trained networks with all that makes one answer of theirs.

    Parameters
    ----------
    members
        At least one.
    unseen
        Digest of a training volume -> the members that were trained without it; empty when every member saw everybody.
    mean, deviation : shape (members, channels)
        Of each member's embedding of the patients it was trained on.
    """

    members: tuple[Trained, ...]
    unseen: Mapping[str, tuple[int, ...]]
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def network(self) -> Network:
        """Of all members."""
        return self.members[0].network

    @property
    def augment(self) -> Augment:
        """Of all members."""
        return self.members[0].augment

    @property
    def train(self) -> Train:
        """Of the first member; the others differ in their seed."""
        return self.members[0].train

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """Of each member."""
        return tuple(member.best_epoch for member in self.members)


def alone(trained: Trained) -> Ensemble:
    """Return one network as an ensemble that says what it says."""
    return Ensemble((trained,), {}, *(make((1, trained.network.filters[-1]), np.float32) for make in (np.zeros, np.ones)))


def untrained(network: Network, *, seed: int) -> Ensemble:
    """Return a network with the weights that a training would start from, for `embed`: what a model can have of images when nothing was learned.

    Parameters
    ----------
    network
        The architecture.
    seed
        Of the weights; the same seed gives the same.

    Returns
    -------
    Ensemble
        Of one member, without history, whose best epoch is 0.
    """
    return alone(Trained(initial_variables(network, seed=seed), network, NO_AUGMENT, replace(NO_STEPS, seed=seed), history=(), best_epoch=0))


def fit_ensemble(
    volumes: np.ndarray,
    event: np.ndarray,
    time: np.ndarray,
    learning: Learning,
    *,
    pretrain: Pretrain,
    ensemble: EnsembleSettings,
    folder: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
) -> Ensemble:
    """Train the ensemble; the same patients and settings give the same weights.

    With 0 folds, 1 seed and no pretraining it is the network of `fit`.

    Parameters
    ----------
    volumes : shape (n, s, s, s)
        With s = learning.network.input_size, as `prepare` makes them; training centers only.
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    learning
        As `fit`.
    pretrain
        What is learned before anybody's outcome is looked at.
    ensemble
        How many networks, and which patients each leaves out.
    folder
        Where finished and unfinished members wait while the others train; a call that was killed resumes from it.
    progress
        Called with the number of the member after each of its epochs.

    Returns
    -------
    Ensemble
        The trained members, and who was left out by which.

    Raises
    ------
    ValueError, Refusal
        As `fit`.
    """
    one_thread()
    start = _start(volumes, learning, pretrain, folder)
    return fit_from(start, volumes, event, time, learning, ensemble=ensemble, folder=folder, progress=progress)


def fit_from(
    start: Mapping[str, Any],
    volumes: np.ndarray,
    event: np.ndarray,
    time: np.ndarray,
    learning: Learning,
    *,
    ensemble: EnsembleSettings,
    folder: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
) -> Ensemble:
    """Return the ensemble of `fit_ensemble` whose members start from the Flax variables `start`."""
    one_thread()
    train = learning.train
    fold = folds_of(event, train, ensemble)
    left_out = [fold == number // ensemble.seeds for number in range(max(1, ensemble.folds) * ensemble.seeds)]
    members = train_all(
        [
            Member(
                number,
                volumes[~rows],
                event[~rows],
                time[~rows],
                replace(learning, train=replace(train, seed=train.seed + number % ensemble.seeds)),
                start,
                None if folder is None else folder / f"member-{number:02d}",
            )
            for number, rows in enumerate(left_out)
        ],
        progress=progress,
    )
    if len(members) == 1:
        return alone(members[0])
    embeddings = [embed_one(member, volumes[~rows])[1] for member, rows in zip(members, left_out, strict=True)]
    unseen = {volume_digest(volumes[row]): tuple(np.flatnonzero([rows[row] for rows in left_out]).tolist()) for row in np.flatnonzero(fold >= 0)}
    deviation = np.array([embedding.std(axis=0) for embedding in embeddings])
    mean = np.array([embedding.mean(axis=0) for embedding in embeddings])
    return Ensemble(tuple(members), unseen, mean, np.where(deviation > 0, deviation, np.float32(1.0)))


def any_needs_redraw(event: np.ndarray, time: np.ndarray, *, train: Train, ensemble: EnsembleSettings) -> bool:
    """Tell whether a member of `fit_ensemble` validates on other patients than the draw by shares alone gives it (see batches.split).

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    train
        How the weights are found.
    ensemble
        Folds and seeds.

    Returns
    -------
    bool
        True: a draw was repeated.
    """
    event = event.astype(bool)
    fold = folds_of(event, train, ensemble)
    training_rows = [fold != number for number in range(max(1, ensemble.folds))]
    seeds = range(train.seed, train.seed + ensemble.seeds)
    return any(
        np.count_nonzero(event[rows]) > 1 and needs_redraw(event[rows], time[rows], fraction=train.validation_fraction, seed=seed)
        for rows in training_rows for seed in seeds
    )  # fmt: skip


def folds_of(event: np.ndarray, train: Train, ensemble: EnsembleSettings) -> np.ndarray:
    """Return the fold of each patient; -1 where every member sees everybody."""
    return assign_folds(event.astype(bool), folds=ensemble.folds, seed=train.seed) if ensemble.folds else np.full(len(event), -1)


def embed(trained: Ensemble | Trained, volumes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the networks say about volumes: the mean over the members, over those that never saw a patient when the patient is one of the training.

    Parameters
    ----------
    trained
        An ensemble, or one network.
    volumes : shape (n, s, s, s)
        As `prepare` makes them.

    Returns
    -------
    log_risk : shape (n,)
        As float32; higher = earlier death.
    features : shape (n, channels)
        The deep features, float32.

    Raises
    ------
    ValueError
        "volumes must have shape (n, s, s, s) with s = ..., found ...".
    """
    one_thread()
    if isinstance(trained, Trained):
        return embed_one(trained, volumes)
    if len(trained.members) == 1:
        return embed_one(trained.members[0], volumes)
    answers = [embed_one(member, volumes) for member in trained.members]
    everybody = tuple(range(len(answers)))
    weights = np.zeros((len(volumes), len(answers), 1), np.float32)
    for row, volume in enumerate(volumes):
        members = list(trained.unseen.get(volume_digest(volume), everybody))
        weights[row, members] = 1 / len(members)
    log_risk = np.stack([risk for risk, _ in answers], axis=1)
    features = np.stack([(embedding - trained.mean[i]) / trained.deviation[i] for i, (_, embedding) in enumerate(answers)], axis=1)
    return (log_risk * weights[..., 0]).sum(axis=1), (features * weights).sum(axis=1)


def embed_each(trained: Ensemble, volume: np.ndarray) -> np.ndarray:
    """Return the deep features that each network alone gives a volume, on the scale of their mean: `embed` of a new patient averages them.

    Parameters
    ----------
    trained
        An ensemble.
    volume : shape (s, s, s)
        As `prepare` makes it.

    Returns
    -------
    array of shape (members, channels)
        As float32.
    """
    if len(trained.members) == 1:
        return embed_one(trained.members[0], volume[None])[1]
    return np.concatenate([(embed_one(member, volume[None])[1] - trained.mean[i]) / trained.deviation[i] for i, member in enumerate(trained.members)])


def volume_digest(volume: np.ndarray) -> str:
    """Return what a training volume is recognized by: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(np.ascontiguousarray(volume, np.float32).tobytes()).hexdigest()[:16]


def save(trained: Ensemble | Trained, path: Path) -> None:
    """Write the weights (safetensors) with settings and history (JSON in its header) to one file, whole or not at all.

    Parameters
    ----------
    trained
        An ensemble, or one network.
    path
        The file to write.
    """
    whole = trained if isinstance(trained, Ensemble) else alone(trained)
    tensors.write(Path(path), _arrays(whole), {"format": FORMAT, "ensemble": json.dumps(_description(whole))})


def released(trained: Ensemble) -> Ensemble:
    """Return the networks without the digests of the training volumes, by which anybody who has a scan could tell that it trained them.

    Parameters
    ----------
    trained
        An ensemble.

    Returns
    -------
    Ensemble
        Of the same members. To everybody it answers with their mean, to a training patient too.
    """
    return replace(trained, unseen={})


def load(path: Path) -> Ensemble:
    """Return what `save` wrote, bit for bit.

    Parameters
    ----------
    path
        The file that `save` wrote.

    Returns
    -------
    Ensemble
        Of one member, where one network was saved.

    Raises
    ------
    ValueError
        "<name> holds no trained network of this version".
    """
    path = Path(path)
    arrays, metadata = tensors.read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path.name} holds no trained network of this version ({FORMAT!r}), but {metadata.get('format')!r}")
    description = json.loads(metadata["ensemble"])
    tree = unflatten(arrays)
    members = [rebuild(tree["member"][f"{i:02d}"], entry) for i, entry in enumerate(description["members"])]
    unseen = {name: tuple(digests) for name, digests in description["unseen"].items()}
    return Ensemble(tuple(members), unseen, tree["mean"], tree["deviation"])


def digest(trained: Ensemble | Trained) -> str:
    """Return the SHA-256 (hexadecimal) over settings, history and every weight: the identity of what was trained.

    Parameters
    ----------
    trained
        An ensemble, or one network.

    Returns
    -------
    str
        64 hex digits.
    """
    whole = trained if isinstance(trained, Ensemble) else alone(trained)
    sha = hashlib.sha256(json.dumps(_description(whole), sort_keys=True).encode())
    for name, array in sorted(_arrays(whole).items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _description(whole: Ensemble) -> dict[str, Any]:
    return {"members": [describe(member) for member in whole.members], "unseen": {name: list(digests) for name, digests in sorted(whole.unseen.items())}}


def _arrays(whole: Ensemble) -> dict[str, np.ndarray]:
    weights = {f"member/{i:02d}/{name}": array for i, member in enumerate(whole.members) for name, array in flatten(member.variables).items()}
    return {**weights, "mean": whole.mean, "deviation": whole.deviation}


def _start(volumes: np.ndarray, learning: Learning, pretrain: Pretrain, folder: Path | None) -> Mapping[str, Any]:
    """The weights that every member starts from; those of a pretraining wait in the folder."""
    if folder is None or not pretrain.epochs:
        return pretrained(volumes, network=learning.network, augment=learning.augment, train=learning.train, pretrain=pretrain)
    settings = [asdict(group) for group in (learning.network, learning.augment, learning.train, pretrain)]
    identity = hashlib.sha256(json.dumps([settings, [volume_digest(volume) for volume in volumes]], sort_keys=True).encode()).hexdigest()
    file = folder / "pretrained"
    if file.is_file():
        try:
            arrays, metadata = tensors.read(file)
        except ValueError:  # damaged: computed again
            arrays, metadata = {}, {}
        if metadata.get("identity") == identity:
            return unflatten(arrays)
    variables = pretrained(volumes, network=learning.network, augment=learning.augment, train=learning.train, pretrain=pretrain)
    folder.mkdir(parents=True, exist_ok=True)
    tensors.write(file, flatten(variables), {"identity": identity})
    return variables
