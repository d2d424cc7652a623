"""What a row of a relation is, as its view says it: for an answer that has none."""

import re
from pathlib import Path

from penumbra.base.params import project_root
from penumbra.store.views import EVERY, bodies, relation_names

_COMMENT = re.compile(r"COMMENT ON VIEW \S+ IS '((?:[^']|'')*)'")


def meaning(relation: str, features: Path | None = None) -> str:
    """What one row of a relation is; "" of one without a comment."""
    views = bodies(features or project_root() / "features")
    for name in (relation, relation.removesuffix(EVERY)):
        if comment := _COMMENT.search(views.get(name, "")):
            return re.sub(r",? (?:under|of|against) \$\w+", "", comment[1].replace("''", "'")).replace("$all", "")
    return ""


def empty_answer_notes(statement: str) -> list[str]:
    """One sentence per relation that a statement without an answer asked: it was right to ask, and what would be there."""
    relations = {name.lower(): name for name in relation_names(None)}
    mentioned = dict.fromkeys(word for word in re.findall(r"\w+", statement.lower()) if word in relations)
    return [f"No row of {relations[name]} fits; a row there is: {meaning(relations[name]).split(';')[0]}." for name in mentioned if meaning(relations[name])]
