"""Features of images and masks that are in no store: what PyRadiomics' own command does, with its arguments and columns."""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penumbra.base import workers
from penumbra.base.params import ParamsError
from penumbra.base.progress import track
from penumbra.base.refusal import Refusal

FORMS = ("txt", "csv", "json", "parquet")
PATHS = ("absolute", "relative", "basename")
LISTS = frozenset({"resampledPixelSpacing", "distances", "resegmentRange", "sigma"})  # settings of several numbers, as in resegmentRange:-3,3
REQUIRED = ("Image", "Mask")


@dataclass(frozen=True)
class How:
    """What is measured: a parameter file or None, settings that override it, and the engine."""

    params: Path | None
    settings: tuple[tuple[str, Any], ...]
    engine: str


@dataclass(frozen=True)
class Measured:
    """A case's own columns with its features behind them, or with the reason why there are none."""

    row: Mapping[str, Any]
    refused: str = ""


def cases(image: Path, mask: Path | None) -> list[dict[str, str]]:
    """List the cases: one of an image and its mask, or those of a CSV file with columns Image and Mask and, where wanted, Label and Label_channel.

    Raises
    ------
    Refusal
        "extract_cases" with the line of the file.
    """
    if mask is not None:
        return [{"Image": str(image.absolute()), "Mask": str(mask.absolute())}]
    advice = "Give penumbra extract IMAGE MASK, or a CSV file with columns Image and Mask"
    if image.suffix.casefold() != ".csv":
        raise Refusal("extract_cases", "there is an image without a mask", advice)
    try:
        reader = csv.DictReader(io.StringIO(image.read_text(encoding="utf-8-sig")))
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal("extract_cases", f"{image.name} is no CSV file in UTF-8", advice) from error
    lacking = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if lacking or not rows:
        raise Refusal("extract_cases", f"{image.name} has {f'no column {lacking[0]}' if lacking else 'no row below its header'}", advice)
    listed = []
    for line, row in rows:
        if None in row or not all(row[name] for name in REQUIRED):
            raise Refusal("extract_cases", f"line {line} of {image.name} has {'more cells than the header' if None in row else 'no image or no mask'}", advice)
        cells = {name: value for name, value in row.items() if value is not None}
        listed.append({**cells, **{name: str(Path(os.path.abspath(image.parent / row[name]))) for name in REQUIRED}})  # noqa: PTH100 - keeps links as they are
    return listed


def overrides(settings: Sequence[str], label: int | None) -> tuple[tuple[str, Any], ...]:
    """Read settings given as NAME:VALUE; several numbers are joined by commas."""
    read: dict[str, Any] = {}
    for each in settings:
        name, colon, text = each.partition(":")
        if not colon or not name or not text:
            raise ParamsError("features_declared", f"--setting {each} is not NAME:VALUE", "Write it as in --setting binWidth:25")
        try:
            read[name] = yaml.safe_load(f"[{text}]" if name in LISTS else text)
        except yaml.YAMLError as error:
            raise ParamsError("features_declared", f"--setting {each} has no value that can be read", "Write it as in --setting binWidth:25") from error
    return tuple({**read, **({} if label is None else {"label": label})}.items())


def measure(listed: Sequence[Mapping[str, str]], how: How, jobs: int) -> Iterator[tuple[int, Measured]]:
    """Measure every case, in up to `jobs` processes; each with its place, as they finish.

    Raises
    ------
    ParamsError
        Before the first case, for settings that no case could be measured with.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads wait for each other longer than they compute
    from penumbra.radiomics.extractor import FeatureExtractor

    FeatureExtractor(how.params, engine=how.engine, **dict(how.settings))
    numbered = [_Case(place, tuple(case.items()), how) for place, case in enumerate(listed)]
    with track("extracting", len(listed)) as advance:
        for case, result in _each(numbered, min(jobs, len(listed))):
            advance()
            yield case.place, Measured(dict(case.columns), str(result)) if isinstance(result, Refusal) else Measured({**dict(case.columns), **result})


def faults(listed: Sequence[Mapping[str, str]], how: How) -> list[str]:
    """Name the cases whose files are not there, by number; settings are looked at first.

    Raises
    ------
    ParamsError
        For settings that no case could be measured with.
    """
    from penumbra.radiomics.extractor import FeatureExtractor

    FeatureExtractor(how.params, engine=how.engine, **dict(how.settings))
    lacking = [(place, [name.casefold() for name in REQUIRED if not Path(case[name]).is_file()]) for place, case in enumerate(listed, start=1)]
    return [f"case {place}: there is no file at the path given as {' and '.join(names)}" for place, names in lacking if names]


def feature_maps() -> ParamsError:
    """Say where feature maps are, since this command has none."""
    advice = 'In Python: penumbra.radiomics.FeatureExtractor(..., engine="pyradiomics").execute(image, mask, voxelBased=True)'
    return ParamsError("features_declared", "penumbra extract makes no feature maps (--mode voxel)", advice)


def with_values(measured: Sequence[Measured]) -> list[Measured]:
    """Leave out of each case the features that are NaN."""
    return [Measured({name: value for name, value in each.row.items() if not _is_nan(value)}, each.refused) for each in measured]


def text(measured: Sequence[Measured], form: str, paths: str) -> bytes:
    """Write what was measured in one of FORMS, in the order of the cases.

    Parameters
    ----------
    paths
        "absolute", "relative" to this folder, or "basename": how files are named.
    """
    rows = [_named(each.row, paths) for each in measured]
    first = next((row for row, each in zip(rows, measured, strict=True) if not each.refused), rows[0])
    header = list(dict.fromkeys((*first, *(name for row in rows for name in row))))
    if form == "json":
        return (json.dumps([{name: _json(value) for name, value in row.items()} for row in rows], indent=2) + "\n").encode()
    if form == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        columns = {name: [_cell(row.get(name)) for row in rows] for name in header}
        buffer = io.BytesIO()
        parquet.write_table(pa.table(columns), buffer)
        return buffer.getvalue()
    stream = io.StringIO()
    if form == "csv":
        writer = csv.DictWriter(stream, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        stream.writelines(f"Case-{place}_{name}: {value}\n" for place, row in enumerate(rows, start=1) for name, value in row.items())
    return stream.getvalue().encode()


@dataclass(frozen=True)
class _Case:
    place: int
    columns: tuple[tuple[str, str], ...]
    how: How


def _each(numbered: Sequence[_Case], jobs: int) -> Iterator[tuple[_Case, dict[str, Any] | Refusal]]:
    if jobs > 1:
        yield from workers.over(_one, numbered, jobs)
        return
    for case in numbered:
        try:
            yield case, _one(case)
        except Refusal as refusal:
            yield case, refusal


def _one(case: _Case) -> dict[str, Any]:
    from penumbra.radiomics.extractor import FeatureExtractor

    columns = dict(case.columns)
    label, channel = _whole_number(columns, "Label"), _whole_number(columns, "Label_channel")
    extractor = FeatureExtractor(case.how.params, engine=case.how.engine, **dict(case.how.settings))
    try:
        return extractor.execute(columns["Image"], columns["Mask"], label, channel)
    except (ValueError, RuntimeError) as error:  # of PyRadiomics, and of SimpleITK below it
        if case.how.engine == "penumbra":
            raise
        raise Refusal("pyradiomics", " ".join(str(error).split()), "PyRadiomics does not measure this ROI") from error


def _whole_number(columns: Mapping[str, str], name: str) -> int | None:
    cell = columns.get(name, "").strip()
    try:
        return int(cell) if cell else None
    except ValueError as error:
        raise Refusal("mask_label", f"{name} is no whole number", "Correct the cell, or leave it empty") from error


def _named(row: Mapping[str, Any], paths: str) -> dict[str, Any]:
    def shown(path: str) -> str:
        return path if paths == "absolute" else os.path.relpath(path) if paths == "relative" else Path(path).name

    return {name: shown(value) if name in REQUIRED else value for name, value in row.items()}


def _is_nan(value: Any) -> bool:
    return hasattr(value, "__float__") and math.isnan(float(value))


def _cell(value: Any) -> Any:
    number = value.item() if hasattr(value, "item") else value
    return number if number is None or isinstance(number, str | int | float) else str(number)


def _json(value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
