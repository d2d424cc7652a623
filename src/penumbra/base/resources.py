"""When resources run out: a full disk, a quota, a folder that cannot be written, too many open files, no memory. Each is one sentence.

Libraries word the same failure each in its own way (DuckDB, SQLite below SQLAlchemy and MLflow, XLA); errno and these words tell what it was.
"""

import contextlib
import errno
import os
import re
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penumbra.base.refusal import Refusal

NUMBERS = {
    errno.ENOSPC: "disk_space", errno.EDQUOT: "disk_quota", errno.EFBIG: "file_size", errno.EROFS: "home_writable", errno.EACCES: "home_writable",
    errno.EPERM: "home_writable", errno.EMFILE: "open_files", errno.ENFILE: "open_files", errno.ENOMEM: "memory_enough",
}  # fmt: skip
WORDS = (
    ("disk_space", ("No space left on device", "database or disk is full")),
    ("disk_quota", ("Disk quota exceeded", "quota exceeded")),
    ("file_size", ("File too large",)),
    ("open_files", ("Too many open files",)),
    ("home_writable", ("Read-only file system", "attempt to write a readonly database", "Permission denied", "Operation not permitted")),
    (
        "memory_enough",
        ("annot allocate memory", "failed to map segment", "bad_alloc", "RESOURCE_EXHAUSTED", "Out of Memory Error", "out of memory", "Unable to allocate"),
    ),
)
# What SQLite says where the cause is one of the above, but not which.
UNCLEAR = ("disk I/O error", "unable to open database file", "can't start new thread", "could not create thread", "Resource temporarily unavailable")
NICENESS = 10  # of work that nobody waits for: about a tenth of the processor where somebody else wants all of it
LITTLE_MB = 1.0  # less is a full disk
MIN_MB = 16.0  # for a command that writes: its catalogs, manifests and one patient's scan
MB = 1024**2
WRITABLE = "Make it writable for this user, or set PENUMBRA_HOME to a folder that is"
RESUME = "rerun the same command to resume"


def refuse_full(home: Path) -> None:
    """Refuse work whose first result would have no place: hours of it would be lost.

    Raises
    ------
    Refusal
        "disk_space", "home_writable".
    """
    if home.is_dir() and (reason := unwritable(home)):
        raise Refusal("home_writable", f"the state folder cannot be written{reason}", WRITABLE)
    if _free_mb(home) < MIN_MB:
        raise _disk_space("the state folder", home)


def exhausted(error: BaseException) -> str:
    """The rule of what ran out, "" for any other error: nothing is gained by trying again at once."""
    for each in _chain(error):
        if isinstance(each, Refusal):
            return ""
        if isinstance(each, MemoryError):
            return "memory_enough"
        if isinstance(each, OSError) and each.errno in NUMBERS:
            return NUMBERS[each.errno]
        message = str(each)
        for rule, words in WORDS:
            if any(word in message for word in words):
                return rule
        if any(word in message for word in UNCLEAR):
            return "unclear"
    return ""


def refusal_of(error: BaseException, home: Path) -> Refusal | None:
    """The sentence for an error whose cause is that something ran out, or that the state folder cannot be written; None for any other.

    Parameters
    ----------
    home
        The folder of PENUMBRA_HOME. What is below it is named by its first folder alone: the rest may be a patient's.
    """
    rule = exhausted(error)
    if rule == "unclear":
        rule = _probed(home)
    if not rule:
        return None
    where, place = _where(error, home)
    if rule == "disk_space":
        return _disk_space(where, place)
    if rule == "disk_quota":
        fault, advice = f"the disk quota for {where} is used up", f"Delete files or ask for a larger quota and {RESUME}, or set PENUMBRA_HOME to another folder"
    elif rule == "file_size":
        fault, advice = f"a file in {where} would be larger than this session allows", f"Raise the limit (ulimit -f unlimited) and {RESUME}"
    elif rule == "home_writable" and _closed(error):
        rule, fault, advice = "files_readable", f"a file in {where} cannot be read", f"Check the permissions and {RESUME}"
    elif rule == "home_writable":
        fault, advice = f"{where} cannot be written{unwritable(home)}", WRITABLE
    elif rule == "open_files":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        fault, advice = f"too many files are open (limit {limit})", f"Raise the limit (ulimit -n 4096) and {RESUME}"
    else:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        bound = "" if limit == resource.RLIM_INFINITY else f" (limit {limit // MB} MB)"
        fault, advice = f"the memory is used up{bound}", f"End other programs or raise the limit, and {RESUME}"
    return Refusal(rule, fault, advice)


def _closed(error: BaseException) -> bool:
    """Whether what may not be opened is there and may not even be read."""
    for each in _chain(error):
        if isinstance(each, OSError) and isinstance(each.filename, str | os.PathLike):
            return Path(each.filename).exists() and not os.access(each.filename, os.R_OK)
    return False


def _disk_space(where: str, place: Path) -> Refusal:
    fault = f"the disk of {where} is full ({_free_mb(place):.0f} MB free)"
    return Refusal("disk_space", fault, f"Free some space and {RESUME}, or set PENUMBRA_HOME to a folder on a larger disk")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, those it was raised from, and the members of groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if type(each).__name__ != "_RemoteTraceback":  # the lines of a worker's program, not words of an error
            yield each
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def _where(error: BaseException, home: Path) -> tuple[str, Path]:
    """In words where it happened, and a folder there."""
    for each in _chain(error):
        if isinstance(each, OSError) and isinstance(each.filename, str | os.PathLike):
            path = Path(os.path.abspath(each.filename))  # noqa: PTH100 no link is resolved
            if path.is_relative_to(home):
                below = path.relative_to(home).parts
                return (f"{below[0]}/ in the state folder" if len(below) > 1 else "the state folder"), home
            if path.is_relative_to(tempfile.gettempdir()):
                return "the temporary folder (TMPDIR)", Path(tempfile.gettempdir())
            return "a folder outside of the state folder", path.parent
        named = re.search(r'"(/[^"]+)"', str(each)) if type(each).__module__.endswith("duckdb") else None  # it names the file in its words
        if named and not Path(named[1]).is_relative_to(home.resolve()) and not Path(named[1]).is_relative_to(home):
            return "a folder outside of the state folder", Path(named[1]).parent
    temporary = Path(tempfile.gettempdir())
    if _free_mb(home) > LITTLE_MB > _free_mb(temporary):
        return "the temporary folder (TMPDIR)", temporary
    return "the state folder", home


def _probed(home: Path) -> str:
    """What ran out, where the error does not tell: asked of the system itself. "" when nothing is wrong now."""
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
    except OSError as error:
        return NUMBERS.get(error.errno or 0, "")
    if min(_free_mb(home), _free_mb(Path(tempfile.gettempdir()))) < LITTLE_MB:
        return "disk_space"
    if home.is_dir() and unwritable(home):
        return "home_writable"
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return "file_size"
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return "memory_enough"
    return ""


def unwritable(home: Path) -> str:
    """Why nothing can be written in the folder, in parentheses; "" when it can."""
    if home.is_dir() and os.statvfs(home).f_flag & os.ST_RDONLY:
        return " (read-only file system)"
    return "" if os.access(home if home.is_dir() else home.parent, os.W_OK) else " (no permission)"


def _free_mb(place: Path) -> float:
    while not place.is_dir() and place != place.parent:
        place = place.parent
    filesystem = os.statvfs(place)
    return filesystem.f_bavail * filesystem.f_frsize / MB


def give_way() -> None:
    """From now on this process and those that it starts let others have the processor first: people who look at pages or ask the store, next to a retraining.

    An idle machine is as fast as before. A process that already gives way as much, or more, stays as it is.
    """
    with contextlib.suppress(OSError):  # not everywhere
        os.nice(max(0, NICENESS - os.nice(0)))
