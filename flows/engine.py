"""`python -m penumbra.flows.engine`: one flow run of a Prefect server, as its worker starts it (infra/prefect.yaml).

Prefect's own engine in a child process that can be stopped: a stack that is stopped, or a worker that is gone, ends the run within seconds, also while it
compiles, and that kill does not count against the center.
"""

import runpy
import signal
import sys
from collections.abc import Collection

from penumbra.base import child_process


def main() -> int:
    """Run the flow run that the environment names; its exit status."""
    child_process.die_with_parent(signal.SIGTERM)
    sentence = "The flow run was stopped by {signal}: finished work is kept, and the next run resumes."
    return child_process.supervise(_engine, sentence=sentence, stopped=_no_kills, first=signal.SIGTERM)  # SIGTERM is how Prefect cancels a run


def _engine() -> None:
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def _no_kills(ended: Collection[int]) -> None:
    from penumbra.base.params import state_home
    from penumbra.retraining import attempts

    attempts.stopped(state_home(), ended)


if __name__ == "__main__":
    sys.exit(main())
