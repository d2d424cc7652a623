"""`make test-numeric`: the tests marked `numeric` again under other instruction sets and numbers of threads, as other processors have them.

What a network learns, and every long sum, depends on both to the last bits. Each run is a pytest of its own with all its libraries held to one
instruction set, and with as many processors as threads; before it a probe shows that every library took its setting.

    python -m tests.numeric                      the runs of DEFAULT, each instruction set and each number of threads among them
    python -m tests.numeric all                  every instruction set with every number of threads
    python -m tests.numeric "1 thread, AVX2"     some runs
    python -m tests.numeric --probe              what the libraries of this very process use, as JSON
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
WIDER = {"AVX2": ("avx512f",), "SSE4_2": ("avx512f", "avx2")}  # flags of /proc/cpuinfo beyond a set: without any of them the set is the processor's own
# a name that a library does not know is ignored with such a line
IGNORED = re.compile(r"unknown cpu isa|not a recognized (processor|feature)|unknown flag|core not found|falling back", re.IGNORECASE)
CONTROLLED = (
    "XLA_FLAGS", "JAX_PLATFORMS", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES",
)  # fmt: skip
PREPARED = "PENUMBRA_TEST_PREPARED"  # a state folder with simulated cohort and features: images are read and features computed once for all runs
NUMERIC = "PENUMBRA_TEST_NUMERIC"  # set in every run: the networks of the tests are compiled with all optimizations
DEFAULT = ("1 thread, the processor's own", "1 thread, SSE4_2", "2 threads, AVX2", "2 threads, the processor's own")
LIMIT_S = 7200.0  # of one run
AT_ONCE = 3  # runs, for memory: each holds up to 3 GB
LOOK_S = 1.0
SAY_S = 30.0


@dataclass(frozen=True)
class InstructionSet:
    """environment: how each library is held to it. kernels: names that OpenBLAS may report. registers: of x86, that its machine code does not have.

    numpy: the features of numpy's own that stay.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    kernels: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    numpy: tuple[str, ...] = ()


OWN = InstructionSet("the processor's own")
SETS = (
    OWN,
    InstructionSet(
        "AVX2",
        # numba keeps the processor's own features under another processor's name, unless they are named as well
        {
            "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
            "NUMBA_CPU_NAME": "haswell",
            "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2",
            "OPENBLAS_CORETYPE": "HASWELL",
        },
        kernels=("Haswell",),
        registers=("zmm",),
        numpy=("X86_V3",),
    ),
    InstructionSet(
        "SSE4_2",
        {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2", "NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2", "OPENBLAS_CORETYPE": "NEHALEM"},
        kernels=("Nehalem",),
        registers=("zmm", "ymm"),
    ),
)


@dataclass(frozen=True)
class Run:
    """One pytest."""

    instructions: InstructionSet
    threads: int

    @property
    def name(self) -> str:
        return f"{self.threads} thread{'s' * (self.threads != 1)}, {self.instructions.name}"

    @property
    def file(self) -> str:
        return re.sub(r"\W+", "-", self.name)

    def environment(self, disabled: Sequence[str]) -> dict[str, str]:
        """disabled: what numpy must not use."""
        kept = {name: value for name, value in os.environ.items() if name not in CONTROLLED}
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
        found = {**kept, **threads, **self.instructions.environment, "JAX_PLATFORMS": "cpu", NUMERIC: "1"}
        return found | ({"NPY_DISABLE_CPU_FEATURES": " ".join(disabled)} if disabled else {})


@dataclass(frozen=True)
class Result:
    run: Run
    passed: int
    failed: tuple[str, ...]
    skipped: int
    seconds: float
    problem: str = ""

    @property
    def good(self) -> bool:
        return not self.problem and not self.failed and self.passed > 0


def probe() -> dict[str, Any]:
    """What the libraries of this process compile for and run on."""
    import numpy as np
    import scipy.linalg  # noqa: F401 it has an OpenBLAS of its own
    from numba import njit
    from threadpoolctl import threadpool_info

    @njit(fastmath=True)
    def squares(values: np.ndarray) -> float:
        total = 0.0
        for value in values:
            total += value * value
        return total

    squares(np.ones(100))
    code = " ".join(squares.inspect_asm().values())
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    compiled, pool_threads = _xla()
    return {
        "processors": len(os.sched_getaffinity(0)),
        "xla": compiled,
        "xla_threads": pool_threads,
        "numba": sorted({name for name in ("xmm", "ymm", "zmm") if f"%{name}" in code}),
        "openblas": sorted({pool["architecture"] for pool in pools}),
        "openblas_threads": sorted({pool["num_threads"] for pool in pools}),
        "numpy": sorted(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),  # type: ignore[index]
    }


def _xla() -> tuple[dict[str, int], int]:
    """How often each width of vector occurs in the code that XLA makes of a formula, and the threads it works with."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder}"
        import jax
        import jax.numpy as jnp

        jax.jit(lambda x: jnp.exp(x) * x + 1)(jnp.ones(4096, jnp.float32)).block_until_ready()
        text = " ".join(path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).glob("*with-opt.ll"))
    names = [(thread / "comm").read_text() for thread in Path("/proc/self/task").iterdir()]
    widths = {width: len(re.findall(rf"<{width} x float>", text)) for width in (4, 8, 16)}
    return {str(width): count for width, count in widths.items()}, sum(name.startswith("tf_XLAEigen") for name in names)


def problems(run: Run, found: dict[str, Any], own: dict[str, Any], words: str) -> list[str]:
    """What a probe shows that was not asked for; `own` is the probe of the processor's own instructions, `words` what the probe wrote to stderr."""
    wrong = [line.strip() for line in words.splitlines() if IGNORED.search(line)]
    for name in ("processors", "xla_threads"):
        if found[name] != run.threads:
            wrong.append(f"{name} {found[name]}, not {run.threads}")
    if found["openblas_threads"] != [run.threads]:
        wrong.append(f"OpenBLAS has {found['openblas_threads']} threads, not {run.threads}")
    wanted = run.instructions
    if wanted is not OWN:
        if found["xla"] == own["xla"]:
            wrong.append(f"XLA makes the same code as without a limit: {found['xla']}")
        if any(name in found["numba"] for name in wanted.registers):
            wrong.append(f"numba uses {', '.join(found['numba'])}")
        if not set(found["openblas"]) <= set(wanted.kernels) or not found["openblas"]:
            wrong.append(f"OpenBLAS uses {', '.join(found['openblas'])}")
        if set(found["numpy"]) - set(wanted.numpy):
            wrong.append(f"numpy uses {', '.join(found['numpy'])}")
    return wrong


def cpu_flags() -> set[str]:
    """The processor's features as Linux names them; none where it does not say."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(found.group(1).split()) if found else set()


def possible_runs(processors: int, flags: set[str]) -> tuple[list[Run], list[str]]:
    """The runs that this machine can do, those of one thread first, and a sentence for each that it cannot."""
    runs, missing = [], []
    for threads in (1, 2):
        for instructions in SETS:
            run = Run(instructions, threads)
            if threads > processors:
                missing.append(f"{run.name}: not run, this machine has {processors} processor")
            elif instructions is not OWN and not flags.intersection(WIDER[instructions.name]):
                missing.append(f"{run.name}: not run, the processor has nothing beyond {instructions.name}, or Linux does not list its features")
            else:
                runs.append(run)
    return runs, missing


class Started:
    """A pytest at work on some processors, in a process group of its own."""

    def __init__(self, run: Run, processors: Sequence[int], folder: Path, environment: dict[str, str], arguments: Sequence[str]) -> None:
        self.run, self.processors, self.begun = run, tuple(processors), time.monotonic()
        self.report, self.log = folder / f"{run.file}.xml", folder / f"{run.file}.log"
        chosen = ["-m", "numeric", "-v", "-p", "no:cacheprovider", "--basetemp", str(folder / f"{run.file}-files"), f"--junitxml={self.report}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*held_to(self.processors), sys.executable, "-m", "pytest", *chosen, *arguments],
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def progress(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        done, failed = len(re.findall(r"^tests/\S+.* (PASSED|FAILED|ERROR|SKIPPED)", text, re.MULTILINE)), len(re.findall(r" (FAILED|ERROR) +\[", text))
        total = re.search(r"(\d+) selected", text)
        return f"{self.run.name}: {done} of {total[1] if total else '?'} tests, {failed} failed, {self.seconds:.0f} s"

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def result(self) -> Result:
        if not self.report.is_file():
            return Result(self.run, 0, (), 0, self.seconds, f"pytest ended with {self.process.returncode} and no report, see {self.log}")
        suite = ElementTree.parse(self.report).getroot().find("testsuite")
        assert suite is not None
        cases = suite.findall("testcase")
        failed = tuple(f"{case.get('classname')}::{case.get('name')}" for case in cases if case.find("failure") is not None or case.find("error") is not None)
        skipped = sum(case.find("skipped") is not None for case in cases)
        problem = "" if self.process.returncode in (0, 1) else f"pytest ended with {self.process.returncode}, see {self.log}"
        return Result(self.run, len(cases) - len(failed) - skipped, failed, skipped, self.seconds, problem)


def held_to(processors: Sequence[int]) -> list[str]:
    """Before a command: it runs on these processors. Set in its own process and not between fork and exec, which JAX's threads forbid."""
    held = "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(','))); os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", held, ",".join(map(str, processors))]


def probed(run: Run, processors: Sequence[int], environment: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The probe of a run, and what it wrote to stderr.

    Raises  RuntimeError with its last words when it fails.
    """
    done = subprocess.run(
        [*held_to(processors[: run.threads]), sys.executable, "-m", "tests.numeric", "--probe"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{run.name}: the probe ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


def prepared(folder: Path) -> Path:
    """A state folder with the simulated cohort read and its features computed, by the processor's own instructions."""
    from penumbra.base.progress import say

    from .end_to_end.conftest import penumbra

    home, simulated = folder / "home", folder / "simulated"
    say("preparing the simulated cohort and its features once for all runs")
    penumbra(home, "simulate", str(simulated))
    for center in sorted(path.name for path in simulated.iterdir() if path.is_dir()):
        penumbra(home, "ingest", str(simulated / center), "--center", center)
    penumbra(home, "populate")
    return home


def carry_out(runs: Sequence[Run], folder: Path, environments: dict[Run, dict[str, str]], arguments: Sequence[str]) -> Iterator[Result]:
    """The results as they come; as many runs at once as processors allow."""
    from penumbra.base.progress import say

    free, waiting, working, said = set(os.sched_getaffinity(0)), list(runs), list[Started](), time.monotonic()
    try:
        while waiting or working:
            while waiting and len(free) >= waiting[0].threads and len(working) < AT_ONCE:
                run = waiting.pop(0)
                taken = sorted(free)[: run.threads]
                free -= set(taken)
                working.append(Started(run, taken, folder, environments[run], arguments))
            time.sleep(LOOK_S)
            for started in list(working):
                if started.process.poll() is None and started.seconds > LIMIT_S:
                    started.stop()
                if started.process.poll() is not None:
                    working.remove(started)
                    free |= set(started.processors)
                    yield started.result()
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                for started in working:
                    say(started.progress())
    finally:
        for started in working:
            started.stop()


def table(results: Sequence[Result], missing: Sequence[str]) -> str:
    from penumbra.base import tables

    body = [[r.run.name, r.passed, len(r.failed), r.skipped, f"{r.seconds:.0f}", "good" if r.good else r.problem or "failed"] for r in results]
    lines = [tables.render(["run", "passed", "failed", "skipped", "s", ""], body), *missing]
    lines += [f"{result.run.name}: {name}" for result in results for name in result.failed]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """arguments: names of runs, and after -- arguments for pytest."""
    from penumbra.base.progress import say

    names, more = (list(arguments[: arguments.index("--")]), list(arguments[arguments.index("--") + 1 :])) if "--" in arguments else (list(arguments), [])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, _: sys.exit(128 + which))  # so that no run outlives this process
    processors = sorted(os.sched_getaffinity(0))
    runs, missing = possible_runs(len(processors), cpu_flags())
    wanted = [run.name for run in runs] if names == ["all"] else names or DEFAULT
    chosen = [run for run in runs if run.name in wanted]
    if names not in ([], ["all"]) and len(chosen) < len(set(names)):
        print(f"one of {'; '.join(names)} is not a run of this machine; there are: all; {'; '.join(run.name for run in runs)}", file=sys.stderr)
        return 2
    missing = [line for line in missing if line.split(":")[0] in wanted or names == ["all"]]
    own, _ = probed(Run(OWN, 1), processors, Run(OWN, 1).environment(()))
    environments: dict[Run, dict[str, str]] = {}
    bad = []
    for run in chosen:
        disabled = [] if run.instructions is OWN else [name for name in own["numpy"] if name not in run.instructions.numpy]
        environments[run] = run.environment(disabled)
        found, words = probed(run, processors, environments[run])
        say(f"{run.name}: {json.dumps(found)}")
        bad += [f"{run.name}: {wrong}" for wrong in problems(run, found, own, words)]
    if bad:
        print("A setting was not taken:\n" + "\n".join(bad), file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="penumbra-numeric-") as name:
        folder = Path(name)
        home = prepared(folder)
        for environment in environments.values():
            environment[PREPARED] = str(home)
        results = []
        for result in carry_out(chosen, folder, environments, more):
            results.append(result)
            say(f"{result.run.name}: {result.passed} passed, {len(result.failed)} failed, {result.seconds:.0f} s")
            if not result.good:
                log = folder / f"{result.run.file}.log"
                print(log.read_text(encoding="utf-8", errors="replace")[-20_000:] if log.is_file() else result.problem, file=sys.stderr)
    print(table(results, missing))
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--probe"]:
        print(json.dumps(probe()))
    else:
        sys.exit(main(sys.argv[1:]))
