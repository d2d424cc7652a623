"""What is sent to Prefect's API besides the states of its own runs: in a thread of its own, in order, so that no stage waits for a server.

A server that does not answer is said once and asked again every few seconds: what waits is sent when it is back, and given up when the run has ended.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from penumbra.base.progress import say
from penumbra.base.refusal import reportable

Call = Callable[[SyncPrefectClient], object]
THREAD = "prefect-outbox"
LINES_S = 1.0  # sentences and progress of so long leave together
RETRY_S = 5.0  # until a server that did not answer is asked again
ANSWER_S = 10.0  # that an answer may take
CLOSE_S = 10.0  # that the run waits at its end for what has not left
STOP_S = 0.5  # the same for a run that a signal stops
MAX_WAITING = 10_000  # calls and sentences; older ones are dropped, should a server be away for a day
UNANSWERED = ("httpx", "TransportError")  # of the library by which Prefect asks: its connections and their time limits
SERVER_ERROR = 500  # HTTP: from here on it is the server's fault
AWAY = "the Prefect server does not answer; the run goes on without it, and shows there what it did once it answers again"


class Outbox:
    """Calls and sentences that wait to be sent."""

    def __init__(self) -> None:
        self.away = False  # whether the server was reported to be
        self._calls: deque[Call] = deque(maxlen=MAX_WAITING)
        self._lines: deque[Any] = deque(maxlen=MAX_WAITING)
        self._latest: dict[str, Call] = {}
        self._change, self._closing = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name=THREAD, daemon=True)
        self._thread.start()

    def call(self, call: Call) -> None:
        """Make a call of the API, as soon as those before it are made."""
        with self._change:
            self._calls.append(call)
            self._change.notify()

    def latest(self, name: str, call: Call) -> None:
        """Make a call that stands for every earlier one of this name that has not been made."""
        with self._change:
            self._latest[name] = call

    def line(self, entry: Any) -> None:
        """Send one LogCreate."""
        with self._change:
            self._lines.append(entry)

    def close(self, patience_s: float = CLOSE_S) -> None:
        """Send what waits, and end; a server that is away is not waited for."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(patience_s)

    def _work(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # the run goes on without its page, and somebody learns why
            say(f"nothing more is shown by the Prefect server: {reportable(error)}")

    def _send_all(self) -> None:
        settings, timeout = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), {"timeout": ANSWER_S}
        with settings, get_client(sync_client=True, httpx_settings=timeout) as client:
            while not (self._closing and self._is_empty()):
                if not self._round(client):
                    if self._closing:
                        return
                    self._pause(RETRY_S)
                elif not self._calls:
                    self._pause(LINES_S, calls=True)

    def _is_empty(self) -> bool:
        return not (self._calls or self._lines or self._latest)

    def _pause(self, seconds: float, *, calls: bool = False) -> None:
        end = time.monotonic() + seconds
        with self._change:
            while not self._closing and not (calls and self._calls) and (left_s := end - time.monotonic()) > 0:
                self._change.wait(left_s)

    def _round(self, client: SyncPrefectClient) -> bool:
        """Send what waits; False where the server did not answer, and all that it did not take waits on."""
        while self._calls:
            if not self._sent(client, self._calls[0]):
                return False
            with self._change:
                self._calls.popleft()
        with self._change:
            lines, latest = list(self._lines), dict(self._latest)
        if lines:
            if not self._sent(client, lambda client: client.create_logs(lines)):
                return False
            with self._change:
                for _ in lines:
                    self._lines.popleft()
        for name, call in latest.items():
            if not self._sent(client, call):
                return False
            with self._change:
                if self._latest.get(name) is call:
                    del self._latest[name]
        return True

    def _sent(self, client: SyncPrefectClient, call: Call) -> bool:
        """Whether the server took it, or refused it for good: a run that was deleted there, say."""
        try:
            call(client)
        except PrefectHTTPStatusError as error:
            if error.response.status_code >= SERVER_ERROR:
                return self._is_away()
            say(f"the Prefect server refused what the run shows there (status {error.response.status_code})")
        except Exception as error:
            if unanswered(error):
                return self._is_away()
            say(f"not shown by the Prefect server: {reportable(error)}")
        return True

    def _is_away(self) -> bool:
        """False; the first time it is said."""
        if not self.away:
            self.away = True
            say(AWAY)
        return False


def unanswered(error: BaseException | None) -> bool:
    """Whether an error comes from an API of Prefect that did not answer."""
    while error is not None:
        if any((kind.__module__.partition(".")[0], kind.__name__) == UNANSWERED for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False
