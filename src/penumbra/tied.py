"""`python -m penumbra.tied PARENT MODULE ARGUMENT...`: runs a module that ends when its parent ends, however that ends.

PARENT is the parent's process id, or 0 where whoever writes the command cannot know it (infra/prefect.yaml). Without this a child would go on when
its parent is killed: a Prefect server that nobody stops, a retraining whose server is gone.
"""

import os
import runpy
import sys

from penumbra.workers import die_with_parent


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a module that ends with this process (Linux; elsewhere it goes on)."""
    return [sys.executable, "-m", "penumbra.tied", str(os.getpid()), module, *arguments]


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with_parent()
    if parent and os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(1)
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
