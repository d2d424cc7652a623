"""`python -m penumbra.base.parent_bound PARENT MODULE ARGUMENT...`: runs a module that ends when its parent ends, however that ends.

PARENT is the parent's process id; with a plus sign behind it, a signal that asks the module to end is passed on to the parent. Without this a child would
continue when its parent is killed: a Prefect server that nobody stops.
"""

import os
import runpy
import signal
import sys
import threading

from penumbra.base.child_process import STOPS, die_with_parent


def command(module: str, *arguments: str, part: bool = False) -> list[str]:
    """The command line of a module that ends with this process (Linux; elsewhere it continues).

    Parameters
    ----------
    part
        A part of this process's work: SIGINT, SIGTERM or SIGHUP to the module alone end this process too.
    """
    return [sys.executable, "-m", "penumbra.base.parent_bound", f"{os.getpid()}{'+' * part}", module, *arguments]


def main() -> None:
    parent, part, module = int(sys.argv[1].rstrip("+")), sys.argv[1].endswith("+"), sys.argv[2]
    die_with_parent()
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(1)
    if part:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # in every thread, also where the module sets handlers of its own
        threading.Thread(target=_pass_on, args=(parent,), daemon=True).start()
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _pass_on(parent: int) -> None:
    signum = signal.sigwait(STOPS)
    if os.getppid() == parent:
        os.kill(parent, signum)
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
