"""What was written with a name that has changed since is read as it was meant."""

from pathlib import Path

import pytest

from penumbra.base.params import ParamsError, read_yaml
from penumbra.pipeline.settings import load_settings
from penumbra.registry.older_names import PARAMETERS, with_older_names, with_today_names

from ..projects import project_with


def with_older(text: str) -> str:
    for new, old in PARAMETERS.items():
        assert f"  {new.split('.')[1]}:" in text
        text = text.replace(f"  {new.split('.')[1]}:", f"  {old.split('.')[1]}:")
    return text


def test_a_parameter_file_with_the_older_names_gives_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = load_settings()
    project_with(tmp_path, monkeypatch, with_older)
    assert load_settings() == today


def test_both_names_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_with(tmp_path, monkeypatch, lambda text: text.replace("  max_kills:", "  most_kills: 3\n  max_kills:"))
    with pytest.raises(ParamsError, match="most_kills"):
        load_settings()


def test_keys_are_made_from_the_first_names() -> None:
    assert with_older_names({"retrain": {"max_rejected": 0.5, "min_events": 5}, "serve": {"cron": ""}}) == {
        "retrain": {"most_rejected": 0.5, "min_events": 5},
        "serve": {"cron": ""},
    }
    declared = read_yaml(Path(__file__).resolve().parents[2] / "params.yaml")
    assert with_today_names(with_older_names(declared)) == dict(declared)
