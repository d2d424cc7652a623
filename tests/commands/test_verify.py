"""What a version was trained on, rebuilt: the same bits, or a refusal that says what differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import network, registry, store
from penumbra.base.refusal import Refusal
from penumbra.commands.verify import verify
from penumbra.network.se_resnet import initial_variables
from penumbra.pipeline.dataset import network_file, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.register import register

from ..network.conftest import NO_AUGMENT, SHORT, SMALL
from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


def test_the_training_matrix_of_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small_work(tmp_path / "home")
    work = replace(work, settings=replace(few_models(work.settings), evaluate=replace(work.settings.evaluate, bootstraps=20, refits=1)))
    weights = network_file(work.home, "deep1")
    weights.parent.mkdir(parents=True)
    untrained = initial_variables(SMALL, seed=0)
    network.save(network.Trained(untrained, SMALL, NO_AUGMENT, SHORT, history=(), best_epoch=0), weights)
    fuse(work)
    evaluate(work)
    register(work)
    data = read_dataset(work)
    proof = verify(work.home, "nsclc-os/1")
    assert (proof.version, proof.patients, proof.columns) == (1, int(data.training.sum()), 5 * 12)
    assert proof.sha256 == data.training_sha256 == registry.find(work.home, 1).store_digest
    assert len(proof.sha256) == 64

    trained = str(data.patients[data.training][0])
    with store.connect(work.home) as lake:  # what comes later does not reach back
        record = next(row for row in lake.rows("patients") if row["patient"] == trained)
        later = {name: value for name, value in record.items() if name not in ("commit_id", "clinical_version")} | {"time": record["time"] + 1}
        lake.write({"patients": [later]}, run="test", what="a longer follow-up")
        row = {"patient": "N999", "center": "north", "roi": "gtv", "image_version": "i1", "values": np.ones(12)}
        store.write_features(lake, "radiomics", "radiomics1", [row], features=data.blocks["gtv"].features, run="test")
        lake.compact()
        with lake.exclusively() as engine:  # no snapshot and no merged file is left but those of now
            engine.execute("CALL ducklake_expire_snapshots('lake', older_than => now()::TIMESTAMP + INTERVAL 1 DAY)")
            engine.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
    assert verify(work.home, "champion") == proof

    recorded = registry.load(work.home, "1")
    for digits, same in ((12, True), (11, False)):  # the first versions recorded the first 12 digits
        shortened = replace(recorded, entry=replace(recorded.entry, store_digest=proof.sha256[:digits]))
        monkeypatch.setattr(registry, "load", lambda *_, shortened=shortened: shortened)
        if same:
            assert verify(work.home, "1") == proof
        else:
            with pytest.raises(Refusal, match="training_matrix"):
                verify(work.home, "1")
    monkeypatch.undo()

    with store.connect(work.home) as lake:  # an alteration behind the store's back does
        lake.connection.execute("UPDATE lake.patients SET age = age + 1 WHERE patient = ? AND commit_id = 1", [trained])
    with pytest.raises(Refusal, match=r"nsclc-os/1 was trained on \w{12}, the store now holds.*\(rule training_matrix\)"):
        verify(work.home, "1")
    with store.connect(work.home) as lake:
        lake.connection.execute("DELETE FROM lake.radiomics WHERE patient = ?", [trained])
    with pytest.raises(Refusal, match="1 of 60 training patients of nsclc-os/1 are not in the store"):
        verify(work.home, "1")
