"""What happens when something is lost in the middle of each stage: python -m tests.losses FOLDER [ROW ...], a table (make test-losses).

A small cohort goes through every stage. Each stage is begun again from the state before it, loses what the row names, is asked what it said, and is run once
more by the same command when that is back: it has to end with the result of the undisturbed pass. FOLDER keeps the states between two calls. --stages
names those that lose something; "path" and "users" go through all of them, since each begins with what the one before it left.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penumbra import store
from penumbra.store.relations import RELATIONS

from . import losses_project
from .projects import CHECKOUT
from .services import Services

STAGES = ("ingest", "populate", "train", "fuse", "evaluate", "register", "report")
COSTLY = ("populate", "train", "fuse")
MOMENTS = (0.5,)  # of what a stage sends to a service
NOT_COMPARED = frozenset({"looks", "retrainings"})  # a row of them is an event, also one that was interrupted
RANDOM = ("run_id",)  # MLflow draws it
AWKWARD = 'Dr. "Ü" it\'s 50% new/état №1 $HOME'
MB = 1024**2


@dataclass
class Ended:
    """status: of the command; said: stderr."""

    status: int
    said: str

    @property
    def sentence(self) -> str:
        return next((line for line in reversed(self.said.splitlines()) if line.startswith("Error: ")), "")

    @property
    def clear(self) -> bool:
        """One error, in one sentence with its rule, and no trace."""
        return self.said.count("Error: ") == 1 and "Traceback" not in self.said and re.search(r"\(rule \w+\)", self.sentence) is not None


@dataclass
class Trial:
    """A home that goes through the stages, and how a command is started there. under: what the costly commands are run by, such as nice -n 19."""

    folder: Path
    under: list[str] = field(default_factory=list)
    services: Services | None = None
    home: Path = Path()
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / ("served" if self.services else "plain") / "home"
        self.project, self.cohort = self.folder / "project", self.folder / "cohort"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PENUMBRA_")}
        served = self.services.environment if self.services else {}
        return {**kept, "PYTHONWARNINGS": "ignore", "PENUMBRA_HOME": str(self.home), "PENUMBRA_PROJECT": str(self.project), **served, **self.variables}

    def command(self, *words: str, limits: Mapping[int, int] | None = None, by: list[str] | None = None) -> Ended:
        """Run a command. limits: of resource.RLIMIT_..."""

        def limited() -> None:
            for kind, value in (limits or {}).items():
                resource.setrlimit(kind, (value, value))

        program = [*(self.under if words[0] in COSTLY else []), *(by or []), sys.executable, "-m", "penumbra.cli", *words]
        done = subprocess.run(
            program, env=self.environment(), capture_output=True, text=True, preexec_fn=limited if limits else None, cwd=self.folder, errors="replace"
        )
        return Ended(done.returncode, done.stderr)

    def stage(self, name: str, **options: object) -> Ended:
        """Run a stage; ingest takes both centers, and ends at the first that fails."""
        if name != "ingest":
            return self.command(name, **options)  # type: ignore[arg-type]
        for center in losses_project.PATIENTS:
            ended = self.command("ingest", str(self.cohort / center), "--center", center, **options)  # type: ignore[arg-type]
            if ended.status:
                break
        return ended

    def result(self, upto: str) -> str:
        """A digest of every row of the store but times, and of the stage's manifest."""
        with store.connect(self.home, read_only=True, schema_root=self.project / "features") as lake:
            faults = store.check(lake)
            assert faults == [], faults
            digests = {name: store.digest(lake, name, without=RANDOM) for name in RELATIONS if name not in NOT_COMPARED and name in lake.views.names()}
        manifest = self.home / "manifests" / f"{upto}.json"
        return json.dumps({**digests, "manifest": hashlib.sha256(manifest.read_bytes()).hexdigest()}, sort_keys=True)

    def saved(self, stage: str) -> Path:
        return self.home.parent / f"before-{stage}"

    def save(self, stage: str) -> None:
        if self.home.exists():
            shutil.copytree(self.home, self.saved(stage), symlinks=True)
        else:
            self.saved(stage).mkdir(parents=True)
        if self.services:
            self.services.save(stage)

    def restore(self, stage: str) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.saved(stage), self.home, symlinks=True)
        if self.services:
            self.services.restore(stage)

    def undisturbed(self) -> dict[str, str]:
        """Go through every stage once, or read what the last call left: stage -> its result."""
        known = self.home.parent / "results.json"
        if self.services is None and known.is_file():
            return dict(json.loads(known.read_text()))
        shutil.rmtree(self.home.parent, ignore_errors=True)
        results = {}
        for stage in STAGES:
            self.save(stage)
            if self.services:
                self.services.count()
            ended = self.stage(stage)
            assert ended.status == 0, ended.said
            if self.services:
                self.services.note(stage)
            results[stage] = self.result(stage)
            if stage == "train":  # the programs of XLA take longest by far: a trial is about the rest
                shutil.copytree(self.home / "networks" / "compiled", self.saved(stage) / "networks" / "compiled")
            print(f"undisturbed {self.home.parent.name} {stage}", file=sys.stderr)
        known.write_text(json.dumps(results))
        return results


@dataclass(frozen=True)
class Row:
    """What was lost, when, what was said, and whether the same command resumed and reached the result of the undisturbed pass."""

    lost: str
    command: str
    status: int
    said: str
    resumed: str

    def __str__(self) -> str:
        return f"| {self.lost} | {self.command} | {self.status} | {self.said} | {self.resumed} |"


@dataclass(frozen=True)
class Asked:
    """What a call of this program is about. under: as of a trial; stages: those that lose something."""

    folder: Path
    under: list[str]
    stages: tuple[str, ...]


def row(lost: str, trial: Trial, stage: str, ended: Ended, expected: str, again: Callable[[], Ended]) -> Row:
    """Judge how a stage ended, and run it again."""
    if ended.status == 0:
        said = "went on without it"
    elif ended.clear:
        said = ended.sentence.removeprefix("Error: ")
    else:
        said = "NOT CLEAR: " + " / ".join(ended.said.strip().splitlines()[-6:])
    resumed = again() if ended.status else ended
    if resumed.status:
        outcome = f"DID NOT RESUME ({resumed.status}): " + " / ".join(resumed.said.strip().splitlines()[-4:])
    else:
        found, wanted = json.loads(trial.result(stage)), json.loads(expected)
        different = sorted(name for name in wanted if found.get(name) != wanted[name])
        outcome = f"ANOTHER RESULT: {', '.join(different)}" if different else "same digest" + ("" if ended.status else ", at once")
    return Row(lost, stage, ended.status, said, outcome)


def of_service(which: str, name: str) -> Callable[[Asked], Iterator[Row]]:
    """A service that goes away in the middle of each stage, and is back afterwards."""

    def rows(asked: Asked) -> Iterator[Row]:
        with Services() as services:
            trial = Trial(asked.folder, asked.under, services)
            results = trial.undisturbed()
            for stage in asked.stages:
                for moment in MOMENTS:
                    trial.restore(stage)
                    cut = services.cut(which, stage, moment)
                    if cut is None:
                        yield Row(f"{name} (nothing is sent to it)", stage, 0, "", "")
                        break
                    ended = trial.stage(stage)
                    services.back(which)
                    lost = f"{name} after {moment:.0%} of what is sent to it"
                    yield row(lost, trial, stage, ended, results[stage], lambda stage=stage: trial.stage(stage))  # type: ignore[misc]

    return rows


def of_limits(name: str, limits: Mapping[int, int]) -> Callable[[Asked], Iterator[Row]]:
    """Less of something than a stage may need; enough of it afterwards."""

    def rows(asked: Asked) -> Iterator[Row]:
        trial = Trial(asked.folder, asked.under)
        results = trial.undisturbed()
        for stage in asked.stages:
            trial.restore(stage)
            ended = trial.stage(stage, limits=limits)
            yield row(name, trial, stage, ended, results[stage], lambda stage=stage: trial.stage(stage))  # type: ignore[misc]

    return rows


def clock(asked: Asked) -> Iterator[Row]:
    """Every stage on a machine whose clock is a year behind that of the stage before."""
    trial = Trial(asked.folder, asked.under)
    results = trial.undisturbed()
    library = asked.folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    for number, stage in enumerate(asked.stages, 1):
        trial.restore(stage)
        trial.variables = {"LD_PRELOAD": str(library), "CLOCK_BEHIND_S": str(number * 365 * 86400)}
        ended = trial.stage(stage)
        yield row(f"the clock {number} years behind", trial, stage, ended, results[stage], lambda stage=stage: trial.stage(stage))  # type: ignore[misc]
    trial.variables = {}


def awkward(asked: Asked) -> Iterator[Row]:
    """Blanks, quotes and letters beyond ASCII in every path, and a home that is moved before every stage."""
    trial = Trial(asked.folder, asked.under)
    results = trial.undisturbed()
    places = asked.folder / AWKWARD
    shutil.rmtree(places, ignore_errors=True)
    places.mkdir(parents=True)
    shutil.copytree(trial.cohort, places / "cohort")
    shutil.copytree(trial.project, places / "project")
    trial.cohort, trial.project, trial.home = places / "cohort", places / "project", places / "home 0"
    for number, stage in enumerate(STAGES, 1):
        moved = places / f"home {number}"
        if trial.home.exists():
            trial.home.rename(moved)
        trial.home = moved
        ended = trial.stage(stage)
        yield row("a path with blanks, quotes, % and ü; the home moved", trial, stage, ended, results[stage], lambda stage=stage: trial.stage(stage))  # type: ignore[misc]


def two_users(asked: Asked) -> Iterator[Row]:
    """Two users with umask 077 take turns: the second is told, and goes on when the group may write."""
    trial = Trial(asked.folder, asked.under)
    results = trial.undisturbed()
    if os.getuid() != 0:
        yield Row("two users", "every stage", 0, "not tried: only root can be two users", "")
        return
    users, group = (61001, 61002), 61000
    place = Path("/var/tmp/penumbra-two-users")  # folders that both may enter lead there
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o2775)
    for name in ("cohort", "project"):
        shutil.copytree(asked.folder / name, place / name)
    os.chown(place, users[0], group)
    place.chmod(0o2775)
    trial.home, trial.cohort, trial.project = place / "home", place / "cohort", place / "project"

    def as_user(number: int) -> list[str]:
        return [
            "setpriv",
            f"--reuid={users[number % 2]}",
            f"--regid={group}",
            "--clear-groups",
            "env",
            f"HOME={place}",
            "sh",
            "-c",
            'umask 077; exec "$@"',
            "sh",
        ]

    def opened(stage: str, number: int) -> Ended:
        if trial.home.exists():
            subprocess.run(["chmod", "-R", "g+rwX", str(trial.home)], check=True)
        return trial.stage(stage, by=as_user(number))

    trial.folder = place
    for number, stage in enumerate(STAGES):
        ended = trial.stage(stage, by=as_user(number))
        yield row("the other user's files closed by umask 077; then chmod g+rwX", trial, stage, ended, results[stage], lambda s=stage, n=number: opened(s, n))  # type: ignore[misc]
    shutil.rmtree(place)


KINDS: dict[str, Callable[[Asked], Iterator[Row]]] = {
    "postgres": of_service("postgres", "PostgreSQL"),
    "objects": of_service("objects", "the object storage"),
    "files": of_limits("64 open files", {resource.RLIMIT_NOFILE: 64}),
    "memory": of_limits("address space of 700 MB", {resource.RLIMIT_AS: 700 * MB}),
    "clock": clock,
    "path": awkward,
    "users": two_users,
}


def begin(folder: Path) -> None:
    """The cohort and the project, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cohort").is_dir():
        losses_project.project(folder)
        losses_project.cohort(folder)


def main() -> None:
    """Print a table; status 1 where a row is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="ROW", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--under", default="", help="a program that starts the costly commands, such as 'nice -n 19'")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(CHECKOUT)
    asked = Asked(options.folder.resolve(), options.under.split(), tuple(stage for stage in STAGES if stage in options.stages))
    begin(asked.folder)
    print("| lost | stage | status | said | the same command again |\n|---|---|---|---|---|", flush=True)
    bad = 0
    for kind in options.kinds:
        began = time.monotonic()
        for found in KINDS[kind](asked):
            bad += any(word in str(found) for word in ("NOT CLEAR", "DID NOT", "ANOTHER"))
            print(found, flush=True)
        print(f"{kind}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
