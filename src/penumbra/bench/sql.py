"""SQL from everywhere, in milliseconds: python -m penumbra.bench.sql [--times 30]; the state folder (PENUMBRA_HOME) is a finished run.

Short statements to a `penumbra serve-sql` of its own, each on a new connection; the same from the shell, in a new process each; and DuckDB's own client
over the script of `penumbra sql --script`. A table for people, and as the last line one JSON object.
"""

import argparse
import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from penumbra import store
from penumbra.base import tables
from penumbra.base.params import state_home
from penumbra.store.script import script
from penumbra.store.serving import TOKEN, free_port

TIMES, SHELL_TIMES, START_S = 30, 5, 60.0
FROM_SHELL = ("a constant", "two columns of radiomics", "wide view and outcome joined")
PENUMBRA = (sys.executable, "-m", "penumbra.cli")


def statements(home: Path) -> dict[str, str]:
    """What is asked, of a feature that the store has."""
    rows = store.query(home, "SELECT feature FROM radiomics_long WHERE roi = 'gtv' LIMIT 1").to_pylist()
    feature = rows[0]["feature"]
    return {
        "a constant": "SELECT 1 AS one",
        "an aggregate": "SELECT center, count(*) AS n, count(*) FILTER (event) AS deaths FROM patients GROUP BY center",
        "two columns of radiomics": f"SELECT patient, \"{feature}\" FROM radiomics WHERE roi = 'gtv' AND center = 'east'",  # noqa: S608 of the store
        "two columns of radiomics_long": f"SELECT patient, value FROM radiomics_long WHERE roi = 'gtv' AND feature = '{feature}' AND center = 'east'",  # noqa: S608
        "wide view and outcome joined": f'SELECT center, event, avg("{feature}") AS mean FROM radiomics JOIN patients USING (patient, center) '  # noqa: S608
        "WHERE roi = 'gtv' GROUP BY ALL",
        "every feature, aggregated": "SELECT feature, avg(value) AS mean FROM radiomics_long WHERE roi = 'gtv' GROUP BY feature",
    }


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Callable[[str], bytes]]:
    """A server that has opened the store; yields what asks it."""
    port, token = free_port("127.0.0.1", 0), secrets.token_hex(16)
    environment = {**os.environ, "PENUMBRA_HOME": str(home), TOKEN: token}
    process = subprocess.Popen([*PENUMBRA, "serve-sql", "--port", str(port)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(statement: str) -> bytes:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        try:
            line.request("POST", "/sql", json.dumps({"sql": statement}), {"Authorization": f"Bearer {token}"})
            answer = line.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return body
        finally:
            line.close()

    try:
        end = time.perf_counter() + START_S
        while time.perf_counter() < end:
            with contextlib.suppress(OSError):
                ask("SELECT 1 AS one")
                break
            time.sleep(0.1)
        time.sleep(5)  # the other processes open the store as well
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def milliseconds(work: Callable[[], object], times: int) -> tuple[float, float, float]:
    """The first time, and the median and 95 % of later ones."""
    late = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        late.append(1000 * (time.perf_counter() - started))
    return late[0], float(np.median(late[1:])), float(np.quantile(late[1:], 0.95))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    options = parser.parse_args()
    home, figures, lines = state_home(), dict[str, float](), list[list[object]]()

    def measure(name: str, statement: str, work: Callable[[], object], times: int) -> None:
        first, median, late = milliseconds(work, times)
        lines.append([name, statement, first, median, late])
        figures[f"{name}: {statement}, p50"], figures[f"{name}: {statement}, p95"] = median, late

    questions = statements(home)
    with serving(home) as ask:
        for statement, sql in questions.items():
            measure("serve-sql", statement, lambda: ask(sql), options.times)  # noqa: B023 called here
    for statement in FROM_SHELL:
        command = [*PENUMBRA, "sql", questions[statement]]
        measure("penumbra sql", statement, lambda: subprocess.run(command, check=True, capture_output=True), SHELL_TIMES)  # noqa: B023 called here
    import duckdb

    with duckdb.connect() as client:
        started = time.perf_counter()
        client.begin()
        client.execute(script(home))
        client.commit()
        figures["script_s"] = time.perf_counter() - started
        for statement, sql in questions.items():
            measure("DuckDB", statement, lambda: client.execute(sql).fetchall(), SHELL_TIMES)  # noqa: B023 called here
    print(tables.render(["asked by", "statement", "first, ms", "median, ms", "95 %, ms"], lines))
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
