"""A command that can be stopped: the work runs in a child process, and the parent, which never blocks in a long call, ends all processes below it.

XLA compiles for 20 to 40 s in one call that Python cannot interrupt, and Prefect's client waits minutes for a server that is gone: a process inside
such a call cannot answer a signal. SIGINT, SIGTERM or SIGHUP to the parent, to its process group or to the child alone end all processes that the
command started within KILL_S, with one sentence and exit status 130, 143 or 129.

The child has a session of its own: a terminal's Ctrl-C reaches the parent alone, so that no library below prints its own trace, and the child still
reads and writes the terminal. Standard library only, and little of it: this is imported before anything else (penumbra.cli.start).

`python -m penumbra.base.child_process SENTENCE PROGRAM ARGUMENT...` runs any other program in this way (infra/run, make stack).
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any, NoReturn

from penumbra.base import json_log, temporary_files

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCHED = (*STOPS, signal.SIGCHLD, signal.SIGTSTP, signal.SIGWINCH)
CHILD_S = 2.0  # for the work to unwind: what an attempt writes down, temporary files
KILL_S = 2.5  # for everything that it started
LOADER_GAVE_UP = 127  # what the dynamic loader ends a process with, silently where it finds no memory for a thread or a library
LEFT_S = 1.0  # for what is still running when the work has ended by itself
LOOK_S = 0.02
MINE = b"i"  # from the child: Ctrl-C is its own affair. Every other byte is the number of a signal that it received
SUPERVISED = "PENUMBRA_SUPERVISED"  # for the child: the supervisor's process id. One below it prints nothing, and ends when that one is gone
OUTLIVES = "PENUMBRA_OUTLIVES"  # of a process that goes on, with those below it, when the command that started it ends; see `outliving`
OUTER_S = 1.0  # between two looks at whether it is
SET_PARENT_DEATH_SIGNAL, GET_PARENT_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 2, 36  # linux/prctl.h

_wakeup: int | None = None  # in the child: where the parent listens
_stopping: int | None = None  # in the child: the signal that stopped it
_finished = False  # in the child: only the interpreter's own end is left


class Stopped(SystemExit):
    """A signal asked the work to end; raised in its main thread. A SystemExit, because code that swallows KeyboardInterrupt must not swallow this."""


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Ask the kernel to send `signum` to this process when its parent ends, so that a killed run leaves nothing behind (Linux; elsewhere no effect)."""
    _prctl(SET_PARENT_DEATH_SIGNAL, int(signum))


def outliving(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that shall outlive this command; it has to start in a session of its own, and take OUTLIVES out for those below it."""
    folder, _, name = environment.get("TMPDIR", "").rpartition("/")
    temporary = {"TMPDIR": folder} if name.startswith(temporary_files.PREFIX) else {}  # not the one that goes with this command
    return {**{name: value for name, value in environment.items() if name != SUPERVISED}, **temporary, OUTLIVES: "1"}


def interrupts_are_mine() -> None:
    """From now on SIGINT raises KeyboardInterrupt in the work and does not end the command: an interactive shell."""
    if _wakeup is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(_wakeup, MINE)


def supervise(work: Callable[[], Any], *, sentence: str, stopped: Callable[[Collection[int]], object] | None = None, first: int = signal.SIGINT) -> int:
    """Run `work` in a child process until it ends or a signal stops it.

    Parameters
    ----------
    sentence
        Printed on stderr after a stop; {signal} is the signal's name.
    stopped
        Called in this process after a stop, with the ids of all processes that were running.
    first
        What the child is sent; SIGINT, because Prefect and others put their own handlers in the place of SIGTERM's.

    Returns
    -------
    int
        The exit status of the command: what `work` returned or gave to sys.exit; 128 + signal after a stop; 128 + signal and a sentence when something
        killed the child. In the child this does not return.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    for signum in WATCHED:
        if signal.getsignal(signum) is not signal.SIG_IGN or signum == signal.SIGINT:  # nohup ignores SIGHUP; a shell's `&` SIGINT, but a kill means it
            signal.signal(signum, _heard)
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    terminal, parent = _terminal(), os.getpid()
    open_signals = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    child = os.fork()
    if child == 0:
        _work(work, wakeup, parent, open_signals)
    os.close(wakeup)
    _prctl(SET_CHILD_SUBREAPER, 1)  # a process below that loses its parent becomes a child of this one, and is found
    if _parent_death_signal() == signal.SIGKILL:
        die_with_parent(signal.SIGTERM)  # this process has others to end first
    signal.pthread_sigmask(signal.SIG_SETMASK, open_signals)
    status, stop = _wait(child, ear, heard)
    if stop is not None:
        ended = _end(child, first)
        if stopped is not None:
            stopped(ended)
        _tell(terminal, sentence.format(signal=signal.Signals(stop).name))
        return 128 + stop
    _sweep(LEFT_S)
    if status == LOADER_GAVE_UP:
        _tell(terminal, "The system could not load a library, most likely for memory; finished work is kept, rerun the same command to resume.")
    if status >= 0:
        return status
    _tell(terminal, f"Killed by {signal.Signals(-status).name}, most likely for memory; finished work is kept, rerun the same command to resume.")
    return 128 - status


def _wait(child: int, ear: int, heard: int) -> tuple[int, int | None]:
    """The child's exit code, negative for a signal, and None; or 0 and the signal that asks to stop."""
    sources, mine, outer = [heard, ear], False, int(os.environ.get(SUPERVISED, "0"))
    while True:
        ready = select.select(sources, [], [], OUTER_S if outer else None)[0]
        if outer and not os.path.exists(f"/proc/{outer}"):  # noqa: PTH110
            return 0, signal.SIGTERM
        for source in ready:
            received = os.read(source, 4096)
            if not received:
                sources.remove(source)  # the child has ended, or runs another program
            for byte in received:
                if source == heard and byte == MINE[0]:
                    mine = True
                elif byte == signal.SIGINT and mine:
                    if source == ear:
                        _send(child, signal.SIGINT)
                elif byte in STOPS:
                    return 0, byte
                elif source == heard:
                    pass  # signals of its own
                elif byte == signal.SIGWINCH:
                    _send(child, signal.SIGWINCH)
                elif byte == signal.SIGTSTP:
                    _suspend()
                elif byte == signal.SIGCHLD and (code := _reap(child)) is not None:
                    last = os.read(heard, 4096) if heard in sources and select.select([heard], [], [], 0)[0] else b""
                    return code, next((each for each in last if each in STOPS and not (each == signal.SIGINT and mine)), None)


def _end(child: int, first: int) -> frozenset[int]:
    """End every process below this one; their ids."""
    began, below = time.monotonic(), _below()
    for pid in below:
        _send(pid, first if pid == child else signal.SIGTERM)
        _send(pid, signal.SIGCONT)  # a stopped one answers only then
    while _running() and time.monotonic() - began < CHILD_S:
        time.sleep(LOOK_S)
    _send(child, signal.SIGKILL)
    below |= _sweep(began + KILL_S - time.monotonic())
    return frozenset(below)


def _sweep(patience_s: float) -> set[int]:
    """Wait for everything below this process to end, and kill what has not after `patience_s`; what was killed."""
    end, killed = time.monotonic() + patience_s, set[int]()
    while _running():
        if time.monotonic() >= end:
            for pid in _below():
                _send(pid, signal.SIGKILL)
                killed.add(pid)
        if time.monotonic() >= end + KILL_S:  # a process that even the kernel cannot end: a disk that does not answer
            return killed
        time.sleep(LOOK_S)
    return killed


def _running() -> bool:
    """Whether this process has children that end with it; those that ended are buried."""
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return bool(_below())
    return False


def _reap(child: int) -> int | None:
    """Bury what has ended; the child's exit code if it is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (report := os.waitpid(-1, os.WNOHANG))[0]:
            if report[0] == child:
                code = os.waitstatus_to_exitcode(report[1])
    return code


def _below() -> set[int]:
    """Every process that this one, or one below it, started, but those that outlive it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 pathlib is a tenth of a second that nobody should wait for
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                parents.setdefault(int(stat.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    descendants, todo = set[int](), [os.getpid()]
    while todo:
        children = [pid for pid in parents.get(todo.pop(), []) if not _outlives(pid)]
        descendants.update(children)
        todo.extend(children)
    return descendants


def _outlives(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123
        return f"{OUTLIVES}=1".encode() in environment.read().split(b"\0")
    return False


def _suspend() -> None:
    """Ctrl-Z: all child processes stop with this one, and continue with it."""
    below = _below()
    for pid in below:
        _send(pid, signal.SIGSTOP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, _heard)
    for pid in below:
        _send(pid, signal.SIGCONT)


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _heard(signum: int, frame: FrameType | None) -> None:
    """The number of the signal is in the pipe already (signal.set_wakeup_fd)."""


def _work(work: Callable[[], Any], wakeup: int, parent: int, open_signals: Collection[int]) -> NoReturn:
    """The child: ends with the exit status of `work`."""
    global _wakeup, _finished
    os.setsid()
    die_with_parent()
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
    for signum in WATCHED:
        if signal.getsignal(signum) is _heard:
            signal.signal(signum, _stop if signum in STOPS else signal.SIG_DFL)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    _wakeup = wakeup
    os.environ[SUPERVISED] = str(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, open_signals)
    try:
        code = work()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    _finished = True
    if _stopping is not None:
        os._exit(128 + _stopping)  # the interpreter's own end may wait for servers that are gone
    sys.exit(code)


def _stop(signum: int, frame: FrameType | None) -> None:
    """A signal in the child. The parent knows of it already and has begun to count."""
    global _stopping
    if _stopping is not None:
        return
    _stopping = signum
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in {2, _descriptor(sys.stderr)}:
        os.dup2(nowhere, stream)  # what libraries print when they are interrupted; the parent says what there is to say
    if _finished:
        os._exit(128 + signum)
    raise Stopped(128 + signum)


def _descriptor(stream: Any) -> int:
    """Of the stream; standard error's own where it has none."""
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return 2


def _terminal() -> list[Any] | None:
    """The terminal's settings, where stdin is one."""
    import termios

    with contextlib.suppress(OSError, termios.error):
        return termios.tcgetattr(0)
    return None


def _tell(terminal: list[Any] | None, sentence: str) -> None:
    """Give the terminal back as it was found, and print the sentence on a line of its own."""
    import termios

    if terminal is not None:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(0, termios.TCSANOW, terminal)
    if SUPERVISED not in os.environ:
        with contextlib.suppress(OSError):
            line = json_log.entry(sentence) if json_log.requested() else sentence
            os.write(2, ("\x1b[?25h\n" if os.isatty(2) else "").encode() + line.encode() + b"\n")  # the cursor, which a progress bar hides


def _prctl(option: int, value: Any) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(option, value, 0, 0, 0)


def _parent_death_signal() -> int:
    import ctypes

    signum = ctypes.c_int(0)
    _prctl(GET_PARENT_DEATH_SIGNAL, ctypes.byref(signum))
    return signum.value


def main() -> int:
    """Another program, with its arguments; it ends when the process that started this one ends."""
    die_with_parent(signal.SIGTERM)
    sentence, *program = sys.argv[1:]
    folder = temporary_files.private_folder()
    status = supervise(lambda: os.execvp(program[0], program), sentence=sentence, first=signal.SIGTERM)
    temporary_files.remove(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
