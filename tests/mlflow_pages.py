"""Pictures of MLflow's own pages over a state folder, for the manual: `python -m tests.mlflow_pages ADDRESS FOLDER` remakes docs/mlflow/.

ADDRESS is that of `penumbra mlflow`. Each page is waited for until the numbers that it is shown for are on it.
"""

import sys
import time
from pathlib import Path

from .console.browser import Browser, browser

MODEL = "nsclc-os"
WIDTH, HEIGHT = 1400, 1000


def taken(chromium: Browser, address: str, folder: Path) -> None:
    """The page of version 1, with its description."""
    with chromium.tab() as tab:
        tab.size(WIDTH, HEIGHT)
        tab.go(f"{address}/#/models/{MODEL}/versions/1")
        tab.until("document.body.innerText.includes('cross-fitted')")
        time.sleep(1)  # its tables are laid out once more
        tab.picture(folder / "version.png", whole=False)


def main() -> None:
    address, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        taken(chromium, address, folder)


if __name__ == "__main__":
    main()
