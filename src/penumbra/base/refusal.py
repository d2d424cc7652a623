"""A refusal: why something that arrived cannot be used; and the name that a user most likely meant."""

import re
import traceback
from collections.abc import Iterable
from pathlib import Path

MAX_SHOWN = 12  # names in one sentence; beyond these their number is given
ALIKE = 0.6  # share of letters that a suggestion must have in common with what was typed (difflib's ratio)
_PLAIN_WORD = re.compile(r"[a-z]+(?=$|[\s,:;!?'-]|\.(?!\w))")  # what may be capitalized; not a name such as incoming/, nsclc-os or cohort.inclusion
_NAMES = frozenset(("penumbra", "incoming", "nsclc", "dvc", "ulimit", "curl", "params", "make", "null"))


class Refusal(Exception):
    """Input that cannot be used; becomes one row of `rejections` while the others continue.

    Parameters
    ----------
    rule
        Short name of the rule that was broken, e.g. "gtv_not_empty"; explained by `penumbra rules`.
    found
        The value found, without any identifying attribute.
    advice
        What the sender or the user can do.

    Notes
    -----
    As text: `no relation 'patien'. Did you mean patients? (rule relation)`.
    """

    def __init__(self, rule: str, found: str, advice: str) -> None:
        super().__init__(rule, found, advice)  # all three as args, so that it crosses process borders
        self.rule = rule
        self.found = found
        self.advice = advice
        self.place: int | None = None

    def at(self, place: int | None) -> "Refusal":
        """Return the same, with the place in what the user wrote.

        Parameters
        ----------
        place
            Characters from its start; None: it has none.

        Returns
        -------
        Refusal
            Itself.
        """
        self.place = place
        return self

    def __str__(self) -> str:
        return " ".join([*filter(None, (ended(self.found), capitalized(ended(self.advice)))), f"(rule {self.rule})"])


def ended(text: str) -> str:
    """The text as a sentence: one line, and one mark at its end.

    >>> ended("no relation 'patien'"), ended("a syntax error at end of input!."), ended("Did you mean patients?")
    ("no relation 'patien'.", 'a syntax error at end of input.', 'Did you mean patients?')
    """
    text = " ".join(text.split())
    bare = text.rstrip(".;:,!? ")
    if not bare:
        return ""
    return bare + ("?" if text[len(bare) :].startswith("?") else ".")


def capitalized(text: str) -> str:
    """The text with a capital first letter, unless it begins with a name: of a command, a file or a version."""
    word = _PLAIN_WORD.match(text)
    return text[0].upper() + text[1:] if word and word[0] not in _NAMES else text


def reportable(error: BaseException) -> str:
    """What may be said and kept of an error.

    Of one that is no Refusal only type and location: its message may contain a path that names a patient.
    """
    if isinstance(error, Refusal):
        return str(error)
    places = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + (f" in {Path(places[-1].filename).name}, line {places[-1].lineno}" if places else "")


def nearest(name: str, candidates: Iterable[str], *, alike: float = ALIKE) -> str:
    """The known name that is most like the one given, by its letters and whatever the case; "" where none is alike."""
    from difflib import get_close_matches

    folded: dict[str, str] = {}
    for each in candidates:
        folded.setdefault(each.casefold(), each)
    matches = get_close_matches(name.casefold(), folded, n=1, cutoff=alike)
    return folded[matches[0]] if matches else ""


def choose(name: str, candidates: Iterable[str], *, what: str = "known", more: str = "") -> str:
    """What to do about a name that is not known: "Did you mean east?", and what is known.

    Parameters
    ----------
    what
        Stands before the list, such as "ingested".
    more
        How to see them all, such as `penumbra sql "SHOW TABLES"`; then only the nearest and their number are given.
    """
    names = list(dict.fromkeys(candidates))
    near = nearest(name, names)
    question = f"Did you mean {near}?" if near else ""
    if not names:
        listed = f"{what}: none"
    elif near and (len(names) == 1 or (len(names) > MAX_SHOWN and not more)):
        listed = ""
    elif more:
        listed = f"{more} lists {'the other' if near else 'all'} {len(names) - bool(near)}"
    else:
        others = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
        listed = f"{what}: {', '.join(names[:MAX_SHOWN])}{others}"
    return " ".join(filter(None, (question, capitalized(listed))))
