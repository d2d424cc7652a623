"""Other engines of radiomics on the same tumors, in turns in one run, with their values: python -m penumbra.bench.peers --peers FOLDER.

The 107 features of the original image, which all of them have, in bins of 25 HU, one thread, images in memory; LUNG1-001's tumor and crops of real patients.
FOLDER has an environment for each engine (`make bench-peers` makes them). Values are compared with PyRadiomics by their names without punctuation. The last
line is one JSON object.
"""

import argparse
import contextlib
import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base import tables
from penumbra.base.params import project_root
from penumbra.bench.patients import crops, lung1_001, shared_data
from penumbra.imaging import Mask, Scan

ROUNDS, LIMIT_S, MARGIN, EQUAL = 3, 60.0, 5, 1e-6
PENUMBRA, REFERENCE = "penumbra", "pyradiomics"  # in this environment
ENGINES = (PENUMBRA, REFERENCE, "pyradiomics-cuda", "flash-radiomics", "fastrad")
SCRIPT = Path("infra", "peer.py")  # what is run in the environment of each, where this program is not
NOTHING = "nothing in a minute"


@dataclass
class Engine:
    """An engine's process; one that did not answer in time is gone."""

    name: str
    process: "subprocess.Popen[str]"

    def ask(self, case: Path) -> Mapping[str, Any] | None:
        """What it says of a case; None when it takes too long, or ended."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        if self.process.poll() is not None:
            return None
        stdin.write(f"{case}\n")
        stdin.flush()
        line = stdout.readline() if select.select([stdout], [], [], LIMIT_S)[0] else ""
        if not line:
            self.end()
            return None
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End its process."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.process.wait()


def export(folder: Path, cases: Sequence[tuple[str, Scan, Mapping[str, Mask]]]) -> Mapping[str, int]:
    """Write the box of each tumor as image.nrrd and mask.nrrd; voxels of the tumors by name."""
    import SimpleITK as sitk

    sizes = {}
    for name, scan, masks in cases:
        inside = masks["gtv"].values
        corners = np.argwhere(inside)
        box = tuple(slice(max(low - MARGIN, 0), high + MARGIN + 1) for low, high in zip(corners.min(0), corners.max(0), strict=True))
        (folder / name).mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(scan.image.values[box].astype(np.int16)), str(folder / name / "image.nrrd"))
        sitk.WriteImage(sitk.GetImageFromArray(inside[box].astype(np.uint8)), str(folder / name / "mask.nrrd"))
        sizes[name] = int(np.count_nonzero(inside))
    return sizes


def measure(peers: Path, sizes: Mapping[str, int], folder: Path) -> dict[str, dict[str, Any]]:
    """By engine and case: the lowest processor seconds of some rounds in which the engines take turns, and how many values agree."""
    pythons = {name: Path(sys.executable) if name in (PENUMBRA, REFERENCE) else peers / name / "bin" / "python" for name in ENGINES}
    engines = [Engine(name, started(python, name)) for name, python in pythons.items() if python.is_file()]
    answers: dict[str, dict[str, Mapping[str, Any]]] = {engine.name: {} for engine in engines}
    for _ in range(ROUNDS):
        for case in sizes:
            for engine in engines:
                answer = engine.ask(folder / case)
                before = answers[engine.name].get(case)
                if answer is not None and (before is None or answer["seconds"] < before["seconds"]):
                    answers[engine.name][case] = answer
    for engine in engines:
        engine.end()
    reference = answers[REFERENCE]
    return {
        name: {case: {"seconds": answer["seconds"], **agreement(answer["values"], reference[case]["values"])} for case, answer in of_case.items()}
        for name, of_case in answers.items()
    }


def started(python: Path, name: str) -> "subprocess.Popen[str]":
    """The process of an engine, in its environment."""
    return subprocess.Popen([python, "-P", project_root() / SCRIPT, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def agreement(values: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, Any]:
    """How many of PyRadiomics' features an engine has by name, how many are equal to within 1e-6, and the largest difference among those."""
    by_name = {_plain(name): value for name, value in values.items()}
    common = [name for name in reference if name.startswith("original_") and _plain(name) in by_name]
    differences = [abs(by_name[_plain(name)] - reference[name]) / max(abs(reference[name]), 1e-12) for name in common]
    equal = [each for each in differences if each <= EQUAL]
    return {"compared": len(differences), "equal": len(equal), "largest": max(equal, default=float("nan"))}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower().replace("original_", "") if letter.isalnum())


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="folder of environments, one for each engine")
    options = parser.parse_args()
    data = shared_data()
    cases = [("LUNG1-001", *lung1_001(data)[:2]), *((f"crop {place}", scan, masks) for place, (_, scan, masks) in enumerate(crops(3, data), 1))]
    with tempfile.TemporaryDirectory() as folder:
        sizes = export(Path(folder), cases)
        result = measure(options.peers, sizes, Path(folder))
    header = ["engine", *(f"{name}\n{size} voxels" for name, size in sizes.items()), "values"]
    body = []
    for name, of_case in result.items():
        cells = [f"{of_case[case]['seconds']:.3f}" if case in of_case else NOTHING for case in sizes]
        worst = min(of_case.values(), key=lambda each: each["equal"], default=None)
        body.append([name, *cells, "-" if worst is None else f"{worst['equal']} of {worst['compared']} within {worst['largest']:.0e}"])
    print(tables.render(header, body))
    print(json.dumps({f"{name}: {case}": round(one["seconds"], 4) for name, of_case in result.items() for case, one in of_case.items()}))


if __name__ == "__main__":
    main()
