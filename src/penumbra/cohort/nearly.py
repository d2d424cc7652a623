"""Identifiers that a table and the folders next to it write differently: reported to the user, never taken for one another."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping

from penumbra.base.refusal import Refusal


def near_folders(listed: Collection[str], folders: Collection[str]) -> dict[str, str]:
    """Patient of the table -> the folder that is probably meant.

    It is one that nobody else could mean, and that differs by capitals, blanks, separators, leading zeros, decimals (124.0), the form of accented letters,
    or a suffix.

    Parameters
    ----------
    listed
        Patients of the table without a folder of this name.
    folders
        Without a row of this name.
    """
    matched = _matched({name: _plain(name) for name in listed}, {name: _plain(name) for name in folders})
    unmatched = {name: _plain(name) for name in listed if name not in matched}
    free = {name: _plain(name) for name in folders if name not in matched.values()}
    starts = {(a, b) for a, key in unmatched.items() for b, folder_key in free.items() if _continues(key, folder_key) or _continues(folder_key, key)}
    of_row, of_folder = Counter(a for a, _ in starts), Counter(b for _, b in starts)
    return matched | {a: b for a, b in starts if of_row[a] == of_folder[b] == 1}


def spelled_otherwise(patient: str, folder: str, *, show_names: bool) -> Refusal:
    """The one refusal of a patient whose row and folder differ in spelling.

    Parameters
    ----------
    show_names
        Whether names may be shown: not where they are replaced by pseudonyms.
    """
    how = _difference(patient, folder)
    fault = f"no folder of this name; {repr(folder) if show_names else 'one'} differs {how}"
    writable = show_names and folder == unicodedata.normalize("NFC", folder.strip())
    rename = f"Rename the folder to {patient!r}" if show_names else "Give the folder the name of the row"
    return Refusal("scan_found", fault, f"{rename}{f', or write {folder!r} into the table' if writable else ''}, if both are one patient")


def _matched(rows: Mapping[str, str], folders: Mapping[str, str]) -> dict[str, str]:
    many = Counter(rows.values()) + Counter()
    by_key: dict[str, list[str]] = {}
    for name, key in folders.items():
        by_key.setdefault(key, []).append(name)
    return {name: by_key[key][0] for name, key in rows.items() if many[key] == 1 and len(by_key.get(key, ())) == 1}


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    plain = re.sub(r"(?<=\d)\.0+$", "", plain)
    plain = re.sub(r"(?<!\d)0+(?=\d)", "", plain)
    return re.sub(r"[\s_\-.]+", "-", plain).strip("-")


def _continues(start: str, longer: str) -> bool:
    return bool(start) and longer.startswith(f"{start}-")


def _difference(patient: str, folder: str) -> str:
    steps = (
        ("in the form of its letters", lambda name: unicodedata.normalize("NFC", name)),
        ("by blanks", str.strip),
        ("by capitals", str.casefold),
        ("by a decimal", lambda name: re.sub(r"\.0+$", "", name)),
        ("by leading zeros", lambda name: re.sub(r"(?<!\d)0+(?=\d)", "", name)),
        ("by separators", lambda name: re.sub(r"[\s_\-.]+", "-", name).strip("-")),
    )
    for words, change in steps:
        if change(patient) == change(folder):
            return words
    return "in spelling" if _plain(patient) == _plain(folder) else "by a suffix"
