"""`penumbra drift` on a small store in which one center is moved."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ks_2samp

from penumbra import store
from penumbra.cli import main

from ..projects import project_with

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw = np.random.default_rng(0)
    people = [(f"{center[0].upper()}{i:03d}", center) for center, many in {"north": 40, "east": 30}.items() for i in range(many)]
    values = draw.standard_normal((len(people), 20))
    values[40:, 3] += 2.0
    with store.connect(tmp_path) as lake:
        lake.write(
            {"patients": [{"patient": p, "center": c, "time": 100.0 + 20 * i, "event": i % 3 > 0} for i, (p, c) in enumerate(people)]},
            run="r", what="w",
        )  # fmt: skip
        rows = [{"patient": p, "center": c, "roi": "gtv", "image_version": "i", "values": v} for (p, c), v in zip(people, values, strict=True)]
        store.write_features(lake, "radiomics", "v", rows, features=[f"f{k}" for k in range(20)], run="r")
    np.save(tmp_path / "values.npy", values)
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path))
    return tmp_path


def test_the_moved_feature_is_found(home: Path) -> None:
    shown = CliRunner().invoke(main, ["drift", "east"])
    assert shown.exit_code == 0, shown.output
    assert "log-rank p" in shown.output
    found = json.loads(CliRunner().invoke(main, ["drift", "east", "--format", "json"]).stdout)
    assert (len(found), found[0]["feature"]) == (20, "f3")
    values = np.load(home / "values.npy")
    assert found[0]["ks"] == pytest.approx(ks_2samp(values[:40, 3], values[40:, 3]).statistic, abs=1e-12)
    assert found[0]["q"] < 1e-6 < 0.05 < min(row["q"] for row in found[1:])


def test_statistics_by_sql_are_numpys(home: Path) -> None:
    row = store.query(home, "SELECT * FROM feature_statistics WHERE center = 'east' AND feature = 'f3'").to_pylist()[0]
    values = np.load(home / "values.npy")[40:, 3]
    told = [row[name] for name in ("min", "q05", "q25", "median", "q75", "q95", "max")]
    assert told == pytest.approx(np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist(), rel=1e-12)
    assert (row["n"], row["missing"], row["mean"], row["sd"]) == (30, 0, pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)))


def test_an_unknown_center(home: Path) -> None:
    refused = CliRunner().invoke(main, ["drift", "west"])
    assert refused.exit_code == 1
    assert "no features of 'west'" in refused.output


def test_survival_is_compared_at_a_day_that_is_named_and_not_beyond_the_follow_up(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that is not a whole year was called 0.493 years."""
    assert "alive after 2 years" in " ".join(CliRunner().invoke(main, ["drift", "east"]).output.split())
    (tmp_path / "other").mkdir()
    project_with(tmp_path / "other", monkeypatch, lambda text: text.replace("horizon_days: 730.0", "horizon_days: 1000.0"))
    shown = " ".join(CliRunner().invoke(main, ["drift", "east"]).output.split())
    assert "followed to day 880 of 1000" in shown, "the training patients have no survival there"
    assert "1000 days" in shown
