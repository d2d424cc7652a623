"""Answers of the reporting guidelines that depend on what was measured."""

from dataclasses import replace

import pytest

from penumbra.base.params import project_root, read_yaml
from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow
from penumbra.evaluate.instability import Instability
from penumbra.pipeline import decisions, manifests
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.fuse import fuse, load_models
from penumbra.pipeline.guidelines import guidelines
from penumbra.pipeline.manifests import DecisionManifest, EvaluateManifest
from penumbra.pipeline.workspace import Work
from penumbra.report.checks import VERDICTS, by_guideline, checklist
from penumbra.report.inputs import CenterFlow, ModelCard, StabilityCell, StabilityOfRoi

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow

CARD = ModelCard("nsclc-os", 3, ("champion",), "0123456789ab" * 5 + "cdef", ("north",), "2026-11-26", 12, "ab" * 32, "c0ffee")
FLOW = (CenterFlow("north", True, 61, (("gtv not empty", 1),), 60, 40), CenterFlow("east", False, 36, (), 36, 20))
ROW = MetricRow("Combined", TRAINING, CROSS_FITTED, "harrell_c", 0.68, 0.6, 0.76, 60, 40)
PROBAST = "PROBAST+AI"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = small_work(tmp_path_factory.mktemp("guidelines"))
    work = replace(work, settings=few_models(work.settings))
    fuse(work)
    return work


def answers(work: Work, model: str = "Combined", flow: tuple[CenterFlow, ...] = FLOW, **measured: object) -> dict[str, str]:
    """Question -> answer; of a question that is asked twice the last."""
    data = read_dataset(work)
    evaluated = EvaluateManifest(key="k", **{"metrics": (), **measured})  # type: ignore[arg-type]
    manifests.write(work.home, evaluated)
    models = load_models(work, fuse(work).key)
    items = guidelines(work, data, CARD, flow, evaluated, models[model])
    for item in items:
        if item.guideline == PROBAST:
            assert item.answer.partition(":")[0] in VERDICTS, item
            assert item.evidence, item
    return {item.question: item.answer for item in items}


def test_every_signaling_question_has_a_verdict_and_evidence(work: Work) -> None:
    before = answers(work)
    assert before["Enough patients and deaths for the candidate parameters"] == "not known: no C inside the training centers is known"
    assert before["No selection of predictors by univariate p"] == "no: Combined keeps columns with univariate p < 0.05, as the paper does"
    assert before["Overfitting, tuning and choice of model accounted for"].startswith("no")
    assert before["Stability of a person's prediction examined"].startswith("no")
    assert before["Everybody who was enrolled is analyzed"] == "no: 96 of 97; 1 were excluded, each by a rule that is counted"
    assert "60 training patients" in before["How the sample size was arrived at"]
    assert before["Model updating"].endswith("Centers that arrived: none so far")


def test_answers_follow_what_was_measured(work: Work) -> None:
    over = Instability(730.0, 20, (0.2, 0.6), (0.1, 0.5), (0.3, 0.7), (0.05, 0.15), (0.0, 0.5))
    volume = replace(ROW, metric="delta_c_volume", value=0.02, lower=-0.03, upper=0.07)
    after = answers(work, metrics=(ROW, volume), instability=over)
    tried = 12 + 12 + work.settings.network.filters[-1]
    assert after["Enough patients and deaths for the candidate parameters"].startswith(f"no: Combined tries {tried} candidate parameters, the patients carry ")
    assert after["Overfitting, tuning and choice of model accounted for"].startswith("yes")
    assert after["Compared with what is simpler"] == "yes: inside C minus volume's is +0.020 (-0.030 to +0.070)"
    assert "moves by 0.100 in the mean, and by 0.150" in after["Stability of a person's prediction examined"]
    control = answers(work, "Volume", metrics=(replace(ROW, model="Volume", value=0.75),))
    assert control["Enough patients and deaths for the candidate parameters"].startswith("yes: Volume tries 1 candidate parameter,")
    assert control["No selection of predictors by univariate p"].startswith("yes")
    assert control["Missing values handled soundly"].startswith("yes")
    alone = answers(work, flow=FLOW[:1])
    assert alone["Patients of other centers than those it was built on"] == "no: every center trained"
    everybody = answers(work, flow=(replace(FLOW[0], total=60, excluded=()),))
    assert everybody["Everybody who was enrolled is analyzed"] == "yes: all 60"
    paper = replace(work, settings=replace(work.settings, crossfit=replace(work.settings.crossfit, calibrate=False)))
    assert answers(paper)["Probabilities corrected for optimism"].startswith("no")


def test_updating_tells_what_became_of_the_centers_that_arrived(work: Work) -> None:
    decided = DecisionManifest(center="east", key="k", decision="keep", reason="Kept.", champion=1, challenger=2, comparison=())
    manifests.write(work.home, decided, decisions.manifest_of("east"))
    try:
        assert answers(work)["Model updating"].endswith("Centers that arrived: east: keep")
    finally:
        manifests.file_of(work.home, decisions.manifest_of("east")).unlink()


def test_counts_of_a_guideline() -> None:
    declared = {"A": [{"item": "x", "question": "q", "answer": answer} for answer in ("yes: {n}", "no: {n}", "not known: why", "yes: so", None)]}
    (whole,) = by_guideline(checklist(declared, {"n": 3}))
    assert (whole.answered, whole.verdicts) == (3, "")
    (questions,) = by_guideline(checklist({"A": declared["A"][:4]}, {"n": 3}))
    assert questions.verdicts == "2 yes, 1 no, 1 not known"


def test_the_block_has_both_parts_and_all_domains() -> None:
    declared = read_yaml(project_root() / "models" / "checklist.yaml")[PROBAST]
    domains = {entry["item"] for entry in declared}
    assert domains == {f"{part}, {domain}" for part in ("development", "evaluation") for domain in ("participants", "predictors", "outcome", "analysis")}


def test_robustness_is_answered_from_the_stability_that_was_measured(work: Work) -> None:
    """CLEAR's item was unanswered, though the images to answer it from were there."""
    question = "Robustness to segmentation, test-retest"
    assert answers(work)[question] == "not measured: penumbra stability"
    cells = (StabilityCell("original", "shape", 14, {"noise": 1.0}, 1.0, 1.0), StabilityCell("wavelet-HHH", "glcm", 24, {"noise": 0.1}, 0.1, 0.25))
    measured = (StabilityOfRoi("gtv", ("noise",), 30, cells), StabilityOfRoi("ring_6mm", ("noise",), 30, cells[:1]))
    model = load_models(work, fuse(work).key)["Combined"]
    items = guidelines(work, read_dataset(work), CARD, FLOW, EvaluateManifest(key="k", metrics=()), model, measured)
    item = next(item for item in items if item.question == question)
    under = "30 training patients measured again under noise: ICC(2,1) with a lower limit of at least 0.75 under all of them"
    assert item.answer == f"{under}: gtv 20 of 38; ring_6mm 14 of 14"
    assert item.evidence == "#stability"
    before = by_guideline(checklist({"CLEAR": [{"item": "features", "question": question, "answer": "not measured: x", "evidence": "#stability"}]}, {}))
    assert (before[0].answered, before[0].items[0].evidence) == (0, "")
