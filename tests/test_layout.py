"""The house of ARCHITECTURE.md: eight floors, packages only, imports that point down, and no names of what does not exist."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from .english import ROOT

PACKAGE = ROOT / "src" / "penumbra"
LONGEST, IMPORTS = 400, 90


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("penumbra", cache_dir=None)


def package(module: str) -> str:
    """penumbra.store.writer -> store."""
    return module.split(".")[1] if "." in module else ""


def test_imports_point_down_the_eight_floors() -> None:
    linted = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
    assert "1 kept, 0 broken" in linted.stdout
    floors = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert floors is not None
    rows = [set(re.findall(r"penumbra\.(\w+)", row)) for row in floors[1].strip().splitlines()]
    assert len(rows) == 8
    there = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__", "defaults"}  # the second: declarations, no code
    assert set.union(*rows) == there, "every package has its floor"


def test_nothing_lies_loose() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == {"__init__.py", "py.typed"}


def test_packages_import_few_others(graph: grimp.ImportGraph) -> None:
    """An import is counted once for each pair of packages, however many modules make it."""
    pairs = {(package(a), package(b)) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)}
    between = {(a, b) for a, b in pairs if a and b and a != b}
    assert len(between) <= IMPORTS, sorted(between)


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    waiting = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while free := {module for module, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {module: needs for module, needs in waiting.items() if module not in free}
    assert sorted(waiting) == [], "these import each other, or what does"


def test_no_module_is_long() -> None:
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "flows").glob("*.py")]
    }
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


NAMED = re.compile(r"`([\w./<>*-]+)`")
THEIRS = {"clinical.csv", "clinical.yaml"}  # what a center sends
ENDINGS = (".py", ".yaml", ".md", ".sql", ".toml", ".lock", ".in", ".sh")


def paths_of(page: Path) -> list[str]:
    """What a page names in backquotes and looks like a file or a folder of this project."""
    names = [name for name in NAMED.findall(page.read_text(encoding="utf-8")) if not set("<*") & set(name)]
    return [
        name
        for name in names
        if name not in {*THEIRS, *ENDINGS}
        and name.endswith((*ENDINGS, "/"))
        and not name.startswith(("/", "data/", "dist/", "incoming/", "manifests/", "reports/"))
    ]


def exists(name: str) -> bool:
    """Under the root, in the package, or, for a plain file name, anywhere below one of them."""
    if (ROOT / name).exists() or (PACKAGE / name).exists():
        return True
    return "/" not in name.rstrip("/") and any(
        next((ROOT / top).rglob(name.rstrip("/")), None) for top in ("src", "features", "models", "flows", "infra", "docs", "tests")
    )


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_a_page_names_nothing_that_does_not_exist(page: str) -> None:
    named = paths_of(ROOT / page)
    assert named or page == "README.md"
    assert [name for name in named if not exists(name)] == []


PATHS = re.findall(r"^([^\n]+):\n\n((?:\d\. [^\n]+\n){5})", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
PLACE = re.compile(r"`([\w/]+\.py)` `(\w+)`")


@pytest.mark.parametrize(("path", "lines"), PATHS, ids=[name for name, _ in PATHS])
def test_a_path_can_be_followed_by_its_names(path: str, lines: str, graph: grimp.ImportGraph) -> None:
    """Each function is where its line says, and is reached by imports from one that was named before, or reads what that one left."""
    places = PLACE.findall(lines)
    assert len(places) >= 5
    for file, name in places:
        text = ((ROOT if file.startswith("flows/") else PACKAGE) / file).read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b", text, re.MULTILINE), f"{file} has no {name}"
    modules = ["penumbra." + file.removesuffix(".py").replace("/", ".") for file, _ in places]
    entries = {module for module in modules if module.startswith(("penumbra.pipeline.", "penumbra.commands."))}  # each begins from what the one before left
    for i, module in enumerate(modules[1:], 1):
        before = modules[:i]
        assert module in entries or any(graph.chain_exists(importer=earlier, imported=module) for earlier in before), f"nothing before leads to {module}"


def test_three_paths_are_told() -> None:
    assert len(PATHS) == 3


INVARIANTS = re.findall(r"^\| [^|]+ \| `([\w/]+\.py)`, `(test_\w+)` \|$", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("file", "test"), INVARIANTS)
def test_what_always_holds_has_its_test(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_six_invariants_are_named() -> None:
    assert len(INVARIANTS) == 6


def is_above(name: str) -> bool:
    """Whether a command is on the floor above the commands."""
    return (ROOT / "flows" / f"{name}.py").is_file() or (PACKAGE / name).is_dir()


def test_every_command_is_a_file_of_its_name() -> None:
    """A stage is one in pipeline/, any other command one in commands/; serve belongs to the flows, and the console is a package."""
    from penumbra.cli import main
    from penumbra.pipeline.stages import BY_NAME

    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")}
    names = {name.replace("-", "_") for name in main.commands}
    assert {name for name in BY_NAME if not (PACKAGE / "pipeline" / f"{name}.py").is_file()} == set()
    assert {name for name in names - BY_NAME.keys() if name not in files and f"{name}_" not in files and not is_above(name)} == set()
