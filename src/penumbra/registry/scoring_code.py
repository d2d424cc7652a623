"""The code that travels with a logged model: the few modules that scoring needs, so that a version answers where penumbra is not installed.

They become a package of their own whose name ends in the hash of its content. Under the name `penumbra` it would hide an installed penumbra, or be
hidden by it; and two versions of different code can be loaded in one process.
"""

import ast
import contextlib
import hashlib
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENTRY = "registry/pyfunc.py"  # what MLflow runs; next to the package, not in it
NAME = "penumbra_scoring_{}"
HASH_LENGTH = 8
OWN_IMPORT = re.compile(r"^(\s*)(from|import) penumbra\b", re.MULTILINE)


def write_scoring_code(folder: Path) -> tuple[Path, Path]:
    """Write MLflow's code file and the package that it imports into a folder; returns both.

    Raises
    ------
    ValueError
        "penumbra/fusion/model.py imports penumbra.fusion, a package: name the module" for an import that the package cannot have.
    """
    names = required_modules()
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*names, ENTRY)}
    digest = hashlib.sha256("".join(f"{name}\n{text}" for name, text in sorted(texts.items())).encode()).hexdigest()
    package = NAME.format(digest[:HASH_LENGTH])
    for name in names:
        target = folder / package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_renamed(texts[name], package), encoding="utf-8")
    for place in {folder / package, *((folder / package / name).parent for name in names)}:
        (place / "__init__.py").touch()
    entry = folder / Path(ENTRY).name
    entry.write_text(_renamed(texts[ENTRY], package), encoding="utf-8")
    return entry, folder / package


def required_modules() -> tuple[str, ...]:
    """The modules of penumbra that MLflow's code file reaches by imports, as paths below the package, sorted; the file itself left out."""
    modules: set[str] = set()
    waiting = [ENTRY]
    while waiting:
        additions = {name for name in _imported(waiting.pop()) if name not in modules}
        modules |= additions
        waiting += sorted(additions)
    return tuple(sorted(modules))


@contextlib.contextmanager
def importable(package: Path) -> Iterator[None]:
    """Let the package be imported while MLflow tries what it saves; afterwards this process has not seen it."""
    sys.path.insert(0, str(package.parent))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(package.parent))
        for name in [name for name in sys.modules if name.split(".")[0] == package.name]:
            del sys.modules[name]


def _imported(name: str) -> Iterator[str]:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    typing_only = {inner for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            if module.split(".")[0] != "penumbra":
                continue
            path = "/".join(module.split(".")[1:]) + ".py"
            if not (ROOT / path).is_file():
                raise ValueError(f"penumbra/{name} imports {module}, a package: name the module")
            yield path


def _renamed(text: str, package: str) -> str:
    return OWN_IMPORT.sub(rf"\1\2 {package}", text)
