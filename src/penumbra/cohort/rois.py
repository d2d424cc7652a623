"""Which structure of a center is the GTV, as features/rois.yaml declares it, and what all names of a folder would map to."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from penumbra.cohort.links import Roots, refuse_leaving, roots_of
from penumbra.imaging import Several, roi_names
from penumbra.imaging.folder import readable, understood
from penumbra.imaging.names import matching
from penumbra.refusal import Refusal

_WHERE = "Correct features/rois.yaml"


@dataclass(frozen=True)
class GtvNames:
    """How a center names its GTV: patterns in order of preference, and the policy for several matches."""

    patterns: tuple[str, ...]
    several: Several


@dataclass(frozen=True)
class RoiRules:
    """features/rois.yaml: ring margins in mm, and the names of the GTV for every center and for single ones."""

    margins_mm: tuple[float, ...]
    everywhere: GtvNames
    centers: Mapping[str, GtvNames]

    def of(self, center: str) -> GtvNames:
        """The names of one center: its own first, then those for every center."""
        return self.centers.get(center, self.everywhere)


@dataclass(frozen=True)
class RoiName:
    """One structure name of a center: in how many patients it occurs, and what it is taken for.

    meaning  "gtv" where it is the first match of every patient that has it, "gtv, not preferred" where a better match stands beside it, "other".
    """

    name: str
    patients: int
    meaning: str


@dataclass(frozen=True)
class RoiSurvey:
    """All structure names of a center's folder, and the patients that would be refused, with the reason."""

    names: tuple[RoiName, ...]
    refused: tuple[tuple[str, Refusal], ...]


def roi_rules(declared: Mapping[str, Any]) -> RoiRules:
    """The rules that features/rois.yaml declares.

    declared  the mapping in that file.

    Raises Refusal: `roi_rules: unknown key 'margin'. Correct features/rois.yaml`.
    """
    _only(declared, {"margins_mm", "gtv", "centers"}, "the file")
    margins = declared.get("margins_mm")
    if not isinstance(margins, list) or not margins or not all(isinstance(m, int | float) and m > 0 for m in margins):
        raise Refusal("roi_rules", f"margins_mm is {margins!r}, not a list of positive numbers", _WHERE)
    if len(set(margins)) != len(margins):
        raise Refusal("roi_rules", f"margins_mm names a margin twice: {margins}", _WHERE)
    gtv = declared.get("gtv") or {}
    everywhere = _gtv_names(gtv, GtvNames((), "first"), "gtv")
    if not everywhere.patterns:
        raise Refusal("roi_rules", "gtv.patterns is empty", _WHERE)
    centers = {str(name): _gtv_names(entry or {}, everywhere, f"centers.{name}") for name, entry in (declared.get("centers") or {}).items()}
    return RoiRules(tuple(float(m) for m in margins), everywhere, centers)


def list_rois(folder: Path, names: GtvNames, roots: Roots | None = None) -> RoiSurvey:
    """What every structure name below a center's folder maps to, before anything is ingested.

    folder  of a center: one folder per patient.
    names   of its GTV, see `RoiRules.of`.
    roots   where links may lead; None: within the cohort.
    """
    from penumbra.cohort.incoming import patient_folders

    patients: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    refused: list[tuple[str, Refusal]] = []
    for patient, place in patient_folders(folder).items():
        try:
            with readable(), understood():
                refuse_leaving(place, folder, roots or roots_of(folder))
                found = roi_names(place)
        except Refusal as refusal:
            refused.append((patient, refusal))
            continue
        patients.update(set(found))
        order = matching(found, names.patterns)
        if not order:
            shown = ", ".join(sorted(set(found))) or "no structure at all"
            refused.append((patient, Refusal("gtv_named", f"no structure is named like a GTV; found: {shown}", "Add the name to this center")))
            continue
        taken = {found[order[0]]} if names.several == "first" else {found[i] for i in order}
        chosen.update(taken)
        beside.update({found[i] for i in order} - taken)
    survey = [RoiName(name, count, _meaning(chosen[name], beside[name], names.several)) for name, count in patients.items()]
    return RoiSurvey(tuple(sorted(survey, key=lambda entry: (entry.meaning == "other", -entry.patients, entry.name))), tuple(refused))


def _meaning(chosen: int, beside: int, several: Several) -> str:
    if chosen and beside:
        return f"gtv in {chosen}, elsewhere a better name stands beside it"
    if chosen:
        return "gtv" if several == "first" else f"gtv ({several} of all that match)"
    return "gtv, not preferred" if beside else "other"


def _gtv_names(entry: Mapping[str, Any], default: GtvNames, where: str) -> GtvNames:
    _only(entry, {"several", "patterns"}, where)
    several = entry.get("several", default.several)
    if several not in get_args(Several):
        raise Refusal("roi_rules", f"{where}.several is {several!r}, not one of {', '.join(get_args(Several))}", _WHERE)
    patterns = entry.get("patterns", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise Refusal("roi_rules", f"{where}.patterns is not a list of regular expressions", _WHERE)
    matching([], patterns)  # refuses what is no regular expression
    return GtvNames((*patterns, *default.patterns), several)


def _only(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise Refusal("roi_rules", f"{where} is not a mapping", _WHERE)
    unknown = sorted(set(map(str, entry)) - known)
    if unknown:
        raise Refusal("roi_rules", f"unknown key {unknown[0]!r} in {where}; known: {', '.join(sorted(known))}", _WHERE)
