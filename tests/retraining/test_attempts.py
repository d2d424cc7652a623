"""A retraining that is killed again and again is counted; one that failed is known."""

from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal, reportable
from penumbra.retraining import attempts


class Killed(BaseException):
    """Stands for SIGKILL: nothing that the process would do afterwards is done."""


def dies(home: Path, key: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as dead, attempts.attempt(home, "east", key, step):
        dead.setattr(attempts, "write", lambda *_: None)
        raise Killed


def killed(home: Path, key: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Killed):
        dies(home, key, step, monkeypatch)


def test_kills_in_one_step_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(key: str, step: str) -> int:
        return attempts.kills(tmp_path, "east", key, step)

    assert counted("k1", "arrival") == 0
    killed(tmp_path, "k1", "arrival", monkeypatch)
    assert counted("k1", "refit") == 1, "it died in the refit, wherever it began"
    killed(tmp_path, "k1", "refit", monkeypatch)
    assert counted("k1", "refit") == 2
    assert counted("k1", "gate") == 1, "it came further"
    assert counted("k2", "refit") == 0, "another retraining"
    assert attempts.failure(tmp_path, "east", "k1") == ""
    with attempts.attempt(tmp_path, "east", "k1", "refit"):
        pass
    assert counted("k1", "refit") == 0


def test_a_failure_is_no_kill_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(tmp_path, "k1", "refit", monkeypatch)
    with pytest.raises(Refusal), attempts.attempt(tmp_path, "east", "k1", "refit"):
        raise Refusal("same_features", "v1 and v2", "penumbra run")
    assert attempts.kills(tmp_path, "east", "k1", "refit") == 1
    assert attempts.failure(tmp_path, "east", "k1").startswith("v1 and v2")
    assert attempts.failure(tmp_path, "east", "k2") == ""
    with pytest.raises(ValueError, match="Muster"), attempts.attempt(tmp_path, "east", "k1", "refit"):
        raise ValueError("no scan in /data/Muster^Erika")
    said = attempts.failure(tmp_path, "east", "k1")
    assert said.startswith("ValueError in test_attempts.py, line ")
    assert "Muster" not in said, "a folder may be named after a person"


@pytest.mark.parametrize("error", [OSError("disk"), Refusal("catalog_reached", "refused", "start the server"), KeyboardInterrupt()])
def test_what_may_pass_or_was_stopped_is_neither_kill_nor_failure(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), attempts.attempt(tmp_path, "east", "k1", "refit"):
        raise error
    assert attempts.failure(tmp_path, "east", "k1") == ""
    assert attempts.kills(tmp_path, "east", "k1", "refit") == 0


def test_of_an_error_only_kind_and_place_are_told() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 its words are what must not be told
        (Path("/nowhere") / "Doe^John").read_bytes()
    assert reportable(caught.value).startswith("FileNotFoundError in pathlib.py, line ")
    assert "Doe" not in reportable(caught.value)
    assert reportable(Refusal("a", "b", "c")) == "b. C. (rule a)"
