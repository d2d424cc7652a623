"""Which structure is the GTV: names matched by patterns, words that say what it is not, several matches settled by a stated policy."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from penumbra.base.refusal import Refusal
from penumbra.imaging.primary import AGREE_DICE, GTV_FURTHER, GTV_PATTERNS, NOT_PRIMARY

Several = Literal["first", "union", "largest"]
Kind = Literal["gtv", "further", "not primary", "unknown", "other"]

_GTV = re.compile(r"gtv|gross[\W_]*tumou?r|tumou?r|neoplasm")
_STATION = r"(?:st|stat|station|level|lvl|n|ln|lk|lymph|node)?(\d{1,2}[a-z]?)"
_SHORT = 3  # letters; shorter words must match as a whole


@dataclass(frozen=True)
class GtvNames:
    """How a center names its GTV.

    Parameters
    ----------
    patterns
        In order of preference.
    several
        Policy for several matches.
    further
        Patterns of further parts, which count only next to a match of `patterns`.
    not_primary
        What a structure is -> the words that say so; they go before `patterns`, but for the first `center_patterns` ones, which the center declares.
    center_patterns
        How many of `patterns`, the first ones, the center itself declares.
    agree_dice
        Below which two sources of the GTV in one folder contradict each other.

    Examples
    --------
    >>> from penumbra.imaging import GTV_PATTERNS, GtvNames
    >>> names = GtvNames(GTV_PATTERNS)
    >>> names.order(["Heart", "GTV-1", "Lung_L"])
    [1]
    >>> names.meaning("Heart")
    ('other', 'not named like a GTV')
    """

    patterns: tuple[str, ...]
    several: Several = "first"
    further: tuple[str, ...] = ()
    not_primary: tuple[tuple[str, tuple[str, ...]], ...] = ()
    center_patterns: int = 0
    agree_dice: float = AGREE_DICE

    def order(self, names: Sequence[str]) -> list[int]:
        """Find the names that match the GTV, the preferred one first.

        Parameters
        ----------
        names
            Of all structures, as sent.

        Returns
        -------
        list
            Indices into `names`.
        """
        indices = matching(names, self.patterns[: self.center_patterns])
        general = matching(names, self.patterns[self.center_patterns :])
        indices += [index for index in general if index not in indices and self._against(names[index]) is None]
        further = matching(names, self.further) if indices else []
        return indices + [index for index in further if index not in indices and self._against(names[index]) is None]

    def meaning(self, name: str) -> tuple[Kind, str]:
        """Classify a structure by its name, with the reason.

        Parameters
        ----------
        name
            As sent.

        Returns
        -------
        tuple
            One of "gtv", "further", "not primary", "unknown" and "other"; and the reason, half a sentence.
        """
        for count, pattern in enumerate(self.patterns):
            against = None if count < self.center_patterns else self._against(name)
            if against is None and matching([name], [pattern]):
                return "gtv", f"matches '{pattern}'" + (" of this center" if count < self.center_patterns else "")
        against = self._against(name)
        if against is None and matching([name], self.further):
            return "further", "a further part: counts only next to a GTV"
        if not _GTV.search(_folded(name)):
            return "other", "not named like a GTV"
        if against is not None:
            what, word = against
            return "not primary", f"{what} ({word!r})"
        return "unknown", f"a GTV with words that rois.yaml does not list; if it is the primary tumor, add {line_to_add(name)}"

    def stored(self, name: str) -> str:
        """Return a name in a form that may be stored: unchanged if it is one of the GTV with no words beyond the patterns, otherwise hashed.

        Parameters
        ----------
        name
            As sent.

        Returns
        -------
        str
            The name, or "structure " with 8 hex digits.
        """
        allowed = _words_of(self.patterns + self.further)
        if all(allowed.fullmatch(word) for word in re.findall(r"[^\W\d_]+", _folded(name))) and self.meaning(name)[0] in ("gtv", "further"):
            return name.strip()
        return "structure " + hashlib.sha256(plain_name(name).encode()).hexdigest()[:8]

    def redacted(self, text: str, names: Iterable[str]) -> str:
        """Return a sentence in a form that may be stored.

        Names of structures in it, and the lines that would declare them, become what `stored` makes of them.

        Parameters
        ----------
        text
            The sentence.
        names
            Of all structures that it may speak of, as sent.

        Returns
        -------
        str
            The same without names of structures that may be a person's.
        """
        for name in sorted({name.strip() for name in names} - {""}, key=len, reverse=True):
            safe = self.stored(name)
            if safe != name:
                text = text.replace(f"the line {line_to_add(name)}", "its line").replace(f" or {line_to_add(name)}", "")
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", safe, text)
        return text

    def _against(self, name: str) -> tuple[str, str] | None:
        """What the words of a name identify it as, and the word; None if nothing contradicts a primary tumor."""
        parts = [re.sub(r"^(gtv|gross|tumou?r)+", "", part) for part in re.findall(r"[^\W_]+", _folded(name))]
        words = [word for part in parts for word in (part, *re.findall(r"[^\W\d_]+", part))]
        stations = [station.group(1).lstrip("0") for part in parts if (station := re.fullmatch(_STATION, part))]
        for what, listed in self.not_primary:
            for word in (*words, *stations):
                entry = next((entry for entry in listed if word == entry or (len(entry) > _SHORT and word.startswith(entry))), None)
                if entry is not None:  # not the word, which may continue with a person's name
                    return what, entry if word == entry else f"{entry}..."
        return None


STANDARD = GtvNames(GTV_PATTERNS, further=GTV_FURTHER, not_primary=NOT_PRIMARY)  # where nothing is declared


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[int]:
    """Indices of the names that match a pattern, those of the first pattern first; patterns are regular expressions for the whole name.

    Raises
    ------
    Refusal
        `gtv_pattern: 'GTV(' is not a regular expression. ...`.
    """
    indices: list[int] = []
    for pattern in patterns:
        try:
            compiled = re.compile(unicodedata.normalize("NFKC", pattern), re.IGNORECASE)
        except re.error as error:
            raise Refusal("gtv_pattern", f"{pattern!r} is not a regular expression", "Correct the pattern in features/rois.yaml") from error
        indices += [index for index, name in enumerate(names) if index not in indices and compiled.fullmatch(plain_name(name))]
    return indices


def plain_name(name: str) -> str:
    """A name with one kind of dash, in characters of normal width, without outer blanks."""
    return re.sub(r"[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", name)).strip()


def line_to_add(name: str) -> str:
    """The line of features/rois.yaml that declares a name as it is."""
    pattern = re.escape(plain_name(name)).replace(r"\ ", " ").replace(r"\-", "-").replace("'", "''")
    return f"- '{pattern}'"


def check_policy(several: str) -> None:
    """Refuse an unknown policy.

    Raises
    ------
    Refusal
        `several_policy: 'both' is not one of first, union, largest. ...`.
    """
    if several not in get_args(Several):
        raise Refusal("several_policy", f"{several!r} is not one of {', '.join(get_args(Several))}", "Correct the policy in features/rois.yaml")


def no_match(names: Sequence[str], rules: GtvNames) -> Refusal:
    """The refusal of a patient none of whose structures is taken for the GTV: the names found, what those of a GTV are, and the line to add."""
    each = sorted({name.strip() or "(unnamed)" for name in names})
    meanings = {name: rules.meaning(name) for name in each}
    unknown = [name for name in each if meanings[name][0] in ("unknown", "further")]
    others = [f"{name} ({meanings[name][1]})" if meanings[name][0] == "not primary" else name for name in each if name not in unknown]
    if not unknown:
        listed = ", ".join(others) or "no structure at all"
        return Refusal("gtv_named", f"no structure is named like a GTV; found: {listed}", "Add the name of the GTV to this center in features/rois.yaml")
    fault = f"nothing says whether {' and '.join(map(repr, unknown))} is the primary tumor" + (f"; also found: {', '.join(others)}" if others else "")
    lines = " or ".join(line_to_add(name) for name in unknown)
    return Refusal("gtv_named", fault, f"If it is, add the line {lines} to the patterns of this center in features/rois.yaml")


def _folded(name: str) -> str:
    """A name in lowercase without accents."""
    apart = unicodedata.normalize("NFKD", plain_name(name).casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


@cache
def _words_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What consists of the words that patterns spell out, with and without their optional letters."""
    words: set[str] = set()
    for pattern in patterns:
        text = _folded(re.sub(r"\\[A-Za-z]|\[[^\]]*\]", " ", pattern))
        for form in (re.sub(r"([^\W\d_])\?", r"\1", text), re.sub(r"[^\W\d_]\?", "", text)):
            words |= set(re.findall(r"[^\W\d_]+", form))
    return re.compile(f"(?:{'|'.join(sorted(words, key=len, reverse=True)) or '(?!)'})+")
