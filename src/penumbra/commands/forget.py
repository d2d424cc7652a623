"""`penumbra forget`: a patient who withdraws, out of the store and of every file of the state folder."""

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra import store
from penumbra.base import tables
from penumbra.base.whole_files import write_whole
from penumbra.pipeline.workspace import Work
from penumbra.report import site

REBUILT = {"reports": 2, "gallery": 2, "crossfitted": 2, "stability": 4, "console": 3}  # folders whose entries, so deep, can be made again without the patient
EXEMPT_FOLDERS = ("incoming", "store")  # links to what the centers keep; and what store.forget takes care of


@dataclass(frozen=True)
class Forgotten:
    """What was removed of a patient, and what is left to do.

    Parameters
    ----------
    traces
        Of the store.
    removed
        Files and folders, relative to the state folder.
    remains
        Files of other programs that still name the patient.
    source
        The center's own folder still has the patient.
    bucket
        Where the store's files are, on object storage; None: in its folder.
    """

    traces: store.Traces
    removed: tuple[str, ...]
    remains: tuple[str, ...]
    source: bool
    bucket: str | None


def traces(work: Work, patient: str, center: str | None = None) -> store.Traces:
    """What would be forgotten; changes nothing.

    Parameters
    ----------
    center
        Whose patient; None: the only center that the name is known from.

    Raises
    ------
    Refusal
        "patient_stored", "patient_of_one_center".
    """
    with store.connect(work.home, read_only=True) as lake:
        return store.traces(lake, patient, center)


def finish(work: Work) -> bool:
    """Complete a forgetting that was killed; whether there was one."""
    store.require(work.home)  # which must not be made by asking
    with store.connect(work.home) as lake:
        if not store.unfinished(lake):
            return False
        store.purge(lake, run=work.run)
        return True


def forget(work: Work, patient: str, center: str | None = None, reason: str | None = None) -> Forgotten:
    """Remove a patient from files first and from the store last, so that after a kill the same command finds the rest.

    Raises
    ------
    Refusal
        "patient_stored", "patient_of_one_center".
    """
    home = work.home
    with store.connect(home) as lake:
        traces = store.traces(lake, patient, center)
        removed = [*_images(home, patient, traces.center), *_manifests(home, patient), *_rebuilt(home, patient)]
        store.forget(lake, patient, traces.center, run=work.run, reason=reason)
        bucket = lake.lake.files
    site.link(home)
    remains = [path.relative_to(home).as_posix() for path in _naming(home, patient) if path.relative_to(home).parts[0] not in EXEMPT_FOLDERS]
    source = any((folder / patient).exists() for folder in (home / "incoming").glob(traces.center or "*"))
    return Forgotten(traces, tuple(removed), tuple(remains), source, bucket)


def _images(home: Path, patient: str, of: str | None) -> Iterator[str]:
    for center in sorted((home / "images").glob(of or "*")):
        folder = center / patient
        if folder.parent == center and folder.is_dir():
            shutil.rmtree(folder)
            yield folder.relative_to(home).as_posix()


def _manifests(home: Path, patient: str) -> Iterator[str]:
    """Stages leave lists of patients for the next one; without the patient, the next run does what depends on it again."""
    for path in sorted((home / "manifests").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        without = _without(content, patient)
        if without != content:
            write_whole(path, json.dumps(without, sort_keys=True, indent=1, allow_nan=False) + "\n")
            yield path.relative_to(home).as_posix()


def _without(value: Any, patient: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(entry, patient) for key, entry in value.items() if key != patient and entry != patient}
    if isinstance(value, list):
        return [_without(entry, patient) for entry in value if entry != patient and not (isinstance(entry, dict) and entry.get("patient") == patient)]
    return value


def _rebuilt(home: Path, patient: str) -> Iterator[str]:
    for folder in {home.joinpath(*path.relative_to(home).parts[:depth]) for name, depth in REBUILT.items() for path in _naming(home / name, patient)}:
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        yield folder.relative_to(home).as_posix()


def _naming(folder: Path, patient: str) -> Iterator[Path]:
    """Files whose path or bytes hold the patient's name as a word, also as numpy writes text."""
    words = [re.escape(patient.encode(code)) for code in ("utf-8", "utf-32-le")]
    pattern = re.compile(rb"(?<![A-Za-z0-9_])(?:" + b"|".join(words) + rb")(?![A-Za-z0-9_])")
    for path in sorted(folder.rglob("*")):  # links to the centers' folders are not followed
        if path.is_file() and not path.is_symlink() and (pattern.search(path.name.encode()) or pattern.search(_readable(path))):
            yield path


def _readable(path: Path) -> bytes:
    """What a file says; nothing of an image, whose compressed voxels hold any short name by chance, and which has no text of its own."""
    if path.name.endswith(".nii.gz"):
        return b""
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):  # not whole, or no archive: its bytes say what they say
        return content


def listing(traces: store.Traces) -> str:
    """What would be forgotten, for a person to agree to."""
    lines = [("stored rows", ", ".join(f"{relation} {rows}" for relation, rows in traces.rows.items()))]
    lines += [(f"used by {label}", split) for label, split in traces.uses]
    lines += [(f"scored by {label}", "prediction") for label in traces.predictions]
    return tables.render([f"patient {traces.patient}", f"center {traces.center or '-'}"], lines)


def held(traces: store.Traces) -> list[dict[str, Any]]:
    """The same for other programs, one row per relation or version that holds the patient."""
    common = {"patient": traces.patient, "center": traces.center}
    records = [{**common, "held_by": relation, "as": "rows", "rows": rows} for relation, rows in traces.rows.items()]
    records += [{**common, "held_by": label, "as": split, "rows": None} for label, split in traces.uses]
    return records + [{**common, "held_by": label, "as": "prediction", "rows": None} for label in traces.predictions]


def summary(forgotten: Forgotten) -> str:
    """What was removed, and what is left to do."""
    traces = forgotten.traces
    lines = [
        f"forgotten: {sum(traces.rows.values())} rows in every commit, {len(forgotten.removed)} files and folders ({', '.join(forgotten.removed) or 'none'})"
    ]
    if traces.trained:
        lines.append(f"to retrain: {', '.join(traces.trained)} learned from the patient and cannot be rebuilt any more")
    if forgotten.remains:
        lines.append(f"still named in: {', '.join(forgotten.remains)}; remove these by hand")
    if forgotten.source:
        lines.append(f"the folder of center {traces.center} in incoming/ still has the patient: remove it there, or the next ingest brings it back")
    if forgotten.bucket:
        lines.append(
            f"the objects of {forgotten.bucket} that held the patient are removed; a bucket that keeps versions or copies keeps them: remove those there"
        )
    return "\n".join(lines)


def foresee(work: Work, patient: str, center: str | None = None) -> list[tuple[str, str]]:
    """What `forget` would do; changes nothing.

    Raises
    ------
    Refusal
        "patient_stored", "patient_of_one_center".
    """
    trace = traces(work, patient, center)
    facts = [("patient", f"{patient} of {trace.center or '-'}"), ("rows", ", ".join(f"{relation} {rows}" for relation, rows in trace.rows.items()))]
    facts += [("files", "images, and every report and refit that names the patient; these are made again without")]
    if trace.trained:
        facts.append(("learned from", f"{', '.join(trace.trained)}: to retrain, and no longer to be rebuilt"))
    if trace.predictions:
        facts.append(("scored by", ", ".join(trace.predictions)))
    return [*facts, ("cannot be undone", "every commit, snapshot and file loses the patient; who saw the patient stays in the log, as a digest")]
