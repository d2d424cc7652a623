"""The names of a home's patients: made with one pseudonym key, of which the home keeps a fingerprint, or as they arrived."""

from pathlib import Path
from typing import Any

from penumbra import cohort, store
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.pipeline import arrivals
from penumbra.pipeline.workspace import Work

MIXED_ADVICE = "set the key that is to count, or unset it, and run penumbra ingest --new-key, then penumbra run"
NEW_KEY_ADVICE = "or run penumbra ingest --new-key to rename every patient"
SCOPE, NO_KEY = "patients", "none"


def namer(center: str) -> Any:
    """The name in the store of a patient of this center: as it arrives, or its pseudonym."""
    key = cohort.pseudonym_key_from_environment()
    return (lambda patient: cohort.pseudonym(patient, center=center, key=key)) if key else str


def require_key(work: Work, lake: store.Store, *, new: bool = False) -> None:
    """Hold a home to the pseudonym key that its patients are named by, or to none; remembered with the first patients.

    Parameters
    ----------
    new
        Take the current key (or none) instead of the previous one: in one commit all patients leave the relations, to come back with new names.

    Raises
    ------
    Refusal
        "pseudonym_key".
    """
    fingerprint, today = (remembered(lake), fingerprint_of_today()) if new else require_same(work.home, lake)
    people = lake.sql("SELECT patient, center FROM patients").to_pylist() if new and fingerprint != today else []
    rows = {
        "pseudonym_keys": [{"scope": SCOPE, "fingerprint": today}],
        "departures": [{**person, "found": "renamed: another pseudonym key, or none"} for person in people],
    }
    lake.write(rows, run=work.run, what="the pseudonym key of this home")
    if people:
        say(f"{len(people)} patients left the relations, to come back with other names")


def require_same(home: Path, lake: store.Store) -> tuple[str | None, str]:
    """The fingerprint that this home's patients are named by, None where nobody is stored yet, and that of today; nothing is written.

    Raises
    ------
    Refusal
        "pseudonym_key": they differ.
    """
    today = fingerprint_of_today()
    fingerprint = remembered(lake) or _begun_with(home, lake, cohort.pseudonym_key_from_environment(), today)
    if fingerprint is not None and fingerprint != today:
        raise Refusal("pseudonym_key", *_mismatch(fingerprint, today))
    return fingerprint, today


def fingerprint_of_today() -> str:
    """That of PENUMBRA_PSEUDONYM_KEY, or "none" where it is not set."""
    key = cohort.pseudonym_key_from_environment()
    return cohort.key_fingerprint(key) if key else NO_KEY


def remembered(lake: store.Store) -> str | None:
    """Fingerprint of the key that this home's patients are named by, "none", or None where nothing was recorded yet."""
    rows = lake.sql("SELECT fingerprint FROM stored.pseudonym_keys WHERE scope = ? ORDER BY commit_id DESC LIMIT 1", [SCOPE]).to_pylist()
    return str(rows[0]["fingerprint"]) if rows else None


def names(lake: store.Store) -> tuple[int, int]:
    """How many patients have pseudonyms, and how many the names they arrived with."""
    people = [row["patient"] for row in lake.sql("SELECT patient FROM patients").to_pylist()]
    hashed = sum(bool(cohort.PSEUDONYM.fullmatch(patient)) for patient in people)
    return hashed, len(people) - hashed


def examined(home: Path, lake: store.Store) -> tuple[bool, str]:
    """Whether all patients have names of one kind, by the key of today where one is set; and what was found."""
    hashed, plain = names(lake)
    fingerprint, key = remembered(lake), cohort.pseudonym_key_from_environment()
    if hashed and plain:
        return False, f"{hashed} pseudonyms and {plain} names as they arrived: the same persons may count twice; {MIXED_ADVICE}"
    if not hashed + plain:
        return True, "no patient yet"
    today = cohort.key_fingerprint(key) if key else NO_KEY
    if fingerprint is None:
        fingerprint = NO_KEY if plain else today if key and _named_by(home, lake, key) else "another" if key else None
    if key and fingerprint not in (None, today):
        rule, advice = _mismatch(str(fingerprint), today)
        return False, f"{rule}. {advice}"
    return True, "all as they arrived" if plain else "all pseudonyms" + ("" if key else "; ingest needs PENUMBRA_PSEUDONYM_KEY, which is not set here")


def _mismatch(fingerprint: str, today: str) -> tuple[str, str]:
    """What was found and what to do where the home has another key than today's."""
    if fingerprint == NO_KEY:
        return "this home's patients have the names they arrived with, and PENUMBRA_PSEUDONYM_KEY is set", f"Unset it, {NEW_KEY_ADVICE}"
    if today == NO_KEY:
        return "this home's patients are named by a pseudonym key, and PENUMBRA_PSEUDONYM_KEY is not set", f"Set the key, {NEW_KEY_ADVICE}"
    return "PENUMBRA_PSEUDONYM_KEY is another key than the one that this home's patients are named by", f"Set that one, {NEW_KEY_ADVICE}"


def _begun_with(home: Path, lake: store.Store, key: str | None, today: str) -> str | None:
    """The fingerprint of a home that was begun before it was remembered, as far as its names tell; None: nobody is stored yet.

    Raises
    ------
    Refusal
        "pseudonym_key": it has names of both kinds.
    """
    hashed, plain = names(lake)
    if not hashed + plain:
        return None
    if hashed and plain:
        fault = f"{hashed} of this home's {hashed + plain} patients have pseudonyms and {plain} have the names they arrived with"
        raise Refusal("pseudonym_key", fault, MIXED_ADVICE.capitalize())
    if plain:
        return NO_KEY
    return today if key and _named_by(home, lake, key) else "another"


def _named_by(home: Path, lake: store.Store, key: str) -> bool:
    """Whether some pseudonym of a patient in incoming/ is stored; where incoming/ holds none to compare, the key is believed."""
    stored = {(row["patient"], row["center"]) for row in lake.sql("SELECT patient, center FROM patients").to_pylist()}
    compared = False
    for path in (home / arrivals.INCOMING).glob("*"):
        if path.is_dir() and any(center == path.name for _, center in stored):
            arrived = cohort.patient_folders(path)
            compared = compared or bool(arrived)
            if any((cohort.pseudonym(patient, center=path.name, key=key), path.name) in stored for patient in arrived):
                return True
    return not compared
