"""To collect one test file is quick: what a whole folder loads with it, its conftest, imports no heavy library."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
HEAVY = (
    "SimpleITK",
    "duckdb",
    "flax",
    "jax",
    "matplotlib",
    "mlflow",
    "numba",
    "optax",
    "pandas",
    "prefect",
    "pyarrow",
    "pydicom",
    "scipy",
    "sklearn",
    "sksurv",
)


def test_no_conftest_imports_a_heavy_library() -> None:
    names = [".".join(path.relative_to(TESTS.parent).with_suffix("").parts) for path in sorted(TESTS.rglob("conftest.py"))]
    assert len(names) >= 9
    program = f"import sys, {', '.join(names)}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=TESTS.parent, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
