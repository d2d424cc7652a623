"""What the data can carry, from a home: the training patients, doctor's line, and the section of a center that arrives."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from penumbra.commands import doctor
from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow, Verdict
from penumbra.evaluate.chosen import Choice
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.manifests import EvaluateManifest, PopulateManifest
from penumbra.pipeline.sample_size import block_sizes, demands_of, sample_of
from penumbra.pipeline.workspace import Work
from penumbra.retraining import decision_page
from penumbra.retraining.outcome import Outcome

from ..small_run import small_work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return small_work(tmp_path_factory.mktemp("carried"))


def test_the_training_patients_are_those_of_the_dataset(work: Work) -> None:
    data = read_dataset(work)
    sample = sample_of(work.home, work.settings)
    assert (sample.patients, sample.deaths) == (data.training.sum(), data.event[data.training].sum())
    assert sample_of(work.home, work.settings, ["east", "south"]).patients == 60
    populated = manifests.read(work.home, PopulateManifest)
    manifests.write(work.home, replace(populated, refused=("N000",)))
    assert sample_of(work.home, work.settings).patients == sample.patients - 1
    manifests.write(work.home, populated)


def test_blocks_are_counted_as_they_were_computed(work: Work, tmp_path: Path) -> None:
    assert block_sizes(work.home, work.settings)["ring_6mm"] == 12
    assert block_sizes(tmp_path, work.settings)["ring_6mm"] == 1316, "before any was computed"


def test_before_and_after_a_fit(work: Work) -> None:
    (finding,) = doctor.examine(work.home, "sample size")
    assert finding.ok
    assert "60 training patients" in finding.found
    assert "no C inside is known yet" in finding.found
    row = MetricRow("Volume", TRAINING, CROSS_FITTED, "harrell_c", 0.65, math.nan, math.nan, 60, 40)
    choice = Choice("Volume", "volume only: nothing beat it", (), "", "", ())
    manifests.write(work.home, EvaluateManifest(key="k", metrics=(row,), choice=choice))
    (finding,) = doctor.examine(work.home, "sample size")
    assert "at C 0.65 (the highest inside, of Volume)" in finding.found
    assert "Volume tries 1 column" in finding.found
    manifests.file_of(work.home, "evaluate").unlink()


def test_with_this_center(work: Work) -> None:
    champion = SimpleNamespace(lineage=SimpleNamespace(train_centers=("north",)))

    def page(center: str) -> str:
        return decision_page.write_page(work, champion, center, "key", "Kept.", Outcome(Verdict("keep", "Kept."))).read_text(encoding="utf-8")  # type: ignore[arg-type]

    before, after = sample_of(work.home, work.settings, ["north"]), sample_of(work.home, work.settings, ["north", "east"])
    text = page("east")
    assert f"{before.allowed(0.6):.1f} -&gt; {after.allowed(0.6):.1f} at C 0.60" in text
    assert text.index("What the data can carry") > text.index("Step by step")
    assert "east, north</th>" in text
    assert "What the data can carry" not in page("north"), "it trained before"
    assert demands_of(work.home, work.settings, after)[0].c != demands_of(work.home, work.settings, after)[0].c
