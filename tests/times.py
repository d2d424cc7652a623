"""Where the time of the tests goes: `pytest -p tests.times` writes a line per test with its seconds on the wall and of the processors, with those of the
processes it started; `python -m tests.times FILE` sums them up by file."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

FILE = Path(os.environ.get("PENUMBRA_TEST_TIMES", "test_times.tsv"))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    wall, processor = time.perf_counter(), sum(os.times()[:4])
    yield
    row = f"{item.nodeid}\t{time.perf_counter() - wall:.3f}\t{sum(os.times()[:4]) - processor:.3f}\t{os.environ.get('PYTEST_XDIST_WORKER', '')}\n"
    with FILE.open("a") as lines:
        lines.write(row)


def by_file(text: str) -> list[tuple[str, int, float, float]]:
    """File, tests, wall seconds and processor seconds, most processor seconds first."""
    tests: Counter[str] = Counter()
    wall: Counter[str] = Counter()
    processor: Counter[str] = Counter()
    for line in text.splitlines():
        name, seconds, used, _ = line.rsplit("\t", 3)
        file = name.partition("::")[0]
        tests[file] += 1
        wall[file] += float(seconds)
        processor[file] += float(used)
    return [(file, tests[file], wall[file], processor[file]) for file, _ in processor.most_common()]


if __name__ == "__main__":
    rows = by_file(Path(sys.argv[1]).read_text())
    for file, count, seconds, used in rows:
        print(f"{used:8.1f} {seconds:8.1f} {count:5d}  {file}")
    tests, wall, processor = (sum(row[place] for row in rows) for place in (1, 2, 3))
    print(f"{processor:8.1f} {wall:8.1f} {tests:5d}  all: processor seconds, wall seconds, tests")
