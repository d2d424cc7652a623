"""What the tests ran of each package, by the data that pytest-cov left: `python -m tests.covered`."""

from collections import defaultdict
from pathlib import Path

from coverage import Coverage

SOURCE = Path(__file__).resolve().parents[1] / "src" / "penumbra"


def lines_of(coverage: Coverage) -> dict[str, tuple[int, int]]:
    """Package -> its statements and how many of them ran; flows/ is installed as penumbra.flows."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in coverage.get_data().measured_files():
        path = Path(file)
        package = path.relative_to(SOURCE).parts[0] if path.is_relative_to(SOURCE) else path.parent.name
        _, statements, _, missing, _ = coverage.analysis2(file)
        found[package][0] += len(statements)
        found[package][1] += len(statements) - len(missing)
    return {package: (statements, ran) for package, (statements, ran) in sorted(found.items()) if statements}


def main() -> None:
    coverage = Coverage()
    coverage.load()
    found = lines_of(coverage)
    total = sum(statements for statements, _ in found.values()), sum(ran for _, ran in found.values())
    for package, (statements, ran) in {**found, "all": total}.items():
        print(f"{package:<12} {ran:>6} of {statements:>6} statements ran, {ran / statements:4.0%}")


if __name__ == "__main__":
    main()
