"""The pictures of docs/console.md: `python -m tests.console.pictures HOME [NAME ...]` writes docs/console/*.png.

Each picture is one page at three widths next to each other: a desk, a tablet in the dark, a phone; few colors and half size keep them small. HOME is a
finished simulated run; decisions and comparisons are those of tests/console/versions_home.py, which has two versions.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from . import serving, versions_home
from .browser import Tab, browser

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "console"
# Name of the picture -> the page. Simulated patients only.
PAGES = {
    "overview": "/",
    "patients": "/patients",
    "patient": "/patients/E001",
    "centers": "/centers",
    "center": "/centers/east",
    "models": "/models",
    "model": "/models/1",
    "features": "/features?q=Mesh",
    "feature": "/features/original_shape_MeshVolume?roi=gtv",
    "tables": "/tables",
    "table": "/tables/patients",
    "sql": "/sql?q=SELECT%20center%2C%20avg(age)%20AS%20age%2C%20count(*)%20AS%20n%20FROM%20patients%20GROUP%20BY%20ALL%20ORDER%20BY%20ALL",
    "health": "/health",
    "log": "/log",
}
WITH_ACTIONS = {"action": "/actions/withdraw?patient=E001&center=east"}
WITH_TOKEN = {"sign_in": "/sign-in"}
TOKEN = MappingProxyType({"PENUMBRA_CONSOLE_TOKEN": "a token for the picture"})
OF_TWO_VERSIONS = {"comparison": "/models/compare?versions=1,2", "decisions": "/decisions", "decision": "/decisions/east"}
SIZES = ((1280, False), (820, True), (390, False))
TALLEST, SCALE, GAP = 2000, 0.5, 12


def picture(tab: Tab, address: str, folder: Path) -> Image.Image:
    """One page at three widths."""
    parts = []
    for width, dark in SIZES:
        tab.size(width, dark=dark)
        tab.go(address)
        tab.run("window.scrollTo(0, document.body.scrollHeight)")
        tab.until("!document.querySelector('a[data-load], [aria-busy=true]') && [...document.images].every(image => image.complete)")
        tab.run("new Promise(done => setTimeout(done, 1000))")
        tab.run("window.scrollTo(0, 0)")
        tab.picture(folder / "part.png")
        with Image.open(folder / "part.png") as part:
            whole = part.convert("RGB")
        whole = whole.crop((0, 0, whole.width, min(whole.height, TALLEST)))
        parts.append(whole.resize((round(whole.width * SCALE), round(whole.height * SCALE)), Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (sum(part.width + GAP for part in parts) + GAP, max(part.height for part in parts) + 2 * GAP), "#9aa0a6")
    left = GAP
    for part in parts:
        sheet.paste(part, (left, GAP))
        left += part.width + GAP
    return sheet.quantize(200, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def pictures(home: Path, pages: dict[str, str], scratch: Path, *options: str, more: Mapping[str, str] | None = None) -> None:
    """Of pages over one home."""
    if sys.argv[2:] and not pages.keys() & set(sys.argv[2:]):
        return
    with serving.served(home, *options, more=more) as console, browser() as running, running.tab() as tab:
        for name, address in pages.items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            picture(tab, console.address + address, scratch).save(FOLDER / f"{name}.png", optimize=True)
            print(name, *tab.faults)


def main() -> None:
    from penumbra.registry.database import client, quiet_mlflow

    home = Path(sys.argv[1]).resolve()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        shutil.copytree(home, scratch / "home", symlinks=True, ignore=shutil.ignore_patterns("simulated"))
        pictures(scratch / "home", PAGES, scratch)
        pictures(scratch / "home", WITH_ACTIONS, scratch, "--allow-actions")
        pictures(scratch / "home", WITH_TOKEN, scratch, more=TOKEN)
        (scratch / "registry" / "mlflow").mkdir(parents=True)
        with quiet_mlflow():
            client(scratch / "registry")
        pictures(versions_home.make(scratch / "two", scratch / "registry", newest="west").home, OF_TWO_VERSIONS, scratch)


if __name__ == "__main__":
    main()
