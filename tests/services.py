"""PostgreSQL and object storage behind doors that can be closed at a byte: for trials of what happens when a service goes away."""

import contextlib
import os
import socket
import subprocess
import threading
from typing import Any, Self

from .store.buckets import BUCKET, Storage
from .store.catalogs import PROGRAMS, Server, free_port

CHUNK = 1 << 16


class Door:
    """Connections to a port of loopback passed on to another, until it is closed: then every connection ends, and none is taken. It counts what is sent."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.sent, self.limit = 0, float("inf")
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._listening: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Take connections from now on."""
        self.sent, self.limit = 0, float("inf")
        if self._listening is None:
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port))
            listening.listen(64)
            self._listening = listening
            threading.Thread(target=self._take, args=(listening,), daemon=True).start()

    def close(self) -> None:
        """As a server that was killed."""
        with self._lock:
            if self._listening is not None:
                with contextlib.suppress(OSError):
                    self._listening.shutdown(socket.SHUT_RDWR)
                self._listening.close()
                self._listening = None
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._open.clear()

    def _take(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listening.accept()
                there = socket.create_connection(("127.0.0.1", self.target))
                with self._lock:
                    self._open |= {here, there}
                for source, sink, counted in ((here, there, True), (there, here, False)):
                    threading.Thread(target=self._pass, args=(source, sink, counted), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(CHUNK):
                if counted:
                    self.sent += len(part)
                    if self.sent > self.limit:
                        self.close()
                        return
                sink.sendall(part)
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Services:
    """A PostgreSQL server and an object storage, each behind a door, with what they held before a stage."""

    def __init__(self) -> None:
        assert PROGRAMS, "PostgreSQL is not installed here (apt-get install postgresql)"
        self.server, self.storage = Server(), Storage()
        port = int(self.server.uri.rpartition(":")[2].partition("/")[0])
        self.doors = {"postgres": Door(port), "objects": Door(int(self.storage.url.rpartition(":")[2]))}
        self._objects: dict[str, dict[str, bytes]] = {}
        self._sent: dict[tuple[str, str], int] = {}
        catalog = self.server.uri.replace(f":{port}/", f":{self.doors['postgres'].port}/")
        url = self.storage.url.replace(self.storage.url.rpartition(":")[2], str(self.doors["objects"].port))
        self.environment: dict[str, str] = {**self.storage.environment, "PENUMBRA_CATALOG": catalog, "AWS_ENDPOINT_URL": url}

    def __enter__(self) -> Self:
        self._before = dict(os.environ)
        os.environ.update(self.environment)  # of this process too, which looks at the results
        return self

    def __exit__(self, *_: Any) -> None:
        os.environ.clear()
        os.environ.update(self._before)
        for door in self.doors.values():
            door.close()
        self.server.stop()
        self.storage.stop()

    def count(self) -> None:
        for door in self.doors.values():
            door.open()

    def note(self, stage: str) -> None:
        """What was sent since `count` is what this stage sends."""
        for which, door in self.doors.items():
            self._sent[which, stage] = door.sent

    def cut(self, which: str, stage: str, share: float) -> float | None:
        """Close a door after this share of what the stage sends; None where it sends nothing."""
        sent = self._sent[which, stage]
        self.doors[which].limit = share * sent
        return self.doors[which].limit if sent else None

    def back(self, which: str) -> None:
        self.doors[which].close()
        self.doors[which].open()

    def _sql(self, statement: str) -> None:
        address = f"{self.server.uri.rpartition('/')[0]}/postgres"
        subprocess.run([PROGRAMS[-1].with_name("psql"), "-Xq", address, "-c", statement], check=True, capture_output=True)

    def clear(self) -> None:
        """Hold nothing."""
        self._sql("DROP DATABASE penumbra WITH (FORCE)")
        self._sql("CREATE DATABASE penumbra")
        for key in self.storage.keys("s3://" + BUCKET):
            self.storage.client.delete_object(Bucket=BUCKET, Key=key)

    def save(self, stage: str) -> None:
        self._sql(f"DROP DATABASE IF EXISTS before_{stage}")
        self._sql(f"CREATE DATABASE before_{stage} TEMPLATE penumbra")
        self._objects[stage] = {key: self.storage.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self.storage.keys("s3://" + BUCKET)}

    def restore(self, stage: str) -> None:
        for which in self.doors:
            self.back(which)
        self._sql("DROP DATABASE penumbra WITH (FORCE)")
        self._sql(f"CREATE DATABASE penumbra TEMPLATE before_{stage}")
        for key in self.storage.keys("s3://" + BUCKET):
            self.storage.client.delete_object(Bucket=BUCKET, Key=key)
        for key, body in self._objects[stage].items():
            self.storage.put(key, body)
