"""params.yaml enters through frozen dataclasses that refuse what does not fit."""

from dataclasses import asdict, dataclass

import pytest

from penumbra.params import ParamsError, build, project_root, read_yaml, resolve


@dataclass(frozen=True)
class Inner:
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    epochs: int
    rate: float
    centers: tuple[str, ...]
    limits: Inner
    label: str | None = None


GOOD = {"epochs": 3, "rate": 1, "centers": ["north", "east"], "limits": {"low": 0, "high": 2.5}}


def test_a_group_becomes_a_dataclass_with_tuples_and_floats() -> None:
    group = build(Group, GOOD, "train")
    assert group == Group(3, 1.0, ("north", "east"), Inner(0.0, 2.5))
    assert isinstance(group.rate, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown parameter train.epoch; known: centers, epochs, label, limits, rate"),
        ({"epochs": "3"}, "train.epochs is '3', which is not of type int"),
        ({"epochs": True}, "train.epochs is True, which is not of type int"),
        ({"epochs": 3.5}, "train.epochs is 3.5, which is not of type int"),
        ({"centers": "north"}, "train.centers is 'north'"),
        ({"limits": {"low": 0, "hihg": 1}}, "unknown parameter train.limits.hihg; known: high, low"),
        ({"limits": {"low": 0}}, "parameter train.limits.high is missing"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError) as error:
        build(Group, GOOD | change, "train")
    assert message in str(error.value)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ParamsError, match=r"parameter train\.rate is missing"):
        build(Group, {name: value for name, value in GOOD.items() if name != "rate"}, "train")


def test_profile_mappings_resolve_at_any_depth() -> None:
    values = {"epochs": {"paper": 100, "quick": 12}, "head": [{"paper": 512, "quick": 8}], "se": True}
    assert resolve(values, "paper") == {"epochs": 100, "head": [512], "se": True}
    assert resolve(values, "quick") == {"epochs": 12, "head": [8], "se": True}
    with pytest.raises(ParamsError, match="no value for profile 'paper'"):
        resolve({"epochs": {"quick": 12}}, "paper")


def test_the_project_s_own_params_are_found() -> None:
    assert read_yaml(project_root() / "params.yaml")["profile"] == "quick"


def test_the_zone_of_the_schedules_is_one_that_exists() -> None:
    """Schedules without a zone mean another hour on another machine."""
    from penumbra.settings import Serve, load_settings

    values = asdict(load_settings().serve)
    assert values["timezone"] == "UTC"
    assert build(Serve, values | {"timezone": "Europe/Amsterdam"}, "serve").timezone == "Europe/Amsterdam"
    assert build(Serve, {name: value for name, value in values.items() if name != "timezone"}, "serve").timezone == "UTC"
    for wrong in ("Mars/Olympus", "", "../etc/passwd", "CEST+9x"):
        with pytest.raises(ParamsError, match=r"serve\.timezone is .* is not an IANA time zone; use a name such as"):
            build(Serve, values | {"timezone": wrong}, "serve")
