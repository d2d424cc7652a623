"""What differs between two versions is listed, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from penumbra.registry import Bundle, Difference, LoadedModel, RegisteredVersion, differences

ENTRY = RegisteredVersion("nsclc-os", 1, (), "", "", "", datetime(2026, 1, 1, tzinfo=UTC), (), 0, "", "", Path())


def loaded(bundle: Bundle) -> LoadedModel:
    return LoadedModel(
        ENTRY, dict(bundle.models), bundle.served, bundle.horizons_days, dict(bundle.feature_versions), dict(bundle.settings), None, bundle.lineage
    )


def test_equal_versions_have_none(make_bundle: Callable[..., Bundle]) -> None:
    assert differences(loaded(make_bundle()), loaded(make_bundle())) == []


def test_each_aspect_is_named(make_bundle: Callable[..., Bundle]) -> None:
    first = make_bundle()
    lineage = replace(
        first.lineage,
        train_centers=("north", "east"),
        data_digests={**first.lineage.data_digests, "east": "cc" * 32},
        params={**first.lineage.params, "network.filters": 16},
    )
    combined = first.models["Combined"]
    fewer = replace(combined, inputs=combined.inputs[:2])
    second = replace(
        first,
        lineage=lineage,
        models={**first.models, "Combined": fewer},
        settings={**first.settings, "radiomics": {"binWidth": 20, "setting": {"force2D": True}}},
    )
    assert differences(loaded(first), loaded(second)) == [
        Difference("train_center", "east", "", "yes"),
        Difference("data", "east", "bb" * 32, "cc" * 32),
        Difference("param", "network.filters", "8", "16"),
        Difference("setting", "radiomics.binWidth", "25", "20"),
        Difference("setting", "radiomics.setting.force2D", "", "True"),
        Difference("feature", "deep.deep_007", "yes", ""),
    ]
