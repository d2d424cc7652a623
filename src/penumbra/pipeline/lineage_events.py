"""OpenLineage events of the stages, for other catalogs: START, then COMPLETE or FAIL, with what a stage reads, what it wrote, and the versions of both.

Only where OpenLineage's own environment variables ask for it (OPENLINEAGE_URL, OPENLINEAGE_CONFIG, OPENLINEAGE__TRANSPORT__...); nothing is imported or sent
otherwise. A server that is away neither fails a stage nor holds it up: events leave in a thread, the first that cannot be sent is reported, and no other is
tried. An event names relations, manifests and a registered version, and counts rows; it holds no patient.

References
----------
OpenLineage 2-0-2, https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

import json
import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from penumbra.base.params import ParamsError
from penumbra.base.progress import begin, made, part, say
from penumbra.base.refusal import Refusal, reportable

if TYPE_CHECKING:
    from penumbra.base.documents import Document
    from penumbra.pipeline.workspace import Work

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made", bound="Document")
VARIABLES, TRANSPORT = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG"), "OPENLINEAGE__TRANSPORT"
NAMESPACE, FLOW = "penumbra", "run"  # of jobs and data sets unless OPENLINEAGE_NAMESPACE names another; the job that stages of one run belong to
PRODUCER = "urn:penumbra-survival"
FLUSH_S = 2.0  # that a stage waits at its end for its events to leave
MAX_FIELDS = 100  # columns of a relation that an event lists; a wider one has its first columns and their number
READS: Mapping[str, tuple[str, ...]] = {
    "ingest": ("incoming",),
    "populate": ("images", "rois"),
    "train": ("images", "patients"),
    "stability": ("images", "rois"),
    "fuse": ("radiomics", "deep", "patients"),
    "evaluate": ("radiomics", "deep", "patients", "manifests/fuse.json"),
    "register": ("radiomics", "deep", "patients", "manifests/fuse.json", "manifests/evaluate.json"),
    "report": ("radiomics", "deep", "patients", "model_metrics", "manifests/evaluate.json", "manifests/register.json"),
}
VERSIONS = ("key", "version", "digest")  # of a manifest: the first that it has names what was made


def requested() -> bool:
    """Whether OpenLineage's environment variables name somebody who wants events."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return any(os.environ.get(name) for name in VARIABLES) or any(name.startswith(TRANSPORT) for name in os.environ)


def sends(stage: Callable[Concatenate["Work", Arguments], Made]) -> Callable[Concatenate["Work", Arguments], Made]:
    """The function of a stage, sending its events."""

    def run(work: "Work", /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Made:
        with watched(stage.__name__, work) as watch:
            watch.manifest = manifest = stage(work, *arguments, **named)
        return manifest

    return run


@dataclass
class Watched:
    """What a stage left, to be filled in by its caller."""

    manifest: "Document | None" = None


@contextmanager
def watched(stage: str, work: "Work") -> Iterator[Watched]:
    """Say that a stage begins and what it left, and send its events where they are requested: START now, COMPLETE or FAIL at the end of the context."""
    begin(stage)
    watch = Watched()
    with part(stage), _sent(stage, work, watch):
        yield watch
        if watch.manifest is not None:
            made(watch.manifest)


@contextmanager
def _sent(stage: str, work: "Work", watch: Watched) -> Iterator[Watched]:
    """The events of a stage."""
    if not requested():
        yield watch
        return
    run = _quietly(lambda: StageRun.begin(stage, work))
    try:
        yield watch
    except BaseException as error:
        if run is not None:
            reason = error  # a name that outlives the clause
            _quietly(lambda: run.end("FAIL", None, reason))
        raise
    if run is not None:
        _quietly(lambda: run.end("COMPLETE", watch.manifest, None))


def _quietly(step: Any) -> Any:
    """The step's value; None, and one line, where it failed: a stage never fails for its events."""
    try:
        return step()
    except Exception as error:
        SENDER.give_up(f"the event could not be made: {reportable(error)}")
        return None


@dataclass
class StageRun:
    """One run of one stage.

    Parameters
    ----------
    commit
        The store's newest commit when it began; what came later by the same run is what the stage wrote.
    """

    stage: str
    work: "Work"
    commit: int
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def begin(cls, stage: str, work: "Work") -> "StageRun":
        """Send START."""
        run = cls(stage, work, _newest_commit(work))
        run.send("START", [_input(name, work, {}) for name in READS.get(stage, ())], [])
        return run

    def end(self, state: str, manifest: "Document | None", error: BaseException | None) -> None:
        """Send COMPLETE or FAIL, and wait a moment for both events to leave."""
        rows = _written(self.work, self.commit)
        inputs = [_input(name, self.work, _columns(self.work, name)) for name in READS.get(self.stage, ())]
        outputs = [_relation(name, count, _newest_commit(self.work), _columns(self.work, name)) for name, count in rows.items()]
        outputs += made_by(self.stage, manifest) if manifest is not None else []
        self.send(state, inputs, outputs, error)
        SENDER.flush()

    def send(self, state: str, inputs: list[Any], outputs: list[Any], error: BaseException | None = None) -> None:
        """Hand one event to the thread that sends."""
        from importlib import metadata

        from openlineage.client import event_v2 as events
        from openlineage.client.facet_v2 import error_message_run, job_type_job, parent_run, processing_engine_run, tags_job

        from penumbra.pipeline.workspace import code_commit

        namespace = _namespace()
        release = metadata.version("penumbra-survival")
        tags = {"code_commit": code_commit() or "unknown", "profile": self.work.profile, "run": self.work.run}
        whole = parent_run.Run(runId=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}:{self.work.run}")))
        facets: dict[str, Any] = {
            "parent": parent_run.ParentRunFacet(run=whole, job=parent_run.Job(namespace=namespace, name=FLOW), producer=PRODUCER),
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version=release, name="penumbra", producer=PRODUCER),
        }
        if error is not None:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message=_rule(error), programmingLanguage="python", producer=PRODUCER)
        job_facets: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration="PENUMBRA", jobType="STAGE", producer=PRODUCER),
            "tags": tags_job.TagsJobFacet(
                tags=[tags_job.TagsJobFacetFields(key=key, value=value, source="penumbra") for key, value in tags.items()], producer=PRODUCER
            ),
        }
        event = events.RunEvent(
            eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
            producer=PRODUCER,
            run=events.Run(runId=self.run_id, facets=facets),
            job=events.Job(namespace=namespace, name=self.stage, facets=job_facets),
            eventType=events.RunState[state],
            inputs=inputs,
            outputs=outputs,
        )
        SENDER.put(event)


class Sender:
    """A thread that sends events in their order, until one cannot be sent."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.thread: threading.Thread | None = None
        self.closed = False

    def put(self, event: Any) -> None:
        """Have an event sent."""
        if self.closed:
            return
        self.events.put(event)
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.send, name="openlineage", daemon=True)
            self.thread.start()

    def flush(self, patience_s: float = FLUSH_S) -> None:
        """Wait until every event has left, but no longer than a moment."""
        with self.events.all_tasks_done:
            sent = self.events.all_tasks_done.wait_for(lambda: self.closed or not self.events.unfinished_tasks, patience_s)
        if not sent:
            self.give_up(f"no answer within {patience_s:g} s")

    def give_up(self, reason: str) -> None:
        """Say once that events are not sent, and send no more."""
        if not self.closed:
            self.closed = True
            say(f"OpenLineage events are not sent ({reason}); everything else continues")
        with self.events.all_tasks_done:
            self.events.all_tasks_done.notify_all()

    def send(self) -> None:
        """Send what is put, in the thread."""
        import logging

        from openlineage.client import OpenLineageClient

        logging.getLogger("openlineage").setLevel(logging.CRITICAL)  # one line of ours says it
        client = None
        while not self.closed:
            event = self.events.get()
            try:
                client = client or OpenLineageClient()
                client.emit(event)
            except Exception as error:
                self.give_up(f"the server did not take one: {reportable(error)}")
            finally:
                self.events.task_done()


SENDER = Sender()


def _namespace() -> str:
    return os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE


def _rule(error: BaseException) -> str:
    """The rule of a refusal, of another error kind and place (`reportable`): the words of either could name a patient, or a folder that is named after one."""
    return error.rule if isinstance(error, (Refusal, ParamsError)) else reportable(error)


def _newest_commit(work: "Work") -> int:
    """Of the store; 0 where there is none yet."""
    from penumbra import store

    with suppress(Refusal), store.connect(work.home, read_only=True) as lake:
        return lake.newest_commit()
    return 0


def _written(work: "Work", commit: int) -> dict[str, int]:
    """Relation -> rows that this run wrote after a commit."""
    from penumbra import store

    rows: dict[str, int] = {}
    with suppress(Refusal), store.connect(work.home, read_only=True) as lake:
        for row in lake.sql("SELECT relations FROM commits WHERE id > ? AND run = ?", [commit, work.run]).to_pylist():
            for name, count in json.loads(row["relations"]).items():
                rows[name] = rows.get(name, 0) + int(count)
    return rows


def _columns(work: "Work", name: str) -> dict[str, str]:
    """Column -> type of a relation of the store; none for anything else."""
    from penumbra import store
    from penumbra.store.views import relation_names

    if name not in relation_names(work.home):
        return {}
    with suppress(Refusal), store.connect(work.home, read_only=True) as lake:
        schema = lake.sql(f"SELECT * FROM {name} LIMIT 0").schema  # noqa: S608 a known relation
        return {column.name: str(column.type) for column in schema}
    return {}


def _facets(columns: Mapping[str, str], version: str | None) -> dict[str, Any]:
    """Schema and version of a data set."""
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if columns:
        listed = list(columns.items())[:MAX_FIELDS]
        fields = [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in listed]
        if len(columns) > MAX_FIELDS:
            fields.append(schema_dataset.SchemaDatasetFacetFields(name="...", description=f"{len(columns) - MAX_FIELDS} more columns"))
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)
    if version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version, producer=PRODUCER)
    return facets


def _input(name: str, work: "Work", columns: Mapping[str, str]) -> Any:
    from openlineage.client import event_v2 as events

    version = f"commit {_newest_commit(work)}" if columns else None
    return events.InputDataset(namespace=_namespace(), name=name, facets=_facets(columns, version))


def _relation(name: str, rows: int, commit: int, columns: Mapping[str, str]) -> Any:
    """A relation that was written, with the number of new rows."""
    from openlineage.client import event_v2 as events
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    count = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows, producer=PRODUCER)
    return events.OutputDataset(namespace=_namespace(), name=name, facets=_facets(columns, f"commit {commit}"), outputFacets={"outputStatistics": count})


def made_by(stage: str, manifest: "Document") -> list[Any]:
    """The manifest of a stage under the key of what it made; after register the registered version as well."""
    from openlineage.client import event_v2 as events

    version = next((str(value) for name in VERSIONS if (value := getattr(manifest, name, None)) is not None), None)
    made = [events.OutputDataset(namespace=_namespace(), name=f"manifests/{stage}.json", facets=_facets({}, version))]
    model, number = getattr(manifest, "model", None), getattr(manifest, "version", None)
    if stage == "register" and model and number:
        made.append(events.OutputDataset(namespace=_namespace(), name=f"registry/{model}", facets=_facets({}, str(number))))
    return made
