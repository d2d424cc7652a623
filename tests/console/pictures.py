"""The pictures of docs/console.md, from a finished simulated run: `python -m tests.console.pictures HOME` writes docs/console/*.png.

Each picture is one page at three widths next to each other: a desk, a tablet in the dark, a phone. Few colors and half size keep them small.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from . import serving
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
    "comparison": "/models/compare?versions=1",
    "decisions": "/decisions",
    "features": "/features?q=Mesh",
    "feature": "/features/original_shape_MeshVolume?roi=gtv",
    "tables": "/tables",
    "table": "/tables/patients",
    "sql": "/sql?q=SELECT%20center%2C%20avg(age)%20AS%20age%2C%20count(*)%20AS%20n%20FROM%20patients%20GROUP%20BY%20ALL%20ORDER%20BY%20ALL",
    "health": "/health",
}
SIZES = ((1280, False), (820, True), (390, False))
TALLEST, SCALE, GAP = 2000, 0.5, 12


def picture(tab: Tab, address: str, folder: Path) -> Image.Image:
    """One page at three widths."""
    parts = []
    for width, dark in SIZES:
        tab.size(width, dark=dark)
        tab.go(address)
        tab.run("new Promise(done => setTimeout(done, 1500))")
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
    return sheet.quantize(96, dither=Image.Dither.NONE)


def main() -> None:
    home = Path(sys.argv[1]).resolve()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        copied = Path(scratch) / "home"
        shutil.copytree(home, copied, symlinks=True, ignore=shutil.ignore_patterns("simulated"))
        with serving.served(copied) as console, browser() as running, running.tab() as tab:
            for name, address in PAGES.items():
                picture(tab, console.address + address, Path(scratch)).save(FOLDER / f"{name}.png", optimize=True)
                print(name, *tab.faults)


if __name__ == "__main__":
    main()
