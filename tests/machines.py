"""Extraction on several machines: python -m tests.machines FOLDER, a table for people (make bench-machines); as root, on Linux.

Three workers of an existing Dask scheduler, each in a network namespace with an address and a cable of its own and with a share of a core; the store's
catalog in PostgreSQL, its files in object storage. The same patients are extracted by the processes of one machine, by one worker, by all three, and by
all three of which one is killed and one has no room left on its disk. Features have to be the same each time. What went over each cable and to each service
is counted, and from the costs of a patient follows where more workers stop being of use.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from penumbra import store
from penumbra.base import tables
from penumbra.cohort.simulate import simulate
from penumbra.cohort.simulate_centers import CENTERS

from .services import Services

BRIDGE, HEAD = "penumbra0", "10.77.0.1"
SHARES = (1.0, 0.5, 0.25)  # of a core: machines of different speed
NETWORK = 1e9 / 8  # bytes a second of the network that is reckoned with
WORKERS = (3, 10, 30, 100, 300, 1000)
DASK = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", "PYTHONWARNINGS": "ignore"}


def system(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@dataclass(frozen=True)
class Machine:
    """A network namespace with an address, and a control group with a share of a core."""

    number: int
    share: float

    @property
    def name(self) -> str:
        return f"penumbra{self.number}"

    @property
    def address(self) -> str:
        return f"10.77.0.{10 + self.number}"

    @property
    def cable(self) -> str:
        return f"pnb{self.number}"

    @property
    def group(self) -> Path:
        return Path("/sys/fs/cgroup/cpu") / self.name

    def make(self) -> None:
        system("ip", "netns", "add", self.name)
        system("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        system("ip", "link", "set", self.cable, "master", BRIDGE, "up")
        for words in (["addr", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            system("ip", "-n", self.name, *words)
        self.group.mkdir(exist_ok=True)
        (self.group / "cpu.cfs_quota_us").write_text(str(int(100_000 * self.share)))

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            system("ip", "netns", "del", self.name)
        with contextlib.suppress(OSError):
            self.group.rmdir()

    def carried(self) -> tuple[int, int]:
        """Bytes that the machine has sent and received."""
        counters = Path("/sys/class/net") / self.cable / "statistics"
        return int((counters / "rx_bytes").read_text()), int((counters / "tx_bytes").read_text())

    @contextmanager
    def worker(self, scheduler: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        """A Dask worker there, whose files are in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        inner = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        held = f'echo $$ > {self.group}/cgroup.procs; exec ip netns exec {self.name} "$@"'
        command = ["sh", "-c", held, "sh", *inner, "--local-directory", str(folder), "--name", self.name]
        environment = {**os.environ, **DASK, "OMP_NUM_THREADS": "1", **(variables or {})}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def network() -> Iterator[tuple[Machine, ...]]:
    """The machines, and this one at HEAD."""
    machines = tuple(Machine(number, share) for number, share in enumerate(SHARES, start=1))
    with contextlib.suppress(subprocess.CalledProcessError):
        system("ip", "link", "del", BRIDGE)
    for machine in machines:
        machine.remove()
    try:
        system("ip", "link", "add", BRIDGE, "type", "bridge")
        system("ip", "addr", "add", f"{HEAD}/24", "dev", BRIDGE)
        system("ip", "link", "set", BRIDGE, "up")
        for machine in machines:
            machine.make()
        yield machines
    finally:
        for machine in machines:
            machine.remove()
        with contextlib.suppress(subprocess.CalledProcessError):
            system("ip", "link", "del", BRIDGE)


@contextmanager
def scheduler() -> Iterator[tuple[str, int]]:
    """Address and process of a Dask scheduler on this machine."""
    address = f"tcp://{HEAD}:8786"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", HEAD, "--port", "8786", "--no-dashboard"]
    with subprocess.Popen(command, env={**os.environ, **DASK}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield address, process.pid
        finally:
            process.kill()


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A folder on a disk that has no room left."""
    folder.mkdir(parents=True, exist_ok=True)
    system("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    try:
        (folder / "work").mkdir()
        with contextlib.suppress(OSError), (folder / "filler").open("wb") as file:
            file.write(b"\0" * (2 << 20))
        yield folder / "work"
    finally:
        system("umount", "-l", str(folder))


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Outcome:
    """One extraction of everybody. head, dispatch: processor seconds of the command and of the scheduler; cables: bytes to and from the workers."""

    name: str
    seconds: float
    head: float
    dispatch: float
    cables: int
    postgres: int
    objects: int
    digest: str
    said: str


@dataclass
class Trial:
    """The cohort, ingested, and the services of its store."""

    folder: Path
    services: Services
    machines: tuple[Machine, ...]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("PENUMBRA_DASK",)}
        return {**kept, "PYTHONWARNINGS": "ignore", "PENUMBRA_HOME": str(self.home), **self.services.environment, **(variables or {})}

    def command(self, *words: str, variables: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "penumbra.cli", *words], env=self.environment(variables), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def extracted(self) -> str:
        with store.connect(self.home, read_only=True) as lake:
            assert store.check(lake) == []
            return store.digest(lake, "radiomics")

    def patients(self) -> int:
        with store.connect(self.home, read_only=True) as lake:
            return lake.sql("SELECT count(DISTINCT patient) FROM radiomics").to_pylist()[0]["count(DISTINCT patient)"]

    def populate(
        self, name: str, address: str | None, dispatcher: int | None, *, killed: "subprocess.Popen[bytes] | None" = None, again: bool = False
    ) -> Outcome:
        """Extract everybody from the store as ingest left it. killed: a worker that is killed after some seconds; again: there is nothing left to do."""
        if not again:
            self.services.restore("populate")
        self.services.count()
        before = sum(sum(machine.carried()) for machine in self.machines)
        dispatched = processor_seconds(dispatcher) if dispatcher else 0.0
        used, started = os.times(), time.perf_counter()
        process = self.command("populate", variables={"PENUMBRA_DASK": address} if address else None)
        if killed is not None:
            time.sleep(20)
            killed.kill()
        said = process.communicate()[1]
        seconds, after = time.perf_counter() - started, os.times()
        assert process.returncode == 0, said
        outcome = Outcome(
            name,
            seconds,
            after.children_user + after.children_system - used.children_user - used.children_system,
            processor_seconds(dispatcher) - dispatched if dispatcher else 0.0,
            sum(sum(machine.carried()) for machine in self.machines) - before,
            self.services.doors["postgres"].sent,
            self.services.doors["objects"].sent,
            self.extracted(),
            said,
        )
        print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        return outcome


def ingested(trial: Trial, patients: int) -> None:
    """A cohort of so many patients, each with its own tumor, read into the store."""
    if not (trial.folder / "cohort").is_dir():
        plans = [replace(plan, patients=share, refused=()) for plan, share in zip(CENTERS, _shares(patients), strict=True)]
        simulate(trial.folder / "cohort", seed=1, centers=plans, workers=2)
    shutil.rmtree(trial.home, ignore_errors=True)
    for plan in CENTERS:
        process = trial.command("ingest", str(trial.folder / "cohort" / plan.name), "--center", plan.name)
        said = process.communicate()[1]
        assert process.returncode == 0, said
    trial.services.save("populate")


def _shares(patients: int) -> tuple[int, int, int]:
    return patients - 2 * (patients // 4), patients // 4, patients // 4


def refused(trial: Trial, address: str) -> str:
    """What the command says where a worker has another program."""
    other = trial.folder / "other"
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(Path(store.__file__).parents[1], other / "penumbra", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "penumbra" / "radiomics" / "shape.py").open("a", encoding="utf-8") as file:
        file.write("# another program\n")
    with trial.machines[2].worker(address, trial.folder / "worker-other", {"PYTHONPATH": str(other)}):
        wait_for_workers(address, 1)
        process = trial.command("populate", variables={"PENUMBRA_DASK": address})
        said = process.communicate()[1]
    assert process.returncode != 0
    return next(line for line in reversed(said.splitlines()) if line.startswith("Error: "))


def wait_for_workers(address: str, count: int) -> None:
    import distributed

    with distributed.Client(address) as client:
        client.wait_for_workers(count, timeout=120)


def rows(outcomes: list[Outcome], patients: int) -> list[list[str]]:
    return [
        [
            outcome.name,
            f"{outcome.seconds:.0f} s",
            f"{outcomes[0].seconds / outcome.seconds:.2f}",
            f"{outcome.cables / patients / 1e3:.0f} kB",
            f"{outcome.postgres / patients / 1e3:.1f} kB",
            f"{outcome.objects / patients / 1e3:.0f} kB",
            f"{outcome.dispatch / patients * 1e3:.1f} ms",
            "same" if outcome.digest == outcomes[0].digest else "OTHER",
        ]
        for outcome in outcomes
    ]


def reckoned(compute: float, head: float, dispatch: float, carried: float) -> list[list[str]]:
    """Patients a second of so many workers, and what limits them, from the cost of one patient in seconds and bytes."""
    limits = {"the one writer": 1 / head, "the scheduler": 1 / dispatch, "the network": NETWORK / carried}
    name, most = min(limits.items(), key=lambda limit: limit[1])
    lines = []
    for workers in WORKERS:
        rate = workers / compute
        lines.append([str(workers), f"{min(rate, most):.1f}", name if rate > most else "the workers", f"{126_000 / min(rate, most) / 3600:.1f} h"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.machines", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where cohort and home are made; a cohort that is there is taken")
    parser.add_argument("--patients", type=int, default=300)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        machines = stack.enter_context(network())
        trial = Trial(options.folder, stack.enter_context(Services()), machines)
        ingested(trial, options.patients)
        outcomes = [trial.populate("processes of this machine, two cores", None, None)]
        patients = trial.patients()
        address, dispatcher = stack.enter_context(scheduler())
        with machines[0].worker(address, options.folder / "w1"):
            wait_for_workers(address, 1)
            outcomes.append(trial.populate("one worker, a whole core", address, dispatcher))
            idle = trial.populate("nothing to extract", address, dispatcher, again=True)
            with machines[1].worker(address, options.folder / "w2") as second, full_disk(options.folder / "disk") as disk, machines[2].worker(address, disk):
                wait_for_workers(address, 3)
                outcomes.append(trial.populate("three workers, 1 + 0.5 + 0.25 cores, one without room on its disk", address, dispatcher))
                outcomes.append(trial.populate("the same, the second killed after 20 s", address, dispatcher, killed=second))
        said = refused(trial, address)
    heads = ["who extracts", "time", "times as fast as the first", "over the cables, a patient", "to PostgreSQL", "to object storage", "scheduler", "features"]
    print(tables.render(heads, rows(outcomes, patients), width=200))
    print(f"\na worker with another program: {said}\n")
    alone = outcomes[1]
    compute, head = (alone.seconds - idle.seconds) / patients, (alone.head - idle.head) / patients
    dispatch, carried = (alone.dispatch - idle.dispatch) / patients, (alone.cables - idle.cables) / patients
    print(f"a patient: {compute:.2f} s of a core; {head * 1e3:.0f} ms of the command, {dispatch * 1e3:.1f} ms of the scheduler, {carried / 1e3:.0f} kB")
    print(f"besides, once: {idle.seconds:.0f} s")
    print(tables.render(["workers", "patients a second", "limited by", "126,000 scans"], reckoned(compute, head, dispatch, carried)))
    print(json.dumps({outcome.name: round(outcome.seconds, 1) for outcome in outcomes}))
    assert len({outcome.digest for outcome in outcomes}) == 1


if __name__ == "__main__":
    main()
