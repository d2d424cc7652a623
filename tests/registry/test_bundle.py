"""The bundle's digest names what scores a patient and nothing else; altered files are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.registry import Bundle, verify
from penumbra.registry.bundle import network_path, read_lineage, read_manifest, read_models, read_settings, write_bundle


def test_what_was_written_is_read(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle()
    digest = write_bundle(bundle, tmp_path / "bundle")
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest["digest"] == digest
    assert manifest["served"] == "Combined"
    assert manifest["horizons_days"] == [365.25, 730.5, 1095.75]
    assert manifest["feature_versions"] == {"gtv": "0123456789ab"}
    assert read_models(tmp_path / "bundle") == bundle.models
    assert read_settings(tmp_path / "bundle") == bundle.settings
    assert read_lineage(tmp_path / "bundle") == bundle.lineage


def test_digest_changes_with_content_alone(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    digest = write_bundle(make_bundle(), tmp_path / "a")
    assert write_bundle(make_bundle(), tmp_path / "b") == digest
    assert write_bundle(make_bundle(code_commit="another"), tmp_path / "c") == digest, "lineage is not part of it"
    assert write_bundle(make_bundle(0.6), tmp_path / "d") != digest
    assert write_bundle(make_bundle(served="Volume"), tmp_path / "e") != digest
    assert write_bundle(replace(make_bundle(), settings={"radiomics": {"binWidth": 24}}), tmp_path / "f") != digest
    assert write_bundle(replace(make_bundle(), feature_versions={"gtv": "ba9876543210"}), tmp_path / "g") != digest
    assert write_bundle(replace(make_bundle(), network=None), tmp_path / "h") != digest


def test_a_network_of_several_files_is_kept_as_a_folder(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    single = make_bundle()
    write_bundle(single, tmp_path / "single")
    assert network_path(tmp_path / "single") == tmp_path / "single/network/weights.safetensors"
    (tmp_path / "several").mkdir()
    (tmp_path / "several/a.json").write_text("{}")
    write_bundle(replace(single, network=tmp_path / "several"), tmp_path / "folder")
    assert network_path(tmp_path / "folder") == tmp_path / "folder/network"
    write_bundle(replace(single, network=None), tmp_path / "without")
    assert network_path(tmp_path / "without") is None


def test_served_model_must_be_there(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="served model 'rad' is not among the models of the bundle: Combined, Volume"):
        write_bundle(make_bundle(served="rad"), tmp_path / "bundle")


def test_a_model_without_features_is_not_registered(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle()
    empty = replace(bundle.models["Combined"], inputs=())
    with pytest.raises(Refusal, match=r"Combined retained no feature: .*\. There is nothing to register.*\(rule model_scores\)"):
        write_bundle(replace(bundle, models={"Combined": empty}), tmp_path / "bundle")


@pytest.mark.parametrize("name", ["models/Combined.json", "network/weights.safetensors", "settings/rois.json", "lineage.json"])
def test_an_altered_file_is_named(make_bundle: Callable[..., Bundle], tmp_path: Path, name: str) -> None:
    digest = write_bundle(make_bundle(), tmp_path / "bundle")
    verify(tmp_path / "bundle", digest)
    path = tmp_path / "bundle" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Refusal, match=rf"{name} not as registered.*\(rule bundle_unchanged\)"):
        verify(tmp_path / "bundle", digest)


def test_missing_added_and_forged_files_are_named(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    digest = write_bundle(make_bundle(), tmp_path / "bundle")
    (tmp_path / "bundle/models/Volume.json").unlink()
    (tmp_path / "bundle/models/extra.json").write_text("{}")
    with pytest.raises(Refusal, match=r"models/Volume\.json, models/extra\.json not as registered"):
        verify(tmp_path / "bundle", digest)
    forged = write_bundle(make_bundle(0.9), tmp_path / "forged")
    verify(tmp_path / "forged", forged)
    with pytest.raises(Refusal, match=r"manifest\.json not as registered"):
        verify(tmp_path / "forged", digest)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no manifest\.json.*\(rule bundle_readable\)"):
        read_manifest(tmp_path)
