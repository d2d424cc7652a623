"""A flow run as a person sees it on its page: named and tagged, with our sentences as log lines, steps and batches as task runs, artifacts and progress.

The stages know nothing of it: they tell watchers (penumbra.base.progress), and this one tells the server.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from prefect import Flow, Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate, LogCreate
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed, Crashed, Failed, Running

from penumbra.base import progress
from penumbra.base.progress import Reached
from penumbra.base.refusal import reportable
from penumbra.flows import artifacts
from penumbra.flows.artifacts import Content, key_of
from penumbra.flows.discreet import plain
from penumbra.flows.outbox import CLOSE_S, STOP_S, Outbox
from penumbra.pipeline.manifests import DecisionManifest, EvaluateManifest, IngestManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.workspace import Work
from penumbra.registry import RegisteredVersion

MAX_BATCHES = 10  # of one piece of work that are shown, where its items do not say how they belong together
BATCH_S = 2.0  # that a batch lasts at least: one for each patient whose result is there already would be noise
SOURCE = "penumbra"  # the logger that is shown next to a line


@dataclass(frozen=True)
class Part:
    """A part of the work under way, and its task run; one of Prefect's own engine is not ended here."""

    name: str
    id: UUID
    foreign: bool = False


@dataclass
class Batch:
    """The batch of a counted piece of work that is under way: `first` is its first item, from 0."""

    part: Part
    first: int
    began: datetime


@dataclass
class Recorder:
    """Shows one flow run; a progress.Watcher."""

    work: Work
    flow_run: UUID
    outbox: Outbox
    tags: set[str] = field(default_factory=set)
    parts: list[Part] = field(default_factory=list)
    batches: dict[str, Batch] = field(default_factory=dict)
    before: dict[UUID | None, UUID] = field(default_factory=dict)  # part -> the last one that ended in it
    bars: dict[str, UUID] = field(default_factory=dict)  # key of a progress artifact -> its id, once the server has given one
    retraining: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # what is shown late has the time at which it happened

    def tag(self, tags: Iterable[str]) -> None:
        """Add tags; those that the run has stay."""
        fresh = set(tags) - self.tags
        if fresh:
            self.tags |= fresh
            every = sorted(self.tags)
            self.outbox.call(lambda client: client.update_flow_run(self.flow_run, tags=every))

    def sentence(self, line: str, level: int = logging.INFO) -> None:
        """Send one log line."""
        at: Any = self.clock()  # Prefect's own DateTime is pendulum's or whenever's, by the version of Python
        entry = LogCreate(name=SOURCE, level=level, message=line, timestamp=at, flow_run_id=self.flow_run, task_run_id=self._parent())
        self.outbox.line(entry)

    def began(self, part: str) -> None:
        """Begin a task run; where Prefect's own engine runs a task of this name, that is it."""
        context = TaskRunContext.get()
        if context is not None and context.task.name == part:
            self.parts.append(Part(part, context.task_run.id, foreign=True))
        else:
            self.parts.append(self._begin(part, self.before.get(self.parts[-1].id if self.parts else None)))

    def ended(self, part: str, error: BaseException | None) -> None:
        """End the part that began last, and every batch in it."""
        for what in list(self.batches):
            self._end(self.batches.pop(what).part, error)
        last = self.parts.pop()
        self.before[self.parts[-1].id if self.parts else None] = last.id
        self._end(last, error)

    def reached(self, reached: Reached) -> None:
        """Move a progress artifact, and end the batches that are done."""
        if reached.total == 0:
            return
        self._bar(reached)
        size, batch = reached.batch or -(-reached.total // MAX_BATCHES), self.batches.get(reached.what)
        if batch is not None and (reached.done == reached.total or self._is_full(batch, reached, size)):
            del self.batches[reached.what]
            self._rename(batch.part, _range(reached, batch.first, reached.done))
            self._end(batch.part, None)
            batch = None
        if batch is None and reached.done < reached.total:
            first = reached.done - reached.done % size if reached.batch else reached.done
            name = f"{reached.what} {first // size + 1} of {-(-reached.total // size)}" if reached.batch else reached.what
            self.batches[reached.what] = Batch(self._begin(name), first, self.clock())

    def _is_full(self, batch: Batch, reached: Reached, size: int) -> bool:
        return reached.done >= batch.first + size and (reached.batch > 0 or (self.clock() - batch.began).total_seconds() >= BATCH_S)

    def made(self, result: object) -> None:
        """Show what a part left."""
        try:
            for content in self._contents(result):
                self._show(content)
        except Exception as error:  # the run is not worth less where its page is
            self.sentence(f"not shown here: {reportable(error)}", logging.WARNING)

    def label(self, *tags: str) -> None:
        """Add the tags of every run, and others."""
        self.tag((*tags, f"profile:{self.work.profile}", f"run:{self.work.run}"))

    def close(self, error: BaseException | None) -> None:
        """Send what waits; with the error that ended the run."""
        if error is not None:
            self.sentence(_sentence(error), logging.ERROR)
        self.outbox.close(CLOSE_S if error is None or isinstance(error, Exception) else STOP_S)

    def finish(self, error: BaseException | None) -> None:
        """End a flow run that `begin` began."""
        state = _state(error)
        self.outbox.call(lambda client: client.set_flow_run_state(self.flow_run, state, force=True))
        self.close(error)

    def _contents(self, result: object) -> Sequence[Content]:
        model = self.work.settings.register.model
        if isinstance(result, RegisteredVersion):
            self.retraining = True
            self.tag([artifacts.champion(result)])
        elif isinstance(result, RegisterManifest):
            self.tag(artifacts.label(result.model or model, version) for version in (result.version, result.challenger) if version is not None)
        elif isinstance(result, IngestManifest):
            return [artifacts.cohort_flow(result)]
        elif isinstance(result, EvaluateManifest):
            return [artifacts.c_per_center(result)]
        elif isinstance(result, ReportManifest) and not self.retraining:
            return [artifacts.model(self.work)]
        elif isinstance(result, DecisionManifest):
            self.tag(artifacts.label(result.model or model, version) for version in (result.champion, result.challenger) if version is not None)
            return [artifacts.c_of_versions(self.work, result), artifacts.decision(self.work, result)]
        return []

    def _show(self, content: Content) -> None:
        artifact = ArtifactCreate(
            key=content.key, type=content.kind, description=content.description, data=content.data, flow_run_id=self.flow_run, task_run_id=self._parent()
        )
        self.outbox.call(lambda client: client.create_artifact(artifact))

    def _bar(self, reached: Reached) -> None:
        key, share = key_of("progress", reached.what), round(100 * reached.done / reached.total, 1)
        left_s = "" if reached.left_s is None or reached.done == reached.total else f", about {reached.left_s:.0f} s left"
        words = f"{reached.what} {reached.done}/{reached.total}{left_s}"
        if reached.done == 0 and reached.what not in self.batches:
            self.bars.pop(key, None)
            artifact = ArtifactCreate(key=key, type="progress", description=words, data=share, flow_run_id=self.flow_run, task_run_id=self._parent())
            self.outbox.call(lambda client: self.bars.__setitem__(key, client.create_artifact(artifact).id))
        else:
            self.outbox.latest(key, partial(_moved, bars=self.bars, key=key, update=ArtifactUpdate(data=share, description=words)))

    def _parent(self) -> UUID | None:
        return self.parts[-1].id if self.parts else _task_run()

    def _begin(self, name: str, before: UUID | None = None) -> Part:
        """Begin a task run, inside the part under way and behind the one before it; the steps of a retraining stand next to its own task."""
        part, inputs = Part(name, uuid.uuid4()), dict[str, Any]()
        if self.parts:
            inputs["__parents__"] = [TaskRunResult(id=self.parts[-1].id)]
        if before is not None:
            inputs["after"] = [TaskRunResult(id=before)]
        task: Task[..., None] = Task(_nothing, name=name)
        self.outbox.call(lambda client: client.create_task_run(task, self.flow_run, str(part.id), id=part.id, name=name, state=Running(), task_inputs=inputs))
        return part

    def _rename(self, part: Part, name: str) -> None:
        if name:
            self.outbox.call(lambda client: client.set_task_run_name(part.id, name))

    def _end(self, part: Part, error: BaseException | None) -> None:
        if not part.foreign:
            state = _state(error)
            self.outbox.call(lambda client: client.set_task_run_state(part.id, state, force=True))


@contextmanager
def recorded(work: Work, *tags: str) -> Iterator[None]:
    """Show what happens in this context on the page of the flow run that is under way; nothing where there is none.

    Parameters
    ----------
    tags
        Of the run besides its profile and its id in the store.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    recorder = Recorder(work, context.flow_run.id, Outbox(), set(context.flow_run.tags))
    recorder.label(*tags)
    try:
        with progress.watching(recorder):
            yield
    except BaseException as error:
        recorder.close(error)
        raise
    recorder.close(None)


def begin(work: Work, flow: Flow[..., Any], name: str, parameters: dict[str, Any], tags: Iterable[str]) -> Recorder:
    """A recorder of a flow run that Prefect's own engine does not run; to be finished.

    Raises
    ------
    httpx.TransportError
        Where the server does not answer.
    """
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flow, name=name, parameters=parameters, state=Running())
    recorder = Recorder(work, run.id, Outbox())
    recorder.label(*tags)
    return recorder


def named(what: str, *words: str) -> str:
    """The name of a flow run: what it is, of whom, and the date (UTC)."""
    return " ".join((what, *words, datetime.now(UTC).date().isoformat()))


def _range(reached: Reached, first: int, last: int) -> str:
    """The name of a batch once its end is known; "" where it had one before."""
    if reached.batch or last == first:
        return ""
    return f"{reached.what} {last} of {reached.total}" if last - first == 1 else f"{reached.what} {first + 1} to {last} of {reached.total}"


def _moved(client: SyncPrefectClient, *, bars: dict[str, UUID], key: str, update: ArtifactUpdate) -> None:
    if key in bars:
        client.update_artifact(bars[key], update)


def _state(error: BaseException | None) -> State[Any]:
    make: Callable[..., State[Any]] = Completed if error is None else Failed if isinstance(error, Exception) else Crashed
    return make() if error is None else make(message=_sentence(error))


def _sentence(error: BaseException) -> str:
    return reportable(plain(error)) if isinstance(error, Exception) else "stopped"


def _task_run() -> UUID | None:
    context = TaskRunContext.get()
    return None if context is None else context.task_run.id


def _nothing() -> None:
    """Stands for the function of a task whose work is done elsewhere."""
