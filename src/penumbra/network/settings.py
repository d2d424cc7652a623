"""The settings of the network as frozen dataclasses; their values are in params.yaml and models/se_resnet.yaml. Standard library only."""

from dataclasses import dataclass

NORMS = ("batch", "group")
PRECISIONS = ("auto", "float32", "bfloat16")


def _check(rule: str, valid: bool, value: object) -> None:
    if not valid:
        raise ValueError(f"{rule}; found {value!r}. Correct it in params.yaml or models/se_resnet.yaml")


@dataclass(frozen=True)
class Network:
    """The architecture: what decides the shape of every weight.

    Parameters
    ----------
    input_size
        Edge of the cubic input, voxels; the stem's convolution and its max-pooling divide it by stem_stride each.
    kernel
        Edge of the stem's convolution, of its max-pooling, and of every convolutional unit, voxels; odd.
    stem_filters, stem_stride
        Of the first convolution; its max-pooling has the same stride.
    filters
        Channels of the residual blocks, from the first to the last; the last is the width of the embedding.
    strides
        Of the first unit of each block; all other units have 1.
    units
        Convolutional units in a block.
    se
        Squeeze-and-excitation after every block; false is the ablation.
    se_reduction
        C channels are squeezed to C / se_reduction units, at least 1.
    head
        Units of the dense layers between embedding and output.
    dropout
        Probability that a unit of the head is dropped while training.
    l2
        Weight of the sum of squared kernels of the head in the loss.
    masked_input
        Voxels outside the GTV are set to the mean (see inputs.prepare).
    norm
        "batch" (BatchNorm) or "group" (GroupNorm, independent of the batch).
    norm_momentum
        Share of BatchNorm's running statistics that a step keeps.
    """

    input_size: int
    kernel: int
    stem_filters: int
    stem_stride: int
    filters: tuple[int, ...]
    strides: tuple[int, ...]
    units: int
    se: bool
    se_reduction: int
    head: tuple[int, ...]
    dropout: float
    l2: float
    masked_input: bool
    norm: str
    norm_momentum: float

    def __post_init__(self) -> None:
        for name in ("filters", "strides", "head"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # YAML gives lists; a setting must be hashable
        _check("network.stem_stride and network.units are positive", min(self.stem_stride, self.units) > 0, (self.stem_stride, self.units))
        halved = self.stem_stride**2
        _check(f"network.input_size is a positive multiple of {halved}", self.input_size > 0 and self.input_size % halved == 0, self.input_size)
        _check("network.kernel is odd and positive", self.kernel > 0 and self.kernel % 2 == 1, self.kernel)
        _check("network.filters has at least one positive entry", bool(self.filters) and min(self.filters) > 0, self.filters)
        _check("network.strides has one positive entry a block", len(self.strides) == len(self.filters) and min(self.strides) > 0, self.strides)
        _check("network.stem_filters is positive", self.stem_filters > 0, self.stem_filters)
        _check("network.se_reduction is positive", self.se_reduction > 0, self.se_reduction)
        _check("network.head has positive entries", all(units > 0 for units in self.head), self.head)
        _check("network.dropout is in [0, 1)", 0 <= self.dropout < 1, self.dropout)
        _check("network.l2 is not negative", self.l2 >= 0, self.l2)
        _check("network.norm_momentum is in [0, 1)", 0 <= self.norm_momentum < 1, self.norm_momentum)
        _check(f"network.norm is one of {', '.join(NORMS)}", self.norm in NORMS, self.norm)


@dataclass(frozen=True)
class Augment:
    """The seven transforms, each drawn independently for every sample of a batch: a probability, and the range of a uniform draw.

    Parameters
    ----------
    contrast_probability, contrast_range
        Factor on the distance of a voxel from the mean of its volume.
    brightness_probability, brightness_range
        Factor on the z-scored values.
    gamma_probability, gamma_range
        Exponent on the values scaled to 0..1.
    noise_probability, noise_variance_range
        Variance of added Gaussian noise, in squared standard deviations of the volume.
    blur_probability, blur_sigma_range
        Standard deviation of the Gaussian blur, voxels of the network's input.
    mirror_probability
        For each of the three axes on its own.
    rotation_probability, rotation_range
        Degrees about z.
    """

    contrast_probability: float
    contrast_range: tuple[float, float]
    brightness_probability: float
    brightness_range: tuple[float, float]
    gamma_probability: float
    gamma_range: tuple[float, float]
    noise_probability: float
    noise_variance_range: tuple[float, float]
    blur_probability: float
    blur_sigma_range: tuple[float, float]
    mirror_probability: float
    rotation_probability: float
    rotation_range: tuple[float, float]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_probability"):
                _check(f"augment.{name} is in [0, 1]", 0 <= value <= 1, value)
            else:
                object.__setattr__(self, name, tuple(value))
                _check(f"augment.{name} is a pair, low to high", len(value) == 2 and value[0] <= value[1], value)


NO_AUGMENT = Augment(0, (1, 1), 0, (1, 1), 0, (1, 1), 0, (0, 0), 0, (0, 0), 0, 0, (0, 0))


@dataclass(frozen=True)
class Train:
    """How the weights are found.

    Parameters
    ----------
    learning_rate, decay_rate, decay_steps
        Adam at learning_rate x decay_rate ** (step / decay_steps).
    batch_size
        Patients a step, at most.
    epochs, patience
        At most `epochs`; stop after `patience` epochs without a better validation loss.
    validation_fraction
        Share of the given patients, drawn within events and within censored, that only decides when to stop.
    ties
        "efron" or "breslow" in the Cox loss.
    weight_decay
        Decoupled weight decay (AdamW) on all kernels; 0 is Adam.
    average_from
        Epoch from which on the mean of the weights after each epoch is what validates and is kept (stochastic weight averaging, Izmailov 2018, arXiv
        1803.05407), running statistics of BatchNorm included; 0: never.
    seed
        Of the initial weights, the split, the batches, the augmentation and the dropout.
    precision
        Of the convolutions: "float32", "bfloat16", or "auto": bfloat16 on a GPU, float32 elsewhere.
    data_parallel
        Each batch is divided over all devices of the host; the loss stays that of the whole batch.
    checkpoint_seconds
        Least time between two checkpoints.
    """

    learning_rate: float
    decay_rate: float
    decay_steps: int
    batch_size: int
    epochs: int
    patience: int
    validation_fraction: float
    ties: str
    weight_decay: float
    average_from: int
    seed: int
    precision: str
    data_parallel: bool
    checkpoint_seconds: float

    def __post_init__(self) -> None:
        for name in ("learning_rate", "decay_rate", "decay_steps", "batch_size", "epochs", "patience"):
            _check(f"train.{name} is positive", getattr(self, name) > 0, getattr(self, name))
        _check("train.validation_fraction is in (0, 1)", 0 < self.validation_fraction < 1, self.validation_fraction)
        _check("train.weight_decay is not negative", self.weight_decay >= 0, self.weight_decay)
        _check("train.average_from is not negative", self.average_from >= 0, self.average_from)
        _check(f"train.precision is one of {', '.join(PRECISIONS)}", self.precision in PRECISIONS, self.precision)


@dataclass(frozen=True)
class Learning:
    """What decides the weights besides the patients.

    Parameters
    ----------
    network
        The architecture.
    augment
        Transforms of the training volumes.
    train
        How the weights are found.
    """

    network: Network
    augment: Augment
    train: Train


@dataclass(frozen=True)
class Pretrain:
    """What the network learns of the training centers' images before it sees an outcome.

    Two augmented views of a patient shall have one embedding, and no two channels of it the same (Barlow twins, Zbontar 2021, arXiv 2103.03230).

    Parameters
    ----------
    epochs
        0: none, the weights start at random.
    learning_rate
        Of Adam.
    batch_size
        Patients a step, at most.
    redundancy
        Weight of the correlations between different channels against those of a channel with itself.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    redundancy: float

    def __post_init__(self) -> None:
        _check("pretrain.epochs is not negative", self.epochs >= 0, self.epochs)
        _check("pretrain.learning_rate is positive", self.learning_rate > 0, self.learning_rate)
        _check("pretrain.batch_size is at least 2", self.batch_size >= 2, self.batch_size)
        _check("pretrain.redundancy is not negative", self.redundancy >= 0, self.redundancy)


@dataclass(frozen=True)
class EnsembleSettings:
    """How many networks answer together.

    Parameters
    ----------
    folds
        0: one set of patients; else each network leaves one fold out, and a training patient is answered by those that never saw it.
    seeds
        Networks per fold.
    """

    folds: int
    seeds: int

    def __post_init__(self) -> None:
        _check("ensemble.folds is 0 or at least 2", self.folds == 0 or self.folds >= 2, self.folds)
        _check("ensemble.seeds is positive", self.seeds > 0, self.seeds)
