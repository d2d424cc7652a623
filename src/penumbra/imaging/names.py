"""Which structure is the GTV: names matched by patterns, several matches settled by a stated policy."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from penumbra.refusal import Refusal

Several = Literal["first", "union", "largest"]

# In order of preference; full match, case ignored, outer blanks stripped. Nodal volumes (GTVn, GTV LN, GTV hilus) and derived ones (GTV+5mm, GTV ring)
# match none.
GTV_PATTERNS: tuple[str, ...] = (
    r"gtv[\s_.-]*0*1",
    r"gtv[\s_.-]*(p|pt|prim|primary|t|tu|tumou?r)[\s_.-]*0*1?",
    r"gtv",
    r"gtv[\s_.-]*(lung|ct|c\d+|planning|plan|final|all|total|tot)[\s_.-]*\d*",
    r"(primary|lung)?[\s_.-]*tumou?r([\s_.-]*(p|primary|lung|volume|c?\d+))?",
    r"gross[\s_.-]*tumou?r[\s_.-]*volume(?!.*(nod|lymph)).*",
    r"(gtv[\s_.-]*)?neoplasm(?!.*(nod|lymph)).*",
    r"gtv[\s_.-]*\d+",
    r"gtv[\s_.-]*(?!n|ln|lk|lymph|med|hil|adenop|gangl|klier|exp|marg|ring|shell|minus|old|not)[a-z]+[\s_.-]*\d*",
)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[int]:
    """Indices of the names that match a pattern, those of the first pattern first; patterns are regular expressions for the whole name.

    Raises Refusal: `gtv_pattern: 'GTV(' is not a regular expression. ...`.
    """
    found: list[int] = []
    for pattern in patterns:
        try:
            compiled = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            raise Refusal("gtv_pattern", f"{pattern!r} is not a regular expression", "Correct the pattern in features/rois.yaml") from error
        found += [index for index, name in enumerate(names) if index not in found and compiled.fullmatch(plain_name(name))]
    return found


def plain_name(name: str) -> str:
    """A name with one kind of dash, in characters of normal width, without outer blanks."""
    return re.sub(r"[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", name)).strip()


def check_policy(several: str) -> None:
    """Raises Refusal: `several_policy: 'both' is not one of first, union, largest. ...`."""
    if several not in get_args(Several):
        raise Refusal("several_policy", f"{several!r} is not one of {', '.join(get_args(Several))}", "Correct the policy in features/rois.yaml")


def no_match(names: Sequence[str]) -> Refusal:
    """The refusal of a patient none of whose structures is named like a GTV; it shows the names found."""
    shown = ", ".join(sorted({name.strip() or "(unnamed)" for name in names})) or "no structure at all"
    return Refusal("gtv_named", f"no structure is named like a GTV; found: {shown}", "Add the name of the GTV to this center in features/rois.yaml")
