"""Which sets of patients a report shows, and what it says of how its models were fitted."""

from types import SimpleNamespace

from penumbra.evaluate import EXTERNAL, TRAINING, MetricRow
from penumbra.pipeline import report


def rows(*sets: tuple[str, str]) -> tuple[MetricRow, ...]:
    return tuple(MetricRow("Combined", center, split, "harrell_c", 0.6, 0.5, 0.7, 40, 20) for center, split in sets)


def test_one_external_center_is_shown_once_and_compared_with_the_papers() -> None:
    one = tuple(report.columns_of(rows(("north", "cross_fitted"), (TRAINING, "cross_fitted"), ("east", "test"), (EXTERNAL, "test"), ("north", "train"))))
    assert [(column.center, column.split, column.paper) for column in one] == [
        (TRAINING, "cross_fitted", None),
        ("east", "test", "test"),
        ("north", "train", "train"),
    ]
    assert report.sets_of_subgroups(one) == (TRAINING, "east", "north")
    two = tuple(report.columns_of(rows(("east", "test"), ("south", "test"), (EXTERNAL, "test"))))
    assert [(column.center, column.paper) for column in two] == [("east", None), ("south", None), (EXTERNAL, "test")]
    assert report.sets_of_subgroups(two) == (EXTERNAL,)


def test_what_is_said_of_several_models_is_said_once() -> None:
    def model(label: str, *remarks: str, retained: bool = True) -> SimpleNamespace:
        return SimpleNamespace(label=label, retained=retained, training=SimpleNamespace(remarks=remarks))

    age = "clinical.age is missing for 2 of 72 training patients: taken as 64.35, their median"
    stage = "clinical.overall_stage is missing for 1 of 72 training patients: taken as 3, their median"
    models = [model("Both", age, stage), model("Age and stage", age, stage), model("None", "no feature", retained=False)]
    assert list(report.remarks_of(models)) == [  # type: ignore[arg-type]
        "Age is missing for 2 of 72 training patients: taken as 64.35, their median (Both, Age and stage).",
        "Overall stage is missing for 1 of 72 training patients: taken as 3, their median (Both, Age and stage).",
    ]
