"""Which structure of a center is the GTV, as features/rois.yaml declares it, and what all names of a folder would map to."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from penumbra.base.refusal import Refusal, choose
from penumbra.base.yaml_files import ParamsError, shown, wrong
from penumbra.cohort.folders import patient_folders
from penumbra.cohort.links import Roots, refuse_leaving, roots_of
from penumbra.imaging import Several, gtv_sources
from penumbra.imaging.folder import readable, understood
from penumbra.imaging.names import GtvNames, matching, no_match
from penumbra.imaging.primary import AGREE_DICE, GTV_FURTHER, NOT_PRIMARY

LONGEST_MARGIN_MM = 200.0  # of a ring; more is another unit
_RULE, _WHERE = "roi_rules", "Correct features/rois.yaml"


@dataclass(frozen=True)
class RoiRules:
    """What features/rois.yaml declares.

    Parameters
    ----------
    margins_mm : mm
        Of the rings.
    everywhere
        Names of the GTV for every center.
    centers
        Center -> its names, where it has some of its own.
    """

    margins_mm: tuple[float, ...]
    everywhere: GtvNames
    centers: Mapping[str, GtvNames]

    def of(self, center: str) -> GtvNames:
        """Return the names of one center: its own first, then those for every center.

        Parameters
        ----------
        center
            Its name.

        Returns
        -------
        GtvNames
            Those for every center where it has none of its own.
        """
        return self.centers.get(center, self.everywhere)


@dataclass(frozen=True)
class RoiName:
    """One structure name of a center: in how many patients it occurs, what it is taken for, and why.

    Parameters
    ----------
    meaning
        "gtv" where it is the first match of every patient that has it, "gtv, not preferred" where a better match is next to it, "gtv, but not alone" for
        a further part, "not primary", "unknown" for a GTV that no word list knows, "other".
    reason
        The pattern that it matches, the word that speaks against it, the line that would make it the GTV, or another source that was taken.
    """

    name: str
    patients: int
    meaning: str
    reason: str


@dataclass(frozen=True)
class RoiSurvey:
    """All structure names of a center's folder.

    Parameters
    ----------
    names
        What each is taken for.
    refused
        Patients that would be refused, with the reason.
    """

    names: tuple[RoiName, ...]
    refused: tuple[tuple[str, Refusal], ...]


def roi_rules(declared: Mapping[str, Any]) -> RoiRules:
    """Read the rules that features/rois.yaml declares.

    Parameters
    ----------
    declared
        The mapping in that file.

    Returns
    -------
    RoiRules
        Margins and names.

    Raises
    ------
    ParamsError
        "roi_rules": `unknown key margin. Did you mean margins_mm?`; "gtv_pattern" for what is not a regular expression.
    """
    _only(declared, {"margins_mm", "gtv", "centers"}, "")
    margins = declared.get("margins_mm")
    if (
        not isinstance(margins, list)
        or not margins
        or not all(isinstance(m, int | float) and not isinstance(m, bool) and 0 < m <= LONGEST_MARGIN_MM for m in margins)
    ):
        raise _wrong("margins_mm", f"margins_mm is {shown(margins)}, not a list of positive numbers (mm)")
    if len(set(margins)) != len(margins):
        raise _wrong("margins_mm", f"margins_mm names a margin twice: {shown(margins)}")
    everywhere = _everywhere({} if declared.get("gtv") is None else declared["gtv"])
    if not everywhere.patterns:
        raise _wrong("gtv.patterns", "gtv.patterns is empty")
    of_centers = declared.get("centers")
    if of_centers is not None and not isinstance(of_centers, Mapping):
        raise _wrong("centers", f"centers is {shown(of_centers)}, not a mapping of centers to their names")
    centers = {str(name): _gtv_names({} if entry is None else entry, everywhere, f"centers.{name}") for name, entry in (of_centers or {}).items()}
    return RoiRules(tuple(float(m) for m in margins), everywhere, centers)


def list_rois(folder: Path, names: GtvNames, roots: Roots | None = None) -> RoiSurvey:
    """Tell what every structure name below a center's folder maps to, before anything is ingested.

    Parameters
    ----------
    folder
        Of a center: one folder per patient.
    names
        Of its GTV, see `RoiRules.of`.
    roots
        Where links may lead; None: within the cohort.

    Returns
    -------
    RoiSurvey
        The names, and who would be refused.
    """
    patients: Counter[str] = Counter()
    as_gtv: Counter[str] = Counter()
    not_preferred: Counter[str] = Counter()
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
        structures = holding[0].names
        order = names.order(structures)
        gtv_names = {structures[order[0]]} if names.several == "first" else {structures[i] for i in order}
        as_gtv.update(gtv_names)
        not_preferred.update({name for source in holding for i in names.order(source.names) if (name := source.names[i]) not in gtv_names})
        elsewhere |= {name: holding[0].kind for source in holding[1:] for name in source.names if name not in structures}
    survey = []
    for name, count in patients.items():
        kind, reason = names.meaning(name)
        meaning = _meaning(as_gtv[name], not_preferred[name], names.several) if as_gtv[name] or not_preferred[name] else _MEANINGS[kind]
        if not_preferred[name] and name in elsewhere:
            reason = f"the {elsewhere[name]} goes first"
        survey.append(RoiName(name, count, meaning, reason))
    return RoiSurvey(tuple(sorted(survey, key=lambda entry: (entry.meaning == "other", -entry.patients, entry.name))), tuple(refused))


def _meaning(as_gtv: int, not_preferred: int, several: Several) -> str:
    if as_gtv and not_preferred:
        return f"gtv in {as_gtv}, elsewhere the patient has a better name"
    if as_gtv:
        return "gtv" if several == "first" else f"gtv ({several} of all that match)"
    return "gtv, not preferred"


_MEANINGS = {"gtv": "gtv, without contours", "further": "gtv, but not alone", "not primary": "not primary", "unknown": "unknown", "other": "other"}


def _everywhere(entry: Mapping[str, Any]) -> GtvNames:
    """The names of every center."""
    _only(entry, {"several", "patterns", "further", "not_primary", "agree_dice"}, "gtv")
    general = _gtv_names({name: value for name, value in entry.items() if name in ("several", "patterns")}, GtvNames(()), "gtv")
    words = entry.get("not_primary")
    if words is not None and not (isinstance(words, Mapping) and all(isinstance(listed, list) for listed in words.values())):
        raise _wrong("gtv.not_primary", "gtv.not_primary is not a mapping of lists of words")
    dice = entry.get("agree_dice", AGREE_DICE)
    if not isinstance(dice, int | float) or isinstance(dice, bool) or not 0 <= dice <= 1:
        raise _wrong("gtv.agree_dice", f"gtv.agree_dice is {shown(dice)}, not a number from 0 to 1")
    further = _patterns(entry.get("further", list(GTV_FURTHER)), "gtv.further")
    listed = NOT_PRIMARY if words is None else tuple((str(what), tuple(str(word).casefold() for word in each)) for what, each in words.items())
    return replace(general, center_patterns=0, further=further, not_primary=listed, agree_dice=float(dice))


def _gtv_names(entry: Mapping[str, Any], default: GtvNames, where: str) -> GtvNames:
    """The names of one center: its own patterns before those of every center."""
    _only(entry, {"several", "patterns"}, where)
    several = entry.get("several", default.several)
    if several not in get_args(Several):
        raise wrong(f"{where}.several", f"{where}.several is {shown(several)}", choose(str(several), get_args(Several), what="allowed"), _RULE)
    patterns = _patterns(entry.get("patterns", []), f"{where}.patterns")
    return replace(default, patterns=(*patterns, *default.patterns), several=several, center_patterns=len(patterns))


def _patterns(declared: Any, where: str) -> tuple[str, ...]:
    if not isinstance(declared, list) or not all(isinstance(pattern, str) for pattern in declared):
        raise _wrong(where, f"{where} is {shown(declared)}, not a list of regular expressions")
    try:
        matching([], declared)
    except Refusal as refusal:  # what is not a regular expression
        raise wrong(where, f"{where}: {refusal.found}", refusal.advice, refusal.rule) from None
    return tuple(declared)


def _only(entry: Mapping[str, Any], accepted: set[str], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise _wrong(where, f"{where or 'the file'} is {shown(entry)}, not a mapping of names to values")
    unknown = sorted(set(map(str, entry)) - accepted)
    if unknown:
        key = f"{where}.{unknown[0]}" if where else unknown[0]
        raise wrong(key, f"unknown key {key}", choose(unknown[0], sorted(accepted)), _RULE)


def _wrong(key: str, fault: str) -> ParamsError:
    return wrong(key, fault, _WHERE, _RULE)
