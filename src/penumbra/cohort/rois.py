"""Which structure of a center is the GTV, as features/rois.yaml declares it, and what all names of a folder would map to."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from penumbra.cohort.links import Roots, refuse_leaving, roots_of
from penumbra.imaging import Several, gtv_sources
from penumbra.imaging.folder import readable, understood
from penumbra.imaging.names import GtvNames, matching, no_match
from penumbra.imaging.primary import AGREE_DICE, GTV_FURTHER, NOT_PRIMARY
from penumbra.refusal import Refusal

_WHERE = "Correct features/rois.yaml"


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
    """One structure name of a center: in how many patients it occurs, what it is taken for, and why.

    meaning  "gtv" where it is the first match of every patient that has it, "gtv, not preferred" where a better match stands beside it, "gtv,
             but not alone" for a further part, "not primary", "unknown" for a GTV that no word list knows, "other".
    why      the pattern that it matches, the word that speaks against it, the line that would make it the GTV, or another source that was taken.
    """

    name: str
    patients: int
    meaning: str
    why: str


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
    everywhere = _everywhere(gtv)
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
    elsewhere: dict[str, str] = {}
    refused: list[tuple[str, Refusal]] = []
    for patient, place in patient_folders(folder).items():
        try:
            with readable(), understood():
                refuse_leaving(place, folder, roots or roots_of(folder))
                sources = gtv_sources(place, names)
        except Refusal as refusal:
            refused.append((patient, refusal))
            continue
        patients.update({name for source in sources for name in source.names})
        holding = [source for source in sources if source.holds] or [source for source in sources if names.order(source.names)]
        if not holding:
            refused.append((patient, no_match([name for source in sources for name in source.names], names)))
            continue
        found = holding[0].names
        order = names.order(found)
        taken = {found[order[0]]} if names.several == "first" else {found[i] for i in order}
        chosen.update(taken)
        beside.update({name for source in holding for i in names.order(source.names) if (name := source.names[i]) not in taken})
        elsewhere |= {name: holding[0].kind for source in holding[1:] for name in source.names if name not in found}
    survey = []
    for name, count in patients.items():
        kind, why = names.meaning(name)
        meaning = _meaning(chosen[name], beside[name], names.several) if chosen[name] or beside[name] else _MEANINGS[kind]
        if beside[name] and name in elsewhere:
            why = f"the {elsewhere[name]} goes first"
        survey.append(RoiName(name, count, meaning, why))
    return RoiSurvey(tuple(sorted(survey, key=lambda entry: (entry.meaning == "other", -entry.patients, entry.name))), tuple(refused))


def _meaning(chosen: int, beside: int, several: Several) -> str:
    if chosen and beside:
        return f"gtv in {chosen}, elsewhere a better name stands beside it"
    if chosen:
        return "gtv" if several == "first" else f"gtv ({several} of all that match)"
    return "gtv, not preferred"


_MEANINGS = {"gtv": "gtv, without contours", "further": "gtv, but not alone", "not primary": "not primary", "unknown": "unknown", "other": "other"}


def _everywhere(entry: Mapping[str, Any]) -> GtvNames:
    """The names of every center."""
    own = _gtv_names({name: value for name, value in entry.items() if name in ("several", "patterns")}, GtvNames(()), "gtv")
    _only(entry, {"several", "patterns", "further", "not_primary", "agree_dice"}, "gtv")
    words = entry.get("not_primary")
    if words is not None and not (isinstance(words, Mapping) and all(isinstance(listed, list) for listed in words.values())):
        raise Refusal("roi_rules", "gtv.not_primary is not a mapping of lists of words", _WHERE)
    dice = entry.get("agree_dice", AGREE_DICE)
    if not isinstance(dice, int | float) or not 0 <= dice <= 1:
        raise Refusal("roi_rules", f"gtv.agree_dice is {dice!r}, not a number from 0 to 1", _WHERE)
    further = _patterns(entry.get("further", list(GTV_FURTHER)), "gtv.further")
    listed = NOT_PRIMARY if words is None else tuple((str(what), tuple(str(word).casefold() for word in each)) for what, each in words.items())
    return replace(own, own=0, further=further, not_primary=listed, agree_dice=float(dice))


def _gtv_names(entry: Mapping[str, Any], default: GtvNames, where: str) -> GtvNames:
    """The names of one center: its own patterns before those of every center."""
    _only(entry, {"several", "patterns"}, where)
    several = entry.get("several", default.several)
    if several not in get_args(Several):
        raise Refusal("roi_rules", f"{where}.several is {several!r}, not one of {', '.join(get_args(Several))}", _WHERE)
    patterns = _patterns(entry.get("patterns", []), f"{where}.patterns")
    return replace(default, patterns=(*patterns, *default.patterns), several=several, own=len(patterns))


def _patterns(declared: Any, where: str) -> tuple[str, ...]:
    if not isinstance(declared, list) or not all(isinstance(pattern, str) for pattern in declared):
        raise Refusal("roi_rules", f"{where} is not a list of regular expressions", _WHERE)
    matching([], declared)  # refuses what is no regular expression
    return tuple(declared)


def _only(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise Refusal("roi_rules", f"{where} is not a mapping", _WHERE)
    unknown = sorted(set(map(str, entry)) - known)
    if unknown:
        raise Refusal("roi_rules", f"unknown key {unknown[0]!r} in {where}; known: {', '.join(sorted(known))}", _WHERE)
