"""`penumbra status`: the state of a folder between arrived centers and a served model, and the one command to type next.

Nothing is written, nothing is migrated and nothing heavy is imported: half a second has to do. What cannot be read is said, and the rest is shown.
"""

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from penumbra.base.documents import Document
from penumbra.base.params import ParamsError, project_root, state_home
from penumbra.base.refusal import Refusal, reportable
from penumbra.commands.next_step import next_step
from penumbra.commands.status_data import Center, Champion, Disk, Failure, Place, Running, Status, Waiting
from penumbra.pipeline import history, manifests
from penumbra.pipeline.manifests import OVERTAKEN, PROPOSED, SET_ASIDE, Attempts, DecisionManifest, IngestedCenter, IngestManifest, PopulateManifest

if TYPE_CHECKING:
    from penumbra.store.overview import Overview

Read = TypeVar("Read", bound=Document)
SERVER_S, FILE_S = 3.0, 30.0  # how long the store is waited for: its catalog or its files on a server, which may not answer, or in files of this machine
WALK_S = 0.1  # a state folder of many files is measured no longer than that, or than the store takes to answer
FINAL_FILES = ("clinical.csv", "clinical.xlsx")
READER = "penumbra-status-store"  # the thread that reads the store
CROSS_FITTED = "cross_fitted"  # the split of values inside the training centers
EXTERNAL = "external"  # the pool of all external centers


def look(stored: "Overview | None" = None) -> Status:
    """The state of PENUMBRA_HOME, or of `data` in the project.

    Parameters
    ----------
    stored
        What the store holds, by `penumbra.store.overview`, where that was read already; None: it is read.

    Raises
    ------
    ParamsError
        "state_folder": PENUMBRA_HOME can hold no state.
    """
    try:
        home = state_home()
    except ParamsError as error:
        if error.rule == "state_folder":
            raise
        return _nowhere(str(error))
    remarks: list[str] = []
    try:
        project: Path | None = project_root()
    except ParamsError as error:
        project = None
        remarks.append(f"{str(error)[:1].upper()}{str(error)[1:]}")
    read = _StoreRead(home, stored)
    ingest_manifest, populated = _manifest(home, IngestManifest, remarks), _manifest(home, PopulateManifest, remarks)
    ingested = dict(ingest_manifest.centers) if ingest_manifest else {}
    working, failures = running(home), [*_failed_run(home), *_failed_centers(home, ingested)]
    disk, checked = _disk(home, read), history.last_check(home)
    stored = read.result(remarks)
    champion = _champion(home, stored)
    centers = _centers(ingested, stored)
    waiting = (*_waiting(home, ingested, champion, stored), *_proposed(home, champion))
    rejected = Counter[str]()
    for facts in ingested.values():
        rejected.update(facts.rejected)
    if populated and populated.refused:
        rejected["populate"] += len(populated.refused)
    status = Status(
        str(home),
        None if project is None else str(project),
        champion,
        centers,
        dict(rejected.most_common()),
        waiting,
        tuple(failures),
        working,
        disk,
        checked,
        tuple(remarks),
    )
    following, because = next_step(status)
    return replace(status, next=following, because=because)


def is_waiting() -> bool:
    """Whether a store that did not answer in time is still being asked."""
    return any(thread.name == READER for thread in threading.enumerate())


def _nowhere(reason: str) -> Status:
    because = f"{reason[:1].upper()}{reason[1:]}"
    return Status(None, None, None, (), {}, (), (), None, None, None, (), next_step(None)[0], because)


class _StoreRead:
    """The store, read in a thread of its own: a server that does not answer must not keep the rest from being shown."""

    def __init__(self, home: Path, stored: "Overview | None") -> None:
        self.overview: Any = stored
        self.thread: threading.Thread | None = None
        served = any(os.environ.get(name) for name in ("PENUMBRA_CATALOG", "PENUMBRA_FILES")) or any((home / "store").glob("*.uri"))
        self.patience_s = SERVER_S if served else FILE_S
        self.end = time.monotonic() + self.patience_s
        if stored is None and ((home / "store").is_dir() or os.environ.get("PENUMBRA_CATALOG")):
            self.thread = threading.Thread(target=self._read, args=(home,), daemon=True, name=READER)
            self.thread.start()

    def _read(self, home: Path) -> None:
        from penumbra.store.overview import Overview, overview

        try:
            self.overview = overview(home)
        except Exception as error:
            self.overview = Overview(trouble=f"The store cannot be read ({reportable(error)}); run penumbra doctor for details.")

    def is_under_way(self) -> bool:
        return self.thread is not None and self.thread.is_alive() and time.monotonic() < self.end

    def result(self, remarks: list[str]) -> Any:
        """The overview, None where there is no store; what is wrong with it is a remark."""
        if self.thread is None and self.overview is None:
            return None
        if self.thread is not None:
            self.thread.join(max(0.0, self.end - time.monotonic()))
        if self.overview is None:
            remarks.append(f"The store did not answer within {self.patience_s:g} s.")
        elif self.overview.trouble:
            remarks.append(self.overview.trouble)
        return self.overview


def _manifest(home: Path, kind: type[Read], remarks: list[str]) -> Read | None:
    try:
        return manifests.read(home, kind)
    except Refusal as refusal:
        if refusal.rule != "stages_in_order":
            remarks.append(f"{refusal.found}; {refusal.advice}.")
    except OSError as error:
        remarks.append(f"manifests/{manifests.NAMES[kind]}.json cannot be read ({error.strerror}).")
    return None


def _champion(home: Path, stored: Any) -> Champion | None:
    """As the store has it; without one that can be read, the number that was last noted of MLflow."""
    champions = stored.champions if stored else ()
    if not champions:
        return None if stored and not stored.trouble else _noted_champion(home)
    chosen = champions[0]
    if len(champions) > 1:  # params.yaml is read only where it decides something
        from penumbra.base.params import model_name

        with contextlib.suppress(ParamsError):
            chosen = next((each for each in champions if each.model == model_name()), chosen)
    rows = [row for row in stored.metrics if (row.model, row.version) == (chosen.model, chosen.version)]
    at = chosen.registered_at.isoformat(timespec="seconds") if chosen.registered_at else None
    outside = tuple(place for place in _places(rows, "test") if place.center != EXTERNAL)
    return Champion(chosen.model, chosen.version, chosen.train_centers, at, chosen.versions, outside, tuple(_places(rows, CROSS_FITTED)))


def _places(rows: list[Any], split: str) -> Iterator[Place]:
    volume = {row.center: row for row in rows if row.split == split and row.metric == "volume_c"}
    for row in rows:
        if row.split == split and row.metric != "volume_c":
            alone = volume.get(row.center)
            other = (None, None, None) if alone is None else (alone.value, alone.lower, alone.upper)
            yield Place(row.center, row.value, other[0], row.n, row.events, row.lower, row.upper, *other[1:])


def _noted_champion(home: Path) -> Champion | None:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        noted = json.loads((home / "mlflow" / "noted.json").read_text(encoding="utf-8"))
        for model, entry in noted.items():
            for number, _, aliases in json.loads(entry["state"])["versions"]:
                if "champion" in aliases:
                    return Champion(model, str(number), (), None, None, (), ())
    return None


def _centers(ingested: Mapping[str, IngestedCenter], stored: Any) -> tuple[Center, ...]:
    stored_centers = {each.center: each for each in (stored.centers if stored else ())}
    centers = []
    for name in sorted({*stored_centers, *ingested}):
        accepted = len(ingested[name].accepted) if name in ingested else stored_centers[name].patients
        centers.append(Center(name, accepted, stored_centers[name].events if name in stored_centers else None))
    return tuple(centers)


def _waiting(home: Path, ingested: Mapping[str, IngestedCenter], champion: Champion | None, stored: Any) -> tuple[Waiting, ...]:
    """Folders of incoming/ that were not read, and centers that arrived after the champion was registered and were not decided."""
    waiting, incoming = [], home / "incoming"
    with contextlib.suppress(OSError):
        for folder in sorted(path for path in incoming.iterdir() if not path.name.startswith(".")):
            if not folder.exists():
                waiting.append(Waiting(folder.name, "its folder is gone"))
            elif folder.is_dir() and folder.name not in ingested:
                complete = any((folder / name).is_file() for name in FINAL_FILES)
                waiting.append(Waiting(folder.name, "arrived, not read yet" if complete else "not complete: no clinical.csv yet"))
    since = {each.center: each.arrived_at for each in (stored.centers if stored else ())}
    listed = {each.center for each in waiting}
    for center in sorted(ingested):
        arrived = since.get(center)
        registered = champion.registered_at if champion is not None else None
        late = registered is not None and arrived is not None and arrived > datetime.fromisoformat(registered)
        if manifests.file_of(home, f"pending-{center}").is_file():
            waiting.append(Waiting(center, "decided, not carried out yet"))
        elif late and center not in listed and not manifests.file_of(home, f"retrain-{center}").is_file():
            waiting.append(Waiting(center, "read, and the champion has not been compared on it yet"))
    aside = {path.stem.removeprefix("aside-") for path in (home / manifests.FOLDER).glob("aside-*.json")}
    return tuple(Waiting(each.center, "set aside by a person") if each.center in aside else each for each in waiting)


def _proposed(home: Path, champion: Champion | None) -> Iterator[Waiting]:
    """Proposed champions that wait for a person, and what overtook one: one that today's champion answers is closed by the next command that writes."""
    for _, decided in _documents(home, "retrain-*.json", DecisionManifest):
        open_now = champion is None or (champion.model, champion.version) == (decided.model, str(decided.champion))
        if decided.decision == PROPOSED and open_now:
            label = f"{decided.model}/{decided.challenger}"
            yield Waiting(decided.center, f"{label} is proposed as champion", f'penumbra promote {label} --reason "..."')
        elif decided.decision == OVERTAKEN:
            yield Waiting(decided.center, "read, and another champion overtook the one that was proposed")


def _failed_run(home: Path) -> Iterator[Failure]:
    """The last command, where it failed or was killed; one that somebody stopped did not fail, but is not done."""
    last = history.last_run(home)
    if last is None or (last.ended and not last.error):
        return
    if last.error == history.STOPPED:
        yield Failure(last.command, "It was stopped; the same command resumes.", last.ended)
    elif last.ended:
        yield Failure(last.command, last.error, last.ended)
    elif not _is_held(home):
        yield Failure(last.command, "It was killed; the same command resumes.", last.began)


def _failed_centers(home: Path, ingested: Mapping[str, IngestedCenter]) -> Iterator[Failure]:
    for center, facts in ingested.items():
        if facts.refused:
            yield Failure(f"center {center}", f"It takes no part: {facts.refused}")
    for path, attempts in _documents(home, "attempts-*.json", Attempts):
        if attempts.error:
            yield Failure(f"penumbra retrain --center {path.stem.removeprefix('attempts-')}", attempts.error)
    for _, decided in _documents(home, "retrain-*.json", DecisionManifest):
        if decided.decision == SET_ASIDE:
            yield Failure(f"penumbra retrain --center {decided.center}", decided.reason)


def _documents(home: Path, pattern: str, kind: type[Read]) -> Iterator[tuple[Path, Read]]:
    for path in sorted((home / manifests.FOLDER).glob(pattern)):
        with contextlib.suppress(OSError, ValueError):
            yield path, kind.from_json(json.loads(path.read_text(encoding="utf-8")))


def _is_held(home: Path) -> bool:
    """Whether a writing command holds the state folder; the lock is tried as a reader and given back at once."""
    try:
        held = os.open(home / ".run-lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(held)
    return False


def running(home: Path) -> Running | None:
    """The command that works in a state folder, and how far it is; None where nothing works there."""
    if not _is_held(home):
        return None
    return replace(_holder(home), progress=history.under_way(home))


def _holder(home: Path) -> Running:
    for path, attempts in _documents(home, "attempts-*.json", Attempts):
        if attempts.error == "" and attempts.pid and Path(f"/proc/{attempts.pid}").exists():
            return Running(f"penumbra retrain --center {path.stem.removeprefix('attempts-')}", None, attempts.pid)
    last = history.last_run(home)
    if last is not None and not last.ended:
        return Running(last.command, last.began, last.pid)
    return Running("another command")


def _disk(home: Path, read: _StoreRead) -> Disk | None:
    existing = next(path for path in (home, *home.parents) if path.exists())
    try:
        free = shutil.disk_usage(existing).free
    except OSError:
        return None
    end = time.monotonic() + WALK_S
    used, counted = bytes_below(home, lambda: time.monotonic() < end or read.is_under_way())
    return Disk(used, counted, free)


def bytes_below(home: Path, may_go_on: Callable[[], bool]) -> tuple[int, bool]:
    """Bytes of the files below a folder (links not followed), and whether all of them were counted before the time was up."""
    used, pending = 0, [home]
    while pending and may_go_on():
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        used += entry.stat(follow_symlinks=False).st_size
    return used, not pending
