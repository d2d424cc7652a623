"""What a run of all stages begins before its stage: the network's programs, compiled while features are extracted."""

import contextlib
from collections.abc import Callable, Iterator

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.pipeline import manifests, networks
from penumbra.pipeline.manifests import TrainManifest
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.train import outcomes_of
from penumbra.pipeline.workspace import Work

AT = "populate"  # from when on the patients of the training are known


@contextlib.contextmanager
def begun(work: Work) -> Iterator[Callable[[str], None]]:
    """Yield what is called with the name of each stage before it, in a thread that stays; what no stage took over ends with the context."""
    began = False

    def before(stage: str) -> None:
        nonlocal began
        if stage == AT and manifests.earlier(work.home, TrainManifest) is None:
            began = True
            # too few patients, or a store or share that is away for a minute: the stage whose matter it is says so, and is tried again
            with contextlib.suppress(Refusal, ValueError, OSError):
                _compile(work)

    try:
        yield before
    finally:
        if began:
            from penumbra import network

            network.end_compiling()


def _compile(work: Work) -> None:
    from penumbra import network

    images, settings = accepted_images(work), work.settings
    fitted = sorted(patient for patient in images if images[patient]["center"] in settings.cohort.train_centers)
    if not fitted:
        return
    with store.connect(work.home, read_only=True) as lake:
        records = {row["patient"]: row for row in lake.rows("patients")}
    networks.keep_compiled(work.home)
    event, time = outcomes_of(fitted, records)
    learning = network.Learning(settings.network, settings.augment, settings.train)
    network.begin_compiling(event, time, learning, ensemble=settings.ensemble)
