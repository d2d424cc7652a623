"""`penumbra init`: a project of one's own from the defaults of the package, and what newer defaults changed in it."""

import contextlib
import difflib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penumbra.base.documents import Document, DocumentError
from penumbra.base.project import DEFAULTS, MADE_FROM, is_made
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder, write_whole
from penumbra.commands.merge import Conflict, merge

README = """# {name}

A project of penumbra: what this department declares, and the state that its runs leave.

    penumbra run --cohort FOLDER     from FOLDER/<center>/clinical.csv and <patient>/ to a registered model
    penumbra                         where am I, and what to type next?
    penumbra doctor                  is everything as it should be?

`params.yaml` has every number, `features/` the rings and features, `models/` the models and the intended use; `data/` has all state and is not in git.
After an update of penumbra: `penumbra init --update` shows what the defaults changed.
"""
GIT_IGNORE = "/data/\n/dvc_plots/\n/.dvc/tmp/\n/.dvc/cache/\n/.dvc/config.local\n"
DVC = "[core]\n    analytics = false\n"
STAGED = "penumbra-init"  # the folder next to or in a project that is being made


@dataclass(frozen=True)
class MadeFrom(Document):
    """version: of penumbra. files: path -> text of the defaults that the project's own were made from."""

    version: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """What newer defaults changed in one file. text: the project's file with it, None: the file goes. base: the defaults that this text is made from."""

    path: str
    shown: str
    text: str | None
    base: str | None
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class Update:
    """What newer defaults changed. project: its folder. before, now: versions of penumbra."""

    project: Path
    before: str
    now: str
    changes: tuple[Change, ...] = field(default=())


def defaults() -> dict[str, str]:
    """Path -> text of every declaration that a project has a copy of."""
    paths = ("params.yaml", "dvc.yaml", *sorted(path.relative_to(DEFAULTS).as_posix() for path in DEFAULTS.glob("[fm]*/*.yaml")))
    return {path: (DEFAULTS / path).read_text(encoding="utf-8") for path in paths}


def version() -> str:
    """Of penumbra, as it is installed."""
    return importlib.metadata.version("penumbra-survival")


def init(folder: Path) -> list[str]:
    """Make a project in `folder`, which is new, empty, or holds only a repository of git; what was set up. It is there whole or not at all.

    Raises
    ------
    Refusal
        "project_is_new": it is a project, or holds other files.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 the links of a path are the user's own
    if is_made(folder):
        raise Refusal("project_is_new", "the folder is a project already", "penumbra init --update shows what newer defaults changed in it")
    if os.path.lexists(folder) and not folder.is_dir():
        raise Refusal("project_is_new", "there is a file of this name", "Name a new folder")
    content = _content(folder)
    strange = sorted(path.name for path in folder.iterdir() if not _ours(path, content)) if folder.is_dir() else []
    if strange:
        listed = ", ".join(strange[:3]) + (" and more" if strange[3:] else "")
        raise Refusal("project_is_new", f"the folder is not empty: {listed}", "Name a new or an empty folder")
    with contextlib.ExitStack() as stack:
        if folder.is_dir():
            made = folder / f".{STAGED}"
            shutil.rmtree(made, ignore_errors=True)  # of one that was stopped
            stack.callback(shutil.rmtree, made, ignore_errors=True)
            made.mkdir()
        else:
            made = stack.enter_context(whole_folder(folder))
        for path, text in content.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8")
        steps = _set_up_git(made, folder)
        if made.parent == folder:
            for path in (*(path for path in content if path != MADE_FROM), ".git", MADE_FROM):  # the last one makes it a project
                if (made / path).exists():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (made / path).replace(folder / path)
    return [f"{len(defaults())} files of the defaults of penumbra {version()}", *steps]


def _content(folder: Path) -> dict[str, str]:
    """Path -> text of everything in a new project."""
    copied = defaults()
    document = json.dumps(MadeFrom(version(), copied).to_json(), indent=1) + "\n"
    dvc = DVC if _repository(folder) or shutil.which("git") else f"{DVC}    no_scm = true\n"
    others = {"README.md": README.format(name=folder.name), ".gitignore": GIT_IGNORE, ".dvcignore": "", ".dvc/config": dvc, MADE_FROM: document}
    return copied | others


def _ours(path: Path, content: Mapping[str, str]) -> bool:
    """Whether something in the folder is a repository, or what an init that was stopped left: a part of it, unchanged."""
    if path.name in (".git", f".{STAGED}"):
        return True
    files = [path] if path.is_file() else [each for each in path.rglob("*") if not each.is_dir()]
    return all(content.get(each.relative_to(path.parent).as_posix()) == _text(each) for each in files)


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return None


def _repository(folder: Path) -> bool:
    """Whether the folder is, or will be, in a repository of git."""
    return any(os.path.lexists(above / ".git") for above in (folder, *folder.parents))


def _set_up_git(made: Path, folder: Path) -> list[str]:
    """A repository in `made` where git is there and `folder` is in none; what is said of git and DVC."""
    git = shutil.which("git")
    if _repository(folder):
        steps = ["git: the repository that is there"]
    elif git is None:
        steps = ["no git on this machine: changes of the declarations are not kept"]
    else:
        subprocess.run([git, "init", "--quiet"], cwd=made, check=True, capture_output=True)
        steps = ["git: a new repository; nothing is committed yet"]
    dvc = importlib.util.find_spec("dvc") is not None
    return [*steps, "DVC: set up, penumbra run records what it made" if dvc else "DVC is not installed: its files are there, nothing is recorded"]


def made_from(project: Path) -> MadeFrom:
    """The defaults that a project was made from.

    Raises
    ------
    Refusal
        "project_record" where the record is damaged.
    """
    try:
        return MadeFrom.from_json(json.loads((project / MADE_FROM).read_text(encoding="utf-8")))
    except (OSError, ValueError, DocumentError) as error:
        raise Refusal("project_record", f"{MADE_FROM} cannot be read ({type(error).__name__})", "Restore it from git") from None


def compare(project: Path, *, keep_own: bool = False) -> Update:
    """Compare today's defaults with those that the project was made from, and both with the project's own files. Nothing is written.

    Parameters
    ----------
    keep_own
        Where both changed the same lines, settle on the project's own: they are no conflict any more, now and later.
    """
    record, today = made_from(project), defaults()
    changes = (_change(project, path, record.files.get(path), today.get(path), keep_own) for path in sorted(record.files.keys() | today.keys()))
    return Update(project, record.version, version(), tuple(change for change in changes if change is not None))


def _change(project: Path, path: str, before: str | None, today: str | None, keep_own: bool) -> Change | None:
    if before == today:
        return None
    text = _text(project / path)
    difference = difflib.unified_diff((before or "").splitlines(True), (today or "").splitlines(True), f"{path} (before)", f"{path} (now)")
    shown = "".join(line if line.endswith("\n") else f"{line}\n" for line in difference)
    if text == today:
        return Change(path, "", text, today)
    if text == before:
        return Change(path, shown, today, today)
    if text is None or today is None or before is None:  # one side removed the file, or both added it
        what = "the project has removed it" if text is None else "the defaults have removed it" if today is None else "both have added it"
        settled = today if keep_own else before
        return Change(path, shown, text, settled, () if keep_own else (Conflict(1, what),))
    merged = merge(before, text, today, keep_own=keep_own)
    return Change(path, shown, merged.text, merged.base, merged.conflicts)


def apply(update: Update) -> None:
    """Write what does not conflict, and the defaults that the project's files are made from now; after a kill the same command completes it."""
    files = dict(made_from(update.project).files)
    for change in update.changes:
        path = update.project / change.path
        if change.text is None:
            path.unlink(missing_ok=True)
        elif change.text != _text(path):
            write_whole(path, change.text)
        if change.base is None:
            files.pop(change.path, None)
        else:
            files[change.path] = change.base
    write_whole(update.project / MADE_FROM, json.dumps(MadeFrom(update.now, files).to_json(), indent=1) + "\n")


def lines(update: Update, *, applied: bool) -> Iterator[str]:
    """What `penumbra init --update` prints: the changes of the defaults as a diff, then conflicts."""
    shown = [change for change in update.changes if change.shown]
    if not shown:
        yield f"The defaults of penumbra {update.now} are those that this project was made from."
        return
    yield f"The defaults changed between penumbra {update.before} and {update.now} in {len(shown)} {'file' if len(shown) == 1 else 'files'}:"
    yield ""
    yield from (line for change in shown for line in change.shown.splitlines())
    conflicts = [(change.path, conflict) for change in shown for conflict in change.conflicts]
    if conflicts:
        yield ""
    for path, conflict in conflicts:
        yield f"Conflict in {path}, line {conflict.line}: {conflict.what}; {'left as it is' if applied else 'it would be left as it is'}."
