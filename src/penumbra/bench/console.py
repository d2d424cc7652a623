"""The console's pages: seconds of each at the size of a study and of a registry, and 20 people next to a retraining.

python -m penumbra.bench.console [--large 100000] [--large-home HOME] [--seconds 60]

The state folder (PENUMBRA_HOME) is a finished run; a copy of it is retrained meanwhile. The large store is made as penumbra.bench.store makes it, unless
--large-home names one. A table for people, and as the last line one JSON object.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from penumbra import store
from penumbra.base import tables
from penumbra.base.params import state_home
from penumbra.bench.store import BATCH, FEATURES, fill

PEOPLE, PAUSE_S, SECONDS, START_S = 20, 2.0, 60.0, 120.0
TIMES, PATIENCE_S = 10, 15.0  # each page is asked for so often, or so long, after once that is not counted
FILTERED = "?column1=center&operator1=%3D&value1=east&sort=-time&page=3"
STATEMENT = quote("SELECT center, count(*) AS patients, count(*) FILTER (event) AS deaths FROM patients GROUP BY center")
PENUMBRA = (sys.executable, "-m", "penumbra.cli")
COMMON = (
    "/",
    "/patients",
    "/patients?center=east&page=2",
    "/patients/{patient}",
    "/centers",
    "/centers/{center}",
    "/models",
    "/decisions",
    "/tables",
    "/tables/patients",
    f"/tables/patients{FILTERED}",
    "/tables/gtv_outcome",
    "/tables/radiomics",
    "/tables/radiomics?page=100",
    "/tables/radiomics?sort=-{feature}&show=patient&show=roi&show={feature}",
    "/tables/radiomics_long",
    "/tables/radiomics_long?column1=patient&operator1=%3D&value1={patient}",
    "/tables/center_drift?sort=-smd",
    "/tables/coverage",
    "/tables/feature_statistics",
    f"/sql?q={STATEMENT}",
    "/features",
    "/features/{feature}",
)
OF_MODELS = ("/models/1", "/models/compare?versions=1", "/health")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=100_000, help="patients of the large store; 0: none")
    parser.add_argument("--large-home", type=Path, help="a store of that size that is there already")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the crowd")
    parser.add_argument("--folder", type=Path, help="where homes are copied and made; default: the system's temporary folder")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder) / "home"
        shutil.copytree(state_home(), home)
        figures |= pages("small", home, (*COMMON, *OF_MODELS))
        figures |= crowd(home, options.seconds)
        if options.large_home or options.large:
            large = options.large_home or made(Path(folder) / "large", options.large)
            figures |= pages("large", large, COMMON)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def made(home: Path, patients: int) -> Path:
    """A store of so many patients."""
    draw = np.random.default_rng(0)
    with store.connect(home) as lake:
        for first in range(0, patients, BATCH):
            fill(lake, first, min(BATCH, patients - first), draw)
    return home


def pages(name: str, home: Path, addresses: Sequence[str]) -> dict[str, float]:
    """Every page by itself: the first time, and the median and 95 % of later ones; printed as a table."""
    row = store.query(home, "SELECT patient, center FROM patients ORDER BY patient LIMIT 1").to_pylist()[0]
    feature = quote(FEATURES[900] if home.name == "large" or name == "large" else "original_shape_MeshVolume")
    lines: list[list[object]] = []
    started = time.perf_counter()
    with console(home) as port:
        status = settled(port, "/")
        figures = {f"{name}_start_s": time.perf_counter() - started}
        assert status == 200, f"/ answers {status}"
        for pattern in addresses:
            address = pattern.replace("{patient}", row["patient"]).replace("{center}", row["center"]).replace("{feature}", feature)
            first, status = timed(port, address)
            settled(port, address)
            late: list[float] = []
            while len(late) < TIMES and sum(late) < PATIENCE_S:
                late.append(timed(port, address)[0])
            print(f"{pattern}: {first:.2f} s, then {np.median(late):.2f} s", file=sys.stderr)
            lines.append([pattern.replace(STATEMENT, "..."), status, first, float(np.median(late)), float(np.quantile(late, 0.95))])
    print(tables.render([f"{name}: page", "status", "first, s", "median, s", "95 %, s"], lines))
    answered = [line for line in lines if line[1] in (200, 503)]
    medians, firsts = [float(str(line[3])) for line in answered], [float(str(line[2])) for line in answered]
    return figures | {f"{name}_median_s": float(np.median(medians)), f"{name}_slowest_median_s": max(medians), f"{name}_slowest_first_s": max(firsts)}


def crowd(home: Path, seconds: float) -> dict[str, float]:
    """Twenty people, each a page every two seconds, next to a retraining of the same home."""
    row = store.query(home, "SELECT patient, center FROM patients ORDER BY patient DESC LIMIT 1").to_pylist()[0]
    walk = [
        "/",
        "/patients",
        f"/patients/{row['patient']}",
        "/tables/patients",
        f"/tables/patients{FILTERED}",
        "/models",
        "/centers",
        "/tables/gtv_outcome",
        "/features",
    ]
    answers: list[tuple[float, int, str]] = []
    training = subprocess.Popen([*PENUMBRA, "retrain", "--center", arrived(home)], env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with console(home) as port:
            settled(port, "/")
            end = time.perf_counter() + seconds

            def person(number: int) -> None:
                time.sleep(PAUSE_S * number / PEOPLE)
                turn = number
                while time.perf_counter() < end:
                    address = walk[turn % len(walk)]
                    took, status = timed(port, address)
                    answers.append((took, status, address))
                    turn += 1
                    time.sleep(max(0.0, PAUSE_S - took))

            people = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
            for each in people:
                each.start()
            for each in people:
                each.join()
            trained_meanwhile = training.poll() is None
    finally:
        training.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            training.wait(60)
        training.kill()
        training.wait()
    late = np.array([took for took, _, _ in answers])
    errors = sum(status != 200 for _, status, _ in answers)
    figures = {"crowd_pages": len(answers), "crowd_errors": errors, "crowd_median_s": float(np.median(late)), "crowd_p95_s": float(np.quantile(late, 0.95))}
    figures |= {"crowd_slowest_s": float(late.max()), "crowd_retraining": float(trained_meanwhile)}
    print(tables.render([f"{PEOPLE} people, {seconds:g} s", ""], [[name, value] for name, value in figures.items()]))
    slow = {address: float(np.quantile([took for took, _, at in answers if at == address], 0.95)) for address in walk}
    print(tables.render(["page", "95 %, s"], [[address, value] for address, value in slow.items()]))
    return figures


def arrived(home: Path) -> str:
    """Let a simulated center arrive, with patients of its own, and its name."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*PENUMBRA, "simulate", f"{folder}/cohort", "--seed", "7"], env=environment(home), check=True, capture_output=True)
        east = Path(folder) / "cohort" / "east"
        for patient in sorted(east.glob("E*")):
            patient.rename(patient.with_name(patient.name.replace("E", "W")))
        table = east / "clinical.csv"
        table.write_text(re.sub(r"^E(?=\d)", "W", table.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
        shutil.copytree(east, home / "incoming" / "west")
    return "west"


def environment(home: Path) -> dict[str, str]:
    """Of a command over a home."""
    return {**os.environ, "PENUMBRA_HOME": str(home)}


def timed(port: int, address: str) -> tuple[float, int]:
    """Seconds and status of one page, asked for on a new connection without a copy of it."""
    started = time.perf_counter()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        line.request("GET", address)
        answer = line.getresponse()
        answer.read()
        return time.perf_counter() - started, answer.status
    finally:
        line.close()


def settled(port: int, address: str) -> int:
    """Ask until the page is there: one that is being computed answers 503. Returns its status."""
    end = time.perf_counter() + START_S
    while True:
        try:
            _, status = timed(port, address)
            if status != 503:
                return status
        except OSError:
            status = 0
        if time.perf_counter() > end:
            return status
        time.sleep(0.05 if not status else 1.0)


@contextlib.contextmanager
def console(home: Path) -> Iterator[int]:
    """A console over a home; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [*PENUMBRA, "console", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "PENUMBRA_HOME": str(home)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
