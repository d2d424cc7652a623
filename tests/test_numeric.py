"""The runs of `make test-numeric`: which a machine can do, and that a setting which a library ignored is found."""

import os
import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

from . import numeric
from .numeric import CHECKOUT, OWN, SETS, Result, Run, possible_runs, probed, problems, table

AVX2 = next(each for each in SETS if each.name == "AVX2")
XLA = {"4": 2, "8": 201, "16": 2}
FOUND = {"processors": 1, "xla": XLA, "xla_threads": 1, "numba": ["ymm"], "openblas": ["Haswell"], "openblas_threads": [1], "numpy": ["X86_V3"]}
NATIVE = {**FOUND, "xla": {**XLA, "8": 233}, "numba": ["ymm", "zmm"], "openblas": ["SkylakeX"], "numpy": ["X86_V3", "X86_V4"]}


def test_every_run_that_a_machine_can_do_and_why_it_cannot_do_the_others() -> None:
    runs, missing = possible_runs(2, {"sse4_2", "avx2", "avx512f"})
    assert [run.name for run in runs] == [f"{threads}, {name}" for threads in ("1 thread", "2 threads") for name in ("the processor's own", "AVX2", "SSE4_2")]
    assert missing == []
    runs, missing = possible_runs(2, {"sse4_2", "avx2"})
    assert [run.name for run in runs if run.threads == 1] == ["1 thread, the processor's own", "1 thread, SSE4_2"]
    assert len(missing) == 2
    assert missing[0].startswith("1 thread, AVX2: not run, the processor has nothing beyond AVX2")
    runs, missing = possible_runs(1, set())
    assert [run.name for run in runs] == ["1 thread, the processor's own"]
    assert sum("this machine has 1 processor" in line for line in missing) == 3


@pytest.mark.parametrize(
    ("changed", "words", "wrong"),
    [
        ({}, "", []),
        ({}, "W1126 cpu_features.cc:106] Unknown CPU ISA: AVX3", ["W1126 cpu_features.cc:106] Unknown CPU ISA: AVX3"]),
        ({}, "'haswel' is not a recognized processor for this target (ignoring processor)", ["'haswel' is not a recognized processor"]),
        ({"xla": NATIVE["xla"]}, "", ["XLA makes the same code as without a limit"]),
        ({"numba": NATIVE["numba"]}, "", ["numba uses ymm, zmm"]),
        ({"openblas": NATIVE["openblas"]}, "", ["OpenBLAS uses SkylakeX"]),
        ({"openblas": []}, "", ["OpenBLAS uses"]),
        ({"numpy": NATIVE["numpy"]}, "", ["numpy uses X86_V3, X86_V4"]),
        ({"openblas_threads": [1, 2]}, "", ["OpenBLAS has [1, 2] threads, not 1"]),
        ({"processors": 2, "xla_threads": 2}, "", ["processors 2, not 1", "xla_threads 2, not 1"]),
    ],
)
def test_a_setting_that_was_not_taken_is_found(changed: dict[str, object], words: str, wrong: list[str]) -> None:
    found = problems(Run(AVX2, 1), {**FOUND, **changed}, NATIVE, words)
    assert len(found) == len(wrong)
    assert all(line.startswith(start) for line, start in zip(found, wrong, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux" or platform.machine() != "x86_64", reason="instruction sets of x86, processors as Linux gives them")
def test_the_libraries_of_today_report_a_name_that_they_ignore() -> None:
    """XLA only warns of an unknown instruction set: should its words change, a run would hold nothing to anything and be green."""
    here = sorted(os.sched_getaffinity(0))
    own, words = probed(Run(OWN, 1), here, Run(OWN, 1).environment(()))
    assert problems(Run(OWN, 1), own, own, words) == []
    misspelled = Run(replace(AVX2, environment={**AVX2.environment, "XLA_FLAGS": "--xla_cpu_max_isa=AVX3", "OPENBLAS_CORETYPE": "HASWEL"}), 1)
    taken, words = probed(misspelled, here, misspelled.environment(()))
    found = problems(misspelled, taken, own, words)
    assert any("Unknown CPU ISA: AVX3" in line for line in found)
    assert any(line.startswith("XLA makes the same code as without a limit") for line in found)


@pytest.mark.slow
def test_a_run_ends_with_a_table_and_fails_where_no_test_was_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(numeric, "prepared", lambda folder: folder / "home")  # the chosen tests ask for no cohort
    chosen = ["1 thread, the processor's own", "--", "tests/survival/test_pooling.py"]
    assert numeric.main(chosen) == 0
    assert re.search(r"1 thread, the processor's own +[1-9]\d* +0 +0 +\d+ +good", capsys.readouterr().out)
    assert numeric.main([*chosen, "-k", "no test is called so"]) == 1
    assert numeric.main(["3 threads, Z80"]) == 2


def test_every_center_is_prepared_once_for_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def penumbra(home: Path, *arguments: str) -> None:
        done.append(arguments)
        if arguments[0] == "simulate":
            for center in ("north", "south"):
                (Path(arguments[1]) / center).mkdir(parents=True)

    monkeypatch.setattr("tests.end_to_end.conftest.penumbra", penumbra)
    assert numeric.prepared(tmp_path) == tmp_path / "home"
    cohort = tmp_path / "simulated"
    ingested = [("ingest", str(cohort / center), "--center", center) for center in ("north", "south")]
    assert done == [("simulate", str(cohort)), *ingested, ("populate",)]


def test_the_table_names_what_failed_and_what_was_not_run() -> None:
    results = [Result(Run(OWN, 1), 3, (), 0, 61.0), Result(Run(AVX2, 2), 2, ("tests.network.test_train::test_x",), 1, 70.0)]
    shown = table(results, ["2 threads, SSE4_2: not run, and why"])
    assert "2 threads, AVX2: tests.network.test_train::test_x" in shown
    assert "not run, and why" in shown
    assert (results[0].good, results[1].good, Result(Run(OWN, 1), 0, (), 4, 1.0).good) == (True, False, False)


def test_what_trains_a_network_carries_the_marker() -> None:
    """A test that depends on a processor's last bits and is not marked is never run on others."""
    trains = re.compile(r"^import jax|^from penumbra\.network import .*\b(fit|fit_ensemble|pretrain|embed)\b|\brun: Run\b.*\n.*network\.load", re.MULTILINE)
    modules = [path for path in (CHECKOUT / "tests").rglob("test_*.py") if trains.search(path.read_text(encoding="utf-8"))]
    assert len(modules) >= 5
    assert [path.name for path in modules if "pytest.mark.numeric" not in path.read_text(encoding="utf-8")] == []
