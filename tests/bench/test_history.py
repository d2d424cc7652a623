"""What a benchmark measured is kept with machine, versions and commit, and a comparison tells slower from noise."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra.bench import history
from penumbra.bench.history import Run, changes, figures_of, is_cost, keep, newest_two, read

RUN = Run("statistics", "2026-11-27T10:00:00+00:00", "aaa", history.machine(), {"numpy": "2.4"}, {"lasso_s": 1.0, "scaling_2": 1.8, "patients": 303})


def of(commit: str, figures: Mapping[str, float]) -> Run:
    return replace(RUN, commit=commit, figures=figures)


def test_a_run_is_read_as_it_was_kept_and_a_cut_off_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / ".bench" / "history.jsonl"
    keep(file, RUN)
    keep(file, of("bbb", {"lasso_s": 2.0}))
    file.write_text(file.read_text() + '{"benchmark": "statis', encoding="utf-8")
    assert read(file) == [RUN, of("bbb", {"lasso_s": 2.0})]
    assert read(tmp_path / "nothing.jsonl") == []


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("lasso_s", True),
        ("train_step_ratio_batch8", True),
        ("whole_training_seconds_cold", True),
        ("large_matrix_gb", True),
        ("lung1_speedup_cropped", False),
        ("scaling_2", False),
        ("share_of_peak", False),
        ("crowd_pages", None),
        ("gradient_error_bfloat16", None),
    ],
)
def test_a_name_says_whether_less_is_better(name: str, cost: bool | None) -> None:
    assert is_cost(name) is cost


def test_slower_is_beyond_what_one_commit_differs_from_itself() -> None:
    runs = [of("aaa", {"lasso_s": 1.0, "scaling_2": 1.8}), of("aaa", {"lasso_s": 1.3, "scaling_2": 1.75}), of("bbb", {"lasso_s": 1.25, "scaling_2": 1.2})]
    lasso, scaling = sorted(changes(runs, "aaa", "bbb"), key=lambda change: change.figure)
    assert (lasso.slower, lasso.noise, lasso.verdict) == (1.25, 1.3, "same")
    assert (round(scaling.slower, 6), scaling.noise, scaling.verdict) == (1.5, 1.1, "slower")
    assert [change.verdict for change in changes(runs, "bbb", "aaa")] == ["same", "faster"]


def test_without_repeats_a_quarter_is_noise() -> None:
    runs = [of("aaa", {"lasso_s": 1.0, "crowd_pages": 5}), of("bbb", {"lasso_s": 1.2, "crowd_pages": 1})]
    assert [(change.figure, change.noise, change.verdict) for change in changes(runs, "aaa", "bbb")] == [("lasso_s", 1.25, "same")]


def test_the_commits_measured_last_are_compared() -> None:
    assert newest_two([of("aaa", {}), of("bbb", {}), of("aaa", {}), of("ccc", {})]) == ("aaa", "ccc")
    with pytest.raises(ValueError, match="runs of two commits are needed; found aaa"):
        newest_two([RUN])


def test_a_benchmark_without_figures_is_refused() -> None:
    assert figures_of('a table\n{"a_s": 1, "name": "x", "same": true, "none": null}\n') == {"a_s": 1.0}
    with pytest.raises(ValueError, match="the last line is no JSON object: 'a table'"):
        figures_of("a table\n")


def test_run_keeps_and_compare_ends_with_three_where_something_became_slower(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "features").mkdir()
    (tmp_path / "slow.py").write_text("import json\nprint('a table')\nprint(json.dumps({'whole_s': 2.0}))\n", encoding="utf-8")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        program = (
            "import sys; from pathlib import Path; from penumbra.bench import history; history.project_root = Path.cwd; sys.exit(history.main(sys.argv[1:]))"
        )
        return subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    done = command("run", "slow")
    assert (done.returncode, done.stdout) == (0, 'a table\n{"whole_s": 2.0}\n'), done.stderr
    kept = tmp_path / history.HISTORY
    document = json.loads(kept.read_text(encoding="utf-8"))
    assert (document["benchmark"], document["figures"], document["machine"]) == ("slow", {"whole_s": 2.0}, history.machine())
    assert command("compare").returncode == 1
    lines = [json.dumps({**document, "commit": commit, "figures": {"whole_s": seconds}}) for commit, seconds in (("aaaa", 1.0), ("bbbb", 2.0))]
    kept.write_text("\n".join(lines) + "\n", encoding="utf-8")
    slower = command("compare")
    assert slower.returncode == 3
    assert "aaaa -> bbbb" in slower.stdout
    assert "figures compared: 1; 1 slower, 0 the same, 0 faster" in slower.stdout
    assert command("compare", "bb", "aa", "--all").returncode == 0
