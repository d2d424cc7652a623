"""Which centers have arrived: the links in incoming/, the cohorts they belong to, and a manifest with the hash of every file in them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from penumbra.base import project
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal, choose, nearest
from penumbra.base.whole_files import whole_file, write_whole
from penumbra.base.yaml_files import wrong
from penumbra.cohort import CLINICAL_FILE, clinical_table
from penumbra.cohort.links import Roots, cohort_of, roots_of, walk
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import ArrivalManifest, ArrivedFiles

INCOMING = "incoming"
COHORTS = ".cohorts.json"  # below manifests/: every cohort that ever arrived here
SURELY = 0.75  # share of letters from which a center that is not there is taken for another one, misspelled
CENTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]*")


def center_folders(home: Path) -> dict[str, Path]:
    """Center name -> its folder, for every center in incoming/, in the order of their names.

    Raises
    ------
    Refusal
        "a_center_has_arrived" when there is none.
    """
    incoming = home / INCOMING
    folders = _centers_in(incoming) if incoming.is_dir() else {}
    if not folders:
        raise Refusal("a_center_has_arrived", "no center folder in incoming/", "use penumbra run --cohort DIR, or penumbra ingest DIR --center NAME")
    return folders


def take_cohort(home: Path, cohort: Path) -> None:
    """Make the centers of the folder `cohort` (one subfolder each) the centers in incoming/, as links; links to earlier cohorts go.

    A cohort that cannot be one leaves incoming/ as it is.

    Raises
    ------
    Refusal
        "cohort_has_centers" when no subfolder of `cohort` holds a clinical table, "center_name", or "incoming_is_free" when incoming/ holds real folders
        of its own.
    """
    folders = cohort_centers(cohort)
    if cohort.resolve() == (home / INCOMING).resolve():
        return
    folders_here = [path.name for path in _entries(home / INCOMING) if not path.is_symlink()]
    if folders_here:
        raise Refusal(
            "incoming_is_free", f"incoming/ has folders of its own: {', '.join(folders_here)}", "run without --cohort, or set PENUMBRA_HOME to another folder"
        )
    _remember(home, _entries(home / INCOMING))
    for path in _entries(home / INCOMING):
        if path.name not in folders:
            path.unlink()
    for center, folder in folders.items():
        _link(home, folder, center)


def take_center(home: Path, folder: Path, center: str) -> None:
    """Link `folder` into incoming/ as the center of that name.

    Raises
    ------
    Refusal
        "center_name", "clinical_found" or "incoming_is_free".
    """
    require_center(home, folder, center)
    _link(home, folder, center)


def require_center(home: Path, folder: Path, center: str) -> None:
    """Refuse a folder that `take_center` would not take; nothing is written."""
    _check_name(center)
    if clinical_table(folder) is None:
        below = [path for path in _entries(folder) if path.is_dir()]
        if any(clinical_table(path) for path in below):
            advice = f"this is the folder of several centers ({', '.join(path.name for path in below if clinical_table(path))}): penumbra run --cohort FOLDER"
        else:
            advice = "a center is a folder with clinical.csv and one folder for each patient"
        raise Refusal("clinical_found", f"no {CLINICAL_FILE} in the folder", advice)
    _require_free(home, folder, center)


def cohort_centers(cohort: Path) -> dict[str, Path]:
    """Center name -> its folder, for every center of a cohort's folder.

    Raises
    ------
    Refusal
        "cohort_has_centers", "center_name".
    """
    folders = _centers_in(cohort)
    if not any(clinical_table(path) for path in folders.values()):
        advice = f"a cohort is <folder>/<center>/{CLINICAL_FILE} and <folder>/<center>/<patient>/..."
        if clinical_table(cohort) is not None:
            advice = f"this is the folder of one center: penumbra ingest FOLDER --center NAME; {advice}"
        raise Refusal("cohort_has_centers", f"no subfolder with a {CLINICAL_FILE}", advice)
    return folders


def require_training(home: Path, train_centers: Sequence[str]) -> str:
    """Refuse training centers of which no folder has arrived, or a name that is another's with a typing error.

    The model would be fitted on fewer patients than was meant, and nobody told.

    Returns
    -------
    str
        What has to be said of training centers that have not arrived, "" where all have.

    Raises
    ------
    ParamsError
        "train_centers".
    """
    incoming = home / INCOMING
    here = list(_centers_in(incoming)) if incoming.is_dir() else []
    absent = [name for name in train_centers if name not in here]
    if not here or not absent:
        return ""
    others = [name for name in here if name not in train_centers]
    suggestions = {name: nearest(name, others, alike=SURELY) for name in absent}
    unmet = next((name for name in absent if suggestions[name]), absent[0] if len(absent) == len(train_centers) else None)
    if unmet is not None:
        key = f"cohort.train_centers[{list(train_centers).index(unmet)}]"
        fault = f"cohort.train_centers names {unmet!r}, and no center of this name has arrived"
        raise wrong(key, fault, choose(unmet, here, what="centers here"), "train_centers").located(project_root() / "params.yaml")
    return f"no folder of {', '.join(absent)} has arrived; {', '.join(name for name in train_centers if name in here)} trains"


def _link(home: Path, folder: Path, center: str) -> None:
    link = home / INCOMING / center
    if not _require_free(home, folder, center):
        return
    _remember(home, [*_entries(home / INCOMING), folder])
    with whole_file(link) as fresh:
        fresh.symlink_to(folder.resolve(), target_is_directory=True)


def _require_free(home: Path, folder: Path, center: str) -> bool:
    """Whether the center's place in incoming/ can become a link; False where it is this very folder.

    Raises
    ------
    Refusal
        "incoming_is_free".
    """
    link = home / INCOMING / center
    if not link.is_dir() or link.is_symlink():
        return True
    if folder.resolve() == link.resolve():
        return False
    raise Refusal("incoming_is_free", f"incoming/ has a folder {center} of its own", "ingest without FOLDER, or choose another center name")


def link_roots(home: Path, folder: Path, declared: Sequence[str] = ()) -> Roots:
    """Where links below a center's folder may lead: within its cohort or another that arrived in this home, or under a declared root.

    Parameters
    ----------
    declared
        ingest.roots of params.yaml.
    """
    here = filter(None, map(cohort_of, _entries(home / INCOMING)))
    simulated = os.path.realpath(project_root() / "data" / "simulated")  # of `penumbra simulate`: nobody's data
    return roots_of(folder, declared, [*here, *_cohorts(home), simulated])


def files(home: Path, folder: Path, declared: Sequence[str] = ()) -> list[Path]:
    """Every regular file below a center's folder, links followed as `link_roots` allows; what may not be listed holds none."""
    root = folder.resolve()
    return [entry for entry in walk(root, link_roots(home, folder, declared), []) if isinstance(entry, Path)]


def describe(home: Path, declared: Sequence[str] = ()) -> ArrivalManifest:
    """What arrived: per center the number of files and one SHA-256 over all names and contents, the same wherever the folder is.

    Parameters
    ----------
    declared
        ingest.roots of params.yaml. A link that leads elsewhere counts by its name alone, and is not followed; so does what may not be read (ingest
        refuses the patient whose it is).

    Notes
    -----
    Hashes of files are remembered by size and modification time, so that a second look at an unchanged center reads no file.
    """
    memory = home / "manifests" / ".file-hashes.json"
    earlier_hashes: dict[str, list[Any]] = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else {}
    hashes: dict[str, list[Any]] = {}
    centers = {}
    for center, folder in center_folders(home).items():
        root = folder.resolve()
        digest, count = hashlib.sha256(), 0
        unreadable = list[Path]()
        entries = {entry if isinstance(entry, Path) else root / entry.path: entry for entry in walk(root, link_roots(home, folder, declared), unreadable)}
        for path in sorted([*entries, *unreadable]):
            name = os.fsencode(path.relative_to(root).as_posix())
            if not isinstance(entries.get(path), Path):
                digest.update(name + (b"\0link\n" if path in entries else b"\0closed\n"))
                continue
            count += 1
            key = hashlib.sha256(os.fsencode(path)).hexdigest()  # folders may be named after persons
            try:
                stat = path.stat()
                stamp = [stat.st_size, stat.st_mtime_ns]
                hashes[key] = (
                    earlier_hashes[key] if key in earlier_hashes and earlier_hashes[key][:2] == stamp and os.access(path, os.R_OK) else [*stamp, _sha256(path)]
                )
            except OSError:
                digest.update(name + b"\0closed\n")
                continue
            digest.update(name + f"\0{hashes[key][2]}\n".encode())
        centers[center] = ArrivedFiles(count, digest.hexdigest())
    write_whole(memory, json.dumps(hashes))
    return ArrivalManifest(centers)


def note(home: Path, declared: Sequence[str] = ()) -> ArrivalManifest:
    """Write what arrived, where `dvc repro` and `dvc exp run` begin; in the copy of an experiment also what the stages of the project left.

    Raises
    ------
    Refusal
        "described_by_dvc" where dvc.yaml describes another state folder, "a_center_has_arrived" in a fresh clone.
    """
    root, experiment = project_root(), project.experiment()
    if experiment is None and home != root / "data":
        raise Refusal("described_by_dvc", "dvc.yaml describes the state in data/, and PENUMBRA_HOME is elsewhere", "unset PENUMBRA_HOME, or use penumbra run")
    try:
        arrived = describe(home, declared)
    except Refusal as refusal:
        if refusal.rule != "a_center_has_arrived":
            raise
        first = "run penumbra run --cohort DIR first (make run for the simulated cohort)"
        advice = f"{first}: DVC reruns stages of a state that is there, and moves none; penumbra import FOLDER takes a store that was exported"
        raise Refusal(refusal.rule, "no center folder in incoming/", advice) from None
    for name in manifests.OF_STAGES if experiment is not None else ():
        source, copy = home / manifests.FOLDER / f"{name}.json", manifests.file_of(home, name)
        if source.is_file() and not copy.exists():
            write_whole(copy, source.read_bytes())
    return manifests.write(home, arrived)


def _centers_in(folder: Path) -> dict[str, Path]:
    centers = {path.name: path for path in _entries(folder) if path.is_dir()}
    for name in centers:
        _check_name(name)
    return centers


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _check_name(center: str) -> None:
    if not CENTER_NAME.fullmatch(center):
        raise Refusal("center_name", f"a center called {center!r}", "use letters, digits, '_', '-', '.' and spaces, and begin with a letter or digit")


def _cohorts(home: Path) -> list[str]:
    file = home / "manifests" / COHORTS
    return [str(place) for place in json.loads(file.read_text(encoding="utf-8"))] if file.is_file() else []


def _remember(home: Path, folders: Iterable[Path]) -> None:
    """Keep the cohorts of these centers' folders, which somebody gave to this home by name: a later folder may link to them."""
    cohorts = _cohorts(home)
    places = sorted({*cohorts, *filter(None, (cohort_of(folder) for folder in folders))})
    if places != cohorts:
        write_whole(home / "manifests" / COHORTS, json.dumps(places))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
