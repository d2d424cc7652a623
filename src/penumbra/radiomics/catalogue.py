"""The catalogue: every feature with its family, image, IBSI identifier, unit and meaning.

python -m penumbra.radiomics.catalogue [--out features/catalogue.csv]
"""

import argparse
import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penumbra.base.params import project_root
from penumbra.radiomics.definitions import DEFINITIONS
from penumbra.radiomics.settings import Settings, load_settings

COLUMNS = ("feature", "family", "image", "name", "ibsi", "unit", "meaning")


def catalogue(settings: Path | str | Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """One row for each feature that `extract` gives with these settings, in the order of `feature_names`; columns as in COLUMNS."""
    loaded = load_settings(settings)
    rows = []
    for feature in loaded.names:
        image, family, name = feature.split("_")
        definition = DEFINITIONS[family][name]
        rows.append(
            {
                "feature": feature,
                "family": family,
                "image": image,
                "name": name,
                # IBSI 1 defines features on an image without a filter; on a filtered one the identifier names the same formula.
                "ibsi": definition.ibsi,
                "unit": _unit(definition.unit, loaded),
                "meaning": definition.meaning,
            }
        )
    return rows


def _unit(unit: str, settings: Settings) -> str:
    if not unit.startswith("u"):
        return unit
    intensity = f"sd/{settings.normalize_scale:g}" if settings.normalize else "HU"
    power, _, suffix = unit[1:].partition(" ")
    return f"({intensity}){power} {suffix}".strip() if power else intensity


def main(arguments: list[str] | None = None) -> int:
    """Writes the catalogue of features/radiomics.yaml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=project_root() / "features" / "catalogue.csv")
    options = parser.parse_args(arguments)
    rows = catalogue()
    with options.out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"{len(rows)} features in {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
