"""Where the stores of these tests keep their catalogs: in SQLite files, or in databases of one PostgreSQL server that the tests start."""

import itertools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from penumbra.store.lake import ADDRESS_FILE, store_folder

SCRIPT = Path(__file__).parents[2] / "infra" / "postgres.sh"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Server:
    """A PostgreSQL server in a temporary folder with a blank in its path, without waiting for the disk.

    The password is in the environment of the tests alone.
    """

    def __init__(self, more: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penumbra pg-"))
        port = free_port()
        os.environ.setdefault("PGPASSWORD", secrets.token_hex(8))  # one for all servers of this process: a second one does not lock the first
        options = f"-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 {more}"
        started = self._script("start", str(port), POSTGRES_OPTIONS=options)
        assert started.returncode == 0, started.stderr
        self.uri = started.stdout.strip()
        self._numbers = itertools.count()

    def _script(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        action, *rest = arguments
        return subprocess.run([SCRIPT, action, self.folder, *rest], env={**os.environ, **settings}, capture_output=True, text=True)

    def database(self, template: str = "template1") -> str:
        """The address of a new database, a copy of `template`."""
        name = f"store{next(self._numbers)}"
        statement = f"CREATE DATABASE {name} TEMPLATE {template}"
        subprocess.run([PROGRAMS[-1].with_name("psql"), "-Xq", self.uri, "-c", statement], check=True, capture_output=True)
        return f"{self.uri.rpartition('/')[0]}/{name}"

    def dump(self, name: str) -> bytes:
        """The bytes of a database's files, dead rows included."""
        psql = [PROGRAMS[-1].with_name("psql"), "-XAtq", f"{self.uri.rpartition('/')[0]}/{name}"]
        number = subprocess.run(
            [*psql, "-c", "CHECKPOINT", "-c", "SELECT oid FROM pg_database WHERE datname = current_database()"], check=True, capture_output=True
        )
        folder = self.folder / "data" / "base" / number.stdout.decode().split()[-1]
        return b"".join(file.read_bytes() for file in folder.iterdir())

    def stop(self) -> None:
        self._script("stop", POSTGRES_STOP="immediate")  # nothing is kept: no need to write it out
        shutil.rmtree(self.folder, ignore_errors=True)


class Catalogs:
    """Makes homes whose catalog is of one kind; `server` None: SQLite."""

    def __init__(self, server: Server | None) -> None:
        self.server = server

    def begin(self, home: Path, template: str = "template1") -> Path:
        """A home without a store, which will have its catalog in a database of its own."""
        if self.server is not None:
            store_folder(home).mkdir(parents=True, exist_ok=True)
            (store_folder(home) / ADDRESS_FILE).write_text(self.server.database(template) + "\n")
        return home

    def copy(self, source: Path, home: Path) -> Path:
        """A store of a test's own: making one takes longer than most tests."""
        shutil.copytree(source, home, dirs_exist_ok=True)
        if self.server is not None:
            self.begin(home, (store_folder(source) / ADDRESS_FILE).read_text().strip().rpartition("/")[2])
        return home
