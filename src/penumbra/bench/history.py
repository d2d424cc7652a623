"""What the benchmarks measured, commit by commit, in .bench/history.jsonl.

`python -m penumbra.bench.history run penumbra.bench.statistics --repeats 5` runs a benchmark and keeps its figures, with machine, versions and commit;
`python -m penumbra.bench.history compare` tells what became slower between the two newest commits that were measured on this machine, by more than the
same commit differs from itself.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from penumbra.base import tables
from penumbra.base.params import project_root

HISTORY = Path(".bench") / "history.jsonl"  # below the project; not tracked: a figure is one machine's
PACKAGES = ("numpy", "numba", "scipy", "SimpleITK", "pyradiomics", "jax", "flax", "duckdb", "scikit-survival", "mlflow", "prefect", "pyarrow")
COSTS = frozenset({"s", "ms", "seconds", "mb", "gb", "bytes", "ratio"})  # words of a figure's name of which less is better; ratio: ours over theirs
GAINS = frozenset({"speedup", "scaling", "share"})  # of which more is better
NOISE = 1.1  # factor by which two runs of one commit differ at least
UNKNOWN_NOISE = 1.25  # as long as no commit was measured twice


@dataclass(frozen=True)
class Run:
    """One run of one benchmark.

    Parameters
    ----------
    benchmark
        Its module without the package: "statistics".
    at
        UTC, ISO 8601.
    commit
        Revision of the code; with "+" where files differed from it.
    machine
        Processor, cores and system: figures of two machines are not compared.
    versions
        Package -> version.
    figures
        Name -> number; the last line that the benchmark printed.
    """

    benchmark: str
    at: str
    commit: str
    machine: str
    versions: Mapping[str, str]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Change:
    """A figure of two commits.

    Parameters
    ----------
    benchmark, figure
        Which one.
    before, after
        The best of each commit's runs.
    slower
        How many times slower it became: 1.2 is 20 % more seconds, bytes or of a peer's time; below 1 it became faster.
    noise
        Factor by which runs of one commit differ.
    """

    benchmark: str
    figure: str
    before: float
    after: float
    slower: float
    noise: float

    @property
    def verdict(self) -> str:
        """Slower or faster by more than noise, or the same."""
        return "slower" if self.slower > self.noise else "faster" if self.slower * self.noise < 1 else "same"


def machine() -> str:
    """Return processor, cores and system in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the installed version of each package whose speed enters a figure."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def commit(root: Path) -> str:
    """Return the revision of the code, with "+" where tracked files differ from it; "" outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    revision = git("rev-parse", "--short=12", "HEAD")
    return f"{revision}+" if revision and git("status", "--porcelain", "--untracked-files=no") else revision


def figures_of(output: str) -> dict[str, float]:
    """Return the numbers of the last line that a benchmark printed, a JSON object.

    Raises
    ------
    ValueError
        "the last line is no JSON object: ...".
    """
    last = output.strip().rpartition("\n")[2]
    try:
        document = json.loads(last)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ValueError(f"the last line is no JSON object: {last[:80]!r}")
    return {name: float(value) for name, value in document.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def read(file: Path) -> list[Run]:
    """Return every run that is kept, oldest first; a line that was cut off by a full disk is left out."""
    if not file.is_file():
        return []
    runs = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            runs.append(Run(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return runs


def keep(file: Path, run: Run) -> None:
    """Add a run, with one write."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(vars(run), sort_keys=True) + "\n")


def is_cost(figure: str) -> bool | None:
    """Whether less of a figure is better, by its name; None: it is neither better nor worse."""
    words = set(figure.split("_"))
    return False if words & GAINS else True if words & COSTS else None


def changes(runs: Sequence[Run], before: str, after: str) -> list[Change]:
    """Compare two commits by the best run of each figure, the slowest change first.

    Parameters
    ----------
    runs
        Of one machine.
    before, after
        Revisions as `Run.commit` has them.
    """
    measured: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run in runs:
        for figure, value in run.figures.items():
            if value > 0 and is_cost(figure) is not None:
                measured.setdefault((run.benchmark, figure), {}).setdefault(run.commit, []).append(value)
    compared = []
    for (benchmark, figure), commits in measured.items():
        if before not in commits or after not in commits:
            continue
        best = min if is_cost(figure) else max
        first, second = best(commits[before]), best(commits[after])
        slower = second / first if is_cost(figure) else first / second
        compared.append(Change(benchmark, figure, first, second, slower, _noise(commits.values())))
    return sorted(compared, key=lambda change: -change.slower)


def _noise(repeated: Iterable[Sequence[float]]) -> float:
    spreads = [max(values) / min(values) for values in repeated if len(values) > 1]
    return max(NOISE, *spreads) if spreads else UNKNOWN_NOISE


def newest_two(runs: Sequence[Run]) -> tuple[str, str]:
    """Return the two commits that were measured last, the older one first.

    Raises
    ------
    ValueError
        "runs of two commits are needed; found ...".
    """
    commits = list(dict.fromkeys(run.commit for run in reversed(runs)))[:2]
    if len(commits) < 2:
        raise ValueError(f"runs of two commits are needed; found {commits[0] if commits else 'none'} on this machine")
    return commits[1], commits[0]


def _run(module: str, arguments: Sequence[str]) -> int:
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True) as child:
        lines = []
        for line in child.stdout or ():
            lines.append(line)
            print(line, end="", flush=True)
    if child.returncode:
        return child.returncode
    root = project_root()
    name = module.removeprefix("penumbra.").removeprefix("bench.").removesuffix(".bench")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    keep(root / HISTORY, Run(name, now, commit(root), machine(), versions(), figures_of("".join(lines))))
    return 0


def _compare(before: str | None, after: str | None, *, everything: bool) -> int:
    here = machine()
    runs = [run for run in read(project_root() / HISTORY) if run.machine == here]
    try:
        first, second = (before, after) if before and after else newest_two(runs)
    except ValueError as error:
        print(f"{error}: make bench measures this one")
        return 1
    compared = changes(runs, _full(runs, first), _full(runs, second))
    rows = [change for change in compared if everything or change.verdict == "slower"]
    print(f"{first} -> {second}, {here}")
    if rows:
        heads = ["benchmark", "figure", "before", "after", "times slower", "noise", "verdict"]
        print(
            tables.render(heads, [[c.benchmark, c.figure, f"{c.before:.4g}", f"{c.after:.4g}", f"{c.slower:.2f}", f"{c.noise:.2f}", c.verdict] for c in rows])
        )
    counts = {verdict: sum(change.verdict == verdict for change in compared) for verdict in ("slower", "same", "faster")}
    print(f"figures compared: {len(compared)}; {counts['slower']} slower, {counts['same']} the same, {counts['faster']} faster")
    return 0 if not counts["slower"] else 3


def _full(runs: Sequence[Run], prefix: str) -> str:
    """The measured commit that begins like this."""
    return next((run.commit for run in reversed(runs) if run.commit.startswith(prefix)), prefix)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark and keep it, or compare; the exit status is 3 where something became slower."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.history", description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    running = parts.add_parser("run", help="run a benchmark and keep its figures")
    running.add_argument("module", help="such as penumbra.bench.statistics")
    running.add_argument("arguments", nargs=argparse.REMAINDER, help="of the benchmark")
    comparing = parts.add_parser("compare", help="what became slower by more than noise")
    comparing.add_argument("before", nargs="?", help="commit; without: the two measured last")
    comparing.add_argument("after", nargs="?")
    comparing.add_argument("--all", action="store_true", help="also what stayed or became faster")
    options = parser.parse_args(arguments)
    if options.part == "run":
        return _run(options.module, options.arguments)
    return _compare(options.before, options.after, everything=options.all)


if __name__ == "__main__":
    sys.exit(main())
