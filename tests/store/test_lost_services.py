"""PostgreSQL or object storage that goes away at any moment of a write, a read or a compaction: one sentence, nothing half done, and the same call goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal

from ..services import Services
from .catalogs import PROGRAMS
from .conftest import image, patients

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("objects"),
    pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed here (apt-get install postgresql; .ci/run does it)"),
]
SHARES = {"postgres": (0.1, 0.4, 0.7, 0.95), "objects": (0.2, 0.8)}  # of what is sent to it; the engine asks objects three times
RULES = {"postgres": "catalog_reached", "objects": "files_reached"}


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as started:
        yield started


def work(home: Path) -> None:
    """What a stage does with the store: look, write, look, compact."""
    with store.connect(home) as lake:
        lake.rows("patients")
        for row in patients()[:3]:
            lake.write({"patients": [row], "images": [image(str(row["patient"]), str(row["center"]))]}, run="r", what="w")
        assert len(lake.rows("images")) == 3
        lake.compact()
        assert len(lake.rows("patients")) == 3


@pytest.mark.parametrize("which", RULES)
def test_lost_at_any_moment(which: str, services: Services, tmp_path: Path) -> None:
    services.clear()
    services.save(which)
    services.count()
    work(tmp_path / "undisturbed")
    services.note(which)
    with store.connect(tmp_path / "undisturbed", read_only=True) as lake:
        digests = [store.digest(lake, name) for name in ("patients", "images")]
    for share in SHARES[which]:
        services.restore(which)
        home = tmp_path / f"{share:.2f}"
        assert services.cut(which, which, share) is not None
        with pytest.raises(Refusal) as refusal:
            work(home)
        assert refusal.value.rule == RULES[which], share
        assert "\n" not in str(refusal.value)
        services.back(which)
        work(home)
        with store.connect(home, read_only=True) as lake:
            assert [store.digest(lake, name) for name in ("patients", "images")] == digests
            assert store.check(lake) == []
