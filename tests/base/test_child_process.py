"""A command that is asked to stop: every process of it ends, with one sentence and the signal's exit status, whatever it is doing."""

import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penumbra.retraining import attempts

from ..stops import STATUS, TARGETS, Command, penumbra
from .test_workers import running, wait_for

PROGRAM = """
import atexit, ctypes, os, pathlib, signal, subprocess, sys, time
from penumbra.base import child_process

def ready():
    pathlib.Path("ready").touch()

def python():
    ready()
    time.sleep(60)

def compiling():  # one call that never gives the interpreter back
    ready()
    ctypes.PyDLL(None).sleep(60)

def at_exit():
    def hang():
        ready()
        time.sleep(60)
    atexit.register(hang)

def stubborn():  # a process that left the session and ignores what it is told
    code = "import os, signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; os.setsid(); open('ready', 'w'); time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", code])
    time.sleep(60)

def swallowed():  # a library that swallows what it should not, and talks
    while True:
        try:
            ready()
            time.sleep(60)
        except BaseException:
            print("Traceback (most recent call last):", file=sys.stderr, flush=True)

def fails():
    sys.exit(3)

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def leaves():  # work that is done, and a process that is not
    subprocess.Popen(["sleep", "60"])

if __name__ == "__main__":
    sys.exit(child_process.supervise(globals()[sys.argv[1]], sentence="Stopped by {signal}."))
"""


def started(what: str, folder: Path) -> Command:
    (folder / "program.py").write_text(PROGRAM)
    return Command([sys.executable, "program.py", what], folder)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("signum", STATUS, ids=lambda signum: signum.name)
def test_every_signal_ends_it_at_every_target(signum: signal.Signals, target: str, tmp_path: Path) -> None:
    ended = started("python", tmp_path).until((tmp_path / "ready").exists).stop(signum, target)
    assert (ended.status, ended.said, ended.left) == (STATUS[signum], f"Stopped by {signum.name}.\n", [])
    assert ended.seconds < 15


@pytest.mark.slow
@pytest.mark.parametrize("target", ["group", "child"])
@pytest.mark.parametrize("what", ["compiling", "at_exit", "stubborn", "swallowed"])
def test_what_cannot_be_interrupted_ends_too(what: str, target: str, tmp_path: Path) -> None:
    ended = started(what, tmp_path).until((tmp_path / "ready").exists).stop(signal.SIGTERM, target)
    assert (ended.status, ended.said, ended.left) == (143, "Stopped by SIGTERM.\n", [])
    assert ended.seconds < 15


def test_the_work_decides_the_exit_status_and_leaves_nothing_running(tmp_path: Path) -> None:
    for what, status in (("fails", 3), ("leaves", 0)):
        command = started(what, tmp_path)
        assert command.process.wait(30) == status
        assert command.running() == {}
        assert command.said() == ""
    command = started("killed", tmp_path)
    assert command.process.wait(30) == 137
    assert command.said() == "Killed by SIGKILL, most likely for memory; finished work is kept, rerun the same command to resume.\n"


def test_a_parent_that_is_killed_takes_the_work_with_it(tmp_path: Path) -> None:
    command = started("compiling", tmp_path).until((tmp_path / "ready").exists)
    command.process.kill()
    command.process.wait()
    wait_for(lambda: command.running() == {})


def test_nohup_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = Command(["nohup", sys.executable, "program.py", "python"], tmp_path).until((tmp_path / "ready").exists)
    os.killpg(command.process.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert command.process.poll() is None
    assert command.stop(signal.SIGTERM, "group").status == 143


def test_ctrl_z_stops_the_work_and_its_continuation_continues_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    shell = f"set -m; {shlex.quote(sys.executable)} program.py python & sleep 60"  # job control: without it Ctrl-Z stops nothing
    leader, follower = pty.openpty()
    shell_process = subprocess.Popen(["bash", "-c", shell], cwd=tmp_path, stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    wait_for((tmp_path / "ready").exists)
    parent, sleeper = _children(shell_process.pid)
    (child,) = _children(parent)
    os.kill(parent, signal.SIGTSTP)
    wait_for(lambda: _state(parent) == _state(child) == "T")
    os.kill(parent, signal.SIGCONT)
    wait_for(lambda: _state(parent) == _state(child) == "S")
    os.kill(parent, signal.SIGTERM)
    wait_for(lambda: not running(child))
    for pid in (sleeper, shell_process.pid):
        os.kill(pid, signal.SIGKILL)
    shell_process.wait()
    os.close(leader)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_the_command_line_imports_nothing_before_it_can_be_stopped() -> None:
    code = "import sys; before = set(sys.modules); import penumbra.cli.start; print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(Path(attempts.__file__).parents[2])}, capture_output=True, text=True)
    assert "penumbra" in loaded.stdout
    assert not {"click", "pathlib", "subprocess", "tempfile", "importlib", "typing_extensions"} & set(loaded.stdout.replace("'", " ").split()), loaded.stdout


def test_a_retraining_that_a_person_stopped_is_no_kill(tmp_path: Path) -> None:
    """Ctrl-C three times set a center aside as if its memory had ended."""
    stopped = attempts.Attempts("k1", "refit", 0, pid=17)
    attempts.write(tmp_path, "east", stopped)
    attempts.stopped(tmp_path, [18])
    assert attempts.kills(tmp_path, "east", "k1", "refit") == 1, "another process"
    attempts.stopped(tmp_path, [16, 17])
    assert attempts.kills(tmp_path, "east", "k1", "refit") == 0
    assert attempts.failure(tmp_path, "east", "k1") == ""


ENGINE = """
import ctypes, pathlib
from penumbra.retraining import attempts
home = pathlib.Path.cwd() / "home"
with attempts.attempt(home, "east", "k1", "refit"):
    (home / "ready").touch()
    ctypes.PyDLL(None).sleep(60)
"""


def test_a_flow_run_of_the_stack_is_stopped_while_it_compiles_and_that_is_no_kill(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "__init__.py").touch()
    (tmp_path / "prefect" / "engine.py").write_text(ENGINE)
    command = Command([sys.executable, "-m", "penumbra.flows.engine"], tmp_path, {"PYTHONPATH": str(tmp_path), "PENUMBRA_HOME": str(tmp_path / "home")})
    command.until((tmp_path / "home" / "ready").exists)
    assert attempts.kills(tmp_path / "home", "east", "k1", "refit") == 1, "as recorded while it works"
    ended = command.stop(signal.SIGTERM, "parent")
    assert (ended.status, ended.left) == (143, [])
    assert attempts.kills(tmp_path / "home", "east", "k1", "refit") == 0


def test_a_supervisor_whose_outer_one_was_killed_ends(tmp_path: Path) -> None:
    """The stack: what starts the services, and what starts that, may be killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    between = f"import subprocess; subprocess.Popen([{sys.executable!r}, 'program.py', 'python']).wait()"  # not tied to anything
    command = Command([sys.executable, "-m", "penumbra.base.child_process", "{signal}", sys.executable, "-c", f"import os; os.fork(); {between}"], tmp_path)
    command.until((tmp_path / "ready").exists)
    command.process.kill()
    command.process.wait()
    wait_for(lambda: not any("program.py python" in line and "import" not in line for line in command.running().values()))
    command.kill()


def test_temporary_files_are_private_and_go_with_the_command(tmp_path: Path) -> None:
    shared, home = tmp_path / "shared", tmp_path / "home"
    shared.mkdir()
    command = penumbra(home, "doctor", variables={"TMPDIR": str(shared)}).until(lambda: any(shared.iterdir()))
    (folder,) = shared.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "runner_storage").mkdir()
    command.process.kill()
    command.process.wait()
    wait_for(lambda: command.running() == {})
    os.utime(folder, (0, 0))
    foreign = shared / f"penumbra-{os.getuid()}-link"
    foreign.symlink_to(home)
    penumbra(home, "--version", variables={"TMPDIR": str(shared)}).process.wait(60)
    assert list(shared.iterdir()) == [foreign], "what a killed command left goes with the next"
