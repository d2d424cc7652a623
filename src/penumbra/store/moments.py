"""What "as of" means: a number, a day, a moment or a registered version, as the commit that was the newest then."""

import datetime as dt
import re
from pathlib import Path

from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal, nearest
from penumbra.store.session import Store, connect
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


def commit_of(home: Path | str, which: str, *, catalog: str | None = None) -> int:
    """Find the commit that "as of" means.

    The number of a commit is itself; a day or a moment (2026-11-27, 2026-11-27T14:30, UTC) means the newest commit then; a registered version or alias,
    such as nsclc-os/3, the commit it was trained on. An alias that several models share means the model that params.yaml names (register.model).

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    which
        A commit's number, a date, or a version or alias.
    catalog
        As `connect`.

    Returns
    -------
    int
        The commit's number.

    Raises
    ------
    Refusal
        "version_registered", with the versions there are: `no version 'nsclc-os/9' in the store. Did you mean nsclc-os/1? Registered: nsclc-os/1; ...`;
        "commit" for a date before the first: `no commit by 2020-01-01 23:59 UTC; the first commit is of ...`.

    Examples
    --------
    >>> from penumbra.store import commit_of
    >>> commit_of("home", "champion"), commit_of("home", "nsclc-os/1"), commit_of("home", "2")
    (3, 3, 2)
    """
    if which.isdecimal():
        return int(which)
    moment_of(which)  # what is wrong with a date needs no store
    with connect(home, read_only=True, catalog=catalog) as store:
        return commit_in(store, which)


def commit_in(store: Store, which: str) -> int:
    """`commit_of` in a store that is open."""
    if which.isdecimal():
        return int(which)
    moment = moment_of(which)
    if moment is not None:
        return commit_at(store, moment)
    rows = store.sql("SELECT model, version, alias, store_commit FROM model_versions WHERE store_commit IS NOT NULL ORDER BY created_at").to_pylist()
    name = which.replace("@", "/")
    of_aliases = set[str]()
    of_alias: dict[str, int] = {}  # model -> commit of its version with that alias
    for row in rows:
        aliases = set((row["alias"] or "").split(", ")) - {"", "deleted"}  # deleted: no alias, see registry/remembered.py
        of_aliases |= aliases
        if name in {f"{row['model']}/{end}" for end in (row["version"], *aliases)}:
            return int(row["store_commit"])
        if name in aliases:
            of_alias[row["model"]] = int(row["store_commit"])
    model = next(iter(of_alias)) if len(of_alias) == 1 else model_name(store.lake.folder.parent) if of_alias else ""
    if model in of_alias:
        return of_alias[model]
    offered = ", ".join(f"{row['model']}/{row['version']}" for row in rows) or "none"
    near = nearest(name, (*(f"{row['model']}/{row['version']}" for row in rows), *of_aliases))
    advice = f"Did you mean {near}? " if near else ""
    advice = f"{advice}Registered: {offered}; or give a date, or the number of a commit, which FROM commits lists"
    raise Refusal("version_registered", f"no version {which!r} in the store", advice)
