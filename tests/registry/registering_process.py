"""A process of its own that registers the small bundle; started by test_register, and killed there by itself.

    python -m tests.registry.registering_process HOME NETWORK [STEP]

It dies by SIGKILL right after the named step of MLflow's client took effect, without any clean-up of its own.
"""

import os
import signal
import sys
from pathlib import Path

from mlflow import MlflowClient

from penumbra.registry import register

from .small_bundle import METRICS, small_bundle


def die_after(step: str) -> None:
    """Let the process end by SIGKILL as soon as `step` of MLflow's client has returned."""
    done = getattr(MlflowClient, step)

    def die(*positional: object, **named: object) -> None:
        done(*positional, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(MlflowClient, step, die)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        die_after(sys.argv[3])
    register(Path(sys.argv[1]), small_bundle(Path(sys.argv[2])), METRICS)
