"""A day or a moment as the commit that was the newest then."""

import datetime as dt
import re

from penumbra.base.refusal import Refusal
from penumbra.store.session import Store
from penumbra.store.statements import statement

DATED = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[T ])")


def moment_of(text: str) -> dt.datetime | None:
    """The last moment that a text means, in UTC without a zone as `commits` has it: a day means its end. None where it is no date.

    Raises
    ------
    Refusal
        "commit": it begins like a date and is none.
    """
    if not DATED.match(text):
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("commit", f"{text[:40]!r} is no date", "write a day as 2026-11-27, or a moment as 2026-11-27T14:30 (UTC)") from None
    if len(text) == len("2026-11-27"):
        return dt.datetime.combine(moment.date(), dt.time.max)
    return moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)


def commit_at(store: Store, moment: dt.datetime) -> int:
    """The newest commit at a moment, in UTC.

    Raises
    ------
    Refusal
        "commit": nothing was stored by then.
    """
    row = store.sql(statement("commit_at"), [moment]).to_pylist()[0]
    if row["id"] is None:
        first = "nothing is stored yet" if row["first"] is None else f"the first commit is of {row['first']:%Y-%m-%d %H:%M} UTC"
        raise Refusal("commit", f"no commit by {moment:%Y-%m-%d %H:%M} UTC; {first}", 'see penumbra sql "SELECT * FROM commits"')
    return int(row["id"])
