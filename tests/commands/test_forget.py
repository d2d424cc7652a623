"""`penumbra forget`, on a small state folder with the files that stages leave."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from penumbra import store
from penumbra.cli import main

from ..store.conftest import fill

pytestmark = pytest.mark.slow

GONE, KEPT = "N000", "N0001"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    fill(home)
    files = {
        f"images/north/{GONE}/i1/image.nii.gz": "x",
        f"images/north/{KEPT}/i1/image.nii.gz": f"voxels that read as {GONE} by chance",
        "manifests/populate.json": json.dumps({"patients": [GONE, KEPT], "refused": {GONE: 1}, "n": [{"patient": GONE}], "version": "v"}),
        "manifests/fuse.json": json.dumps({"model": "m"}),
        "reports/nsclc-os-1/index.html": f"<td>{GONE}</td>",
        "reports/nsclc-os-0/index.html": f"<td>{KEPT}</td>",
        "prefect/log.txt": f"populate {GONE} took 3 s",
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / "crossfitted" / "k").mkdir(parents=True)
    np.savez(home / "crossfitted" / "k" / "fold-0.npz", patients=np.array([KEPT, GONE]))
    source = tmp_path / "cohort" / "north"
    (source / GONE).mkdir(parents=True)
    (home / "incoming").mkdir()
    (home / "incoming" / "north").symlink_to(source)
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    return home


def penumbra(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=typed)


def test_forget_asks_and_then_leaves_no_file(home: Path) -> None:
    before = {path for path in home.rglob("*") if path.is_file()}
    refused = penumbra("forget", GONE, typed="n\n")
    assert refused.exit_code == 1
    assert "used by nsclc-os/1" in refused.output
    assert before <= {path for path in home.rglob("*") if path.is_file()}

    listed = penumbra("forget", GONE, "--format", "json", typed="n\n")
    held = {(row["held_by"], row["as"]): row["rows"] for row in json.loads(listed.stdout.splitlines()[0])}
    assert held["patients", "rows"] == 1
    assert ("nsclc-os/1", "train") in held

    done = penumbra("forget", GONE, "--reason", "consent withdrawn", typed="y\n")
    assert done.exit_code == 0, done.output
    assert "to retrain: nsclc-os/1" in done.output
    assert "still named in: prefect/log.txt; remove" in done.output, "and not another patient's voxels"
    assert "center north in incoming/ still has the patient" in done.output
    left = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert f"images/north/{KEPT}/i1/image.nii.gz" in left
    assert "reports/nsclc-os-0/index.html" in left
    assert not left & {f"images/north/{GONE}/i1/image.nii.gz", "reports/nsclc-os-1/index.html", "crossfitted/k/fold-0.npz"}
    assert json.loads((home / "manifests/populate.json").read_text()) == {"patients": [KEPT], "refused": {}, "n": [], "version": "v"}
    assert store.query(home, "SELECT reason FROM withdrawals").to_pylist() == [{"reason": "consent withdrawn"}]

    again = penumbra("forget", GONE, "--yes")
    assert again.exit_code == 1
    assert "no patient 'N000' in the store" in again.output
    assert "Nothing to complete" in penumbra("forget").output
