"""The stages in their order, and those on request, as one table: what the command line, Prefect, and dvc.yaml name, and where each is found.

A stage is the function of its name in the module of its name. It reads what the ones before it left (manifests/<stage>.json and the store), does only
what is missing, and leaves its own manifest.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penumbra.pipeline import lineage_events

if TYPE_CHECKING:
    from penumbra.base.documents import Document
    from penumbra.pipeline.workspace import Work


@dataclass(frozen=True)
class Stage:
    """One stage.

    Parameters
    ----------
    name
        Of its module and function, of its command, in dvc.yaml, and of its Prefect task.
    does
        One sentence, the help of its command.
    retried
        Whether Prefect tries it again after a failure that may pass, and why (not).
    after
        Commands that come next.
    pooled
        Whether it extracts features, and takes the pool that does.
    one_thread
        Whether its linear algebra is many small matrices: threads would only wait for each other there, and cost a third of the processors' time.
    """

    name: str
    does: str
    retried: bool
    reason: str
    after: tuple[str, ...]
    pooled: bool = False
    one_thread: bool = False

    def __call__(self, work: "Work", **arguments: Any) -> "Document":
        """Run it; its manifest. Its module is imported only now: populate needs no network, and fuse no images."""
        with lineage_events.watched(self.name, work) as watch:
            stage = getattr(import_module(f"penumbra.pipeline.{self.name}"), self.name)
            with self._threads():
                manifest: Document = stage(work, **arguments)
            watch.manifest = manifest
        return manifest

    def _threads(self) -> AbstractContextManager[object]:
        if not self.one_thread:
            return nullcontext()
        from threadpoolctl import threadpool_limits

        one: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
        return one


_FILES = "it reads many files, and a share that is away for a minute comes back"
_SURE = "it computes from the store alone: what fails once fails again"

STAGES = (
    Stage("ingest", "One center's folder into the store, or every center in incoming/.", True, _FILES, ("penumbra populate",)),
    Stage("populate", "All missing (patient, ROI, version) rows: 1316 radiomics features for GTV and rings.", True, _FILES, ("penumbra train",), pooled=True),
    Stage("train", "Train the network on the training centers; log_risk and deep features of every patient.", False, _SURE, ("penumbra fuse",)),
    Stage("fuse", "Fit signatures, combined model and controls on the training centers.", False, _SURE, ("penumbra evaluate",), one_thread=True),
    Stage("evaluate", "Every metric for training, each center and all external centers pooled.", False, _SURE, ("penumbra register",), one_thread=True),
    Stage(
        "register",
        "Register the combined model with its metrics, predictions and lineage.",
        True,
        "the registry may be a server that is started again",
        ("penumbra compare", "penumbra report"),
        one_thread=True,
    ),
    Stage(
        "report",
        "Write the report: one page, with its figures and tables as files.",
        False,
        _SURE,
        ('penumbra sql "SELECT * FROM model_metrics LIMIT 5"',),
        one_thread=True,
    ),
)
ON_REQUEST = (  # not part of the path
    Stage(
        "stability",
        "How stable each feature is: some training patients measured again under noise, thicker slices, a shift, a rotation and another margin.",
        True,
        _FILES,
        ("penumbra report", 'penumbra sql "FROM feature_stability ORDER BY icc LIMIT 5"'),
        pooled=True,
    ),
)
BY_NAME = {stage.name: stage for stage in (*STAGES, *ON_REQUEST)}
