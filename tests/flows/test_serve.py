"""What the watch makes of trouble: where nothing has arrived it waits, and everything else is reported."""

from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.flows.serve import Watch
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.retraining import protocol


def test_only_the_lack_of_a_center_or_of_a_champion_is_waited_for_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(Work(tmp_path, load_settings("quick"), "test"), lambda center: True)
    assert watch.look() == []
    (tmp_path / "incoming" / "east").mkdir(parents=True)
    (tmp_path / "incoming" / "east" / "clinical.csv").touch()
    assert watch.look() == [], "there is no champion"

    def damaged(work: Work) -> list[str]:
        raise Refusal("store_damaged", "the store's catalog cannot be read", "bring back a back-up")

    monkeypatch.setattr(protocol, "waiting", damaged)
    with pytest.raises(Refusal, match="store_damaged"):
        watch.look()
