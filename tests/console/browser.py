"""A headless Chromium, driven over its DevTools: pages as people see them, with every error, every violation of the policy and every request noted."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--hide-scrollbars")


def program() -> str | None:
    """The browser that is installed; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser.

    Attributes
    ----------
    faults
        Errors of the console, exceptions and violations of the policy since the last `go`.
    hosts
        Every host that was asked since the tab was opened.
    """

    def __init__(self, address: str) -> None:
        self._line = connect(address, max_size=2**28, open_timeout=PATIENCE_S, ping_interval=None)
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.hosts: set[str] = set()
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._line.close()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools, and its result."""
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._line.recv(timeout=PATIENCE_S))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, facts = message.get("method", ""), message.get("params", {})
        self._events.append(message)
        if method == "Runtime.exceptionThrown":
            self.faults.append(str(facts["exceptionDetails"].get("exception", {}).get("description", facts["exceptionDetails"]["text"])))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.faults.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "assert"):
            self.faults.append(" ".join(str(each.get("value", each.get("description"))) for each in facts["args"]))
        elif method == "Network.requestWillBeSent" and (host := urlsplit(facts["request"]["url"]).netloc):
            self.hosts.add(host)

    def go(self, address: str) -> None:
        """Open a page and wait until it is loaded."""
        self.faults.clear()
        self._events.clear()
        self.send("Page.navigate", url=address)
        end = time.monotonic() + PATIENCE_S
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._note(json.loads(self._line.recv(timeout=max(0.1, end - time.monotonic()))))

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, script: str, patience_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true, and its value."""
        end = time.monotonic() + patience_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}\nfaults: {self.faults}\n{self.run('document.body.innerText')[:1500]}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """What the page says."""
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that fits, as a mouse does."""
        place = self.run(
            f"(() => {{const e = document.querySelector({json.dumps(selector)}); if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            f" const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2];}})()"
        )
        assert place, f"no {selector} on the page"
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def follow(self, selector: str) -> None:
        """Click on a link and wait for its page."""
        self._events.clear()
        self.click(selector)
        end = time.monotonic() + PATIENCE_S
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._note(json.loads(self._line.recv(timeout=max(0.1, end - time.monotonic()))))

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press one key: "ArrowDown", "a"."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, ord(key.upper()) if len(key) == 1 else 0)
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.send("Input.insertText", text=text)

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The window's size in CSS pixels, and the color scheme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the page."""
        clip: dict[str, Any] = {}
        if whole:
            box = self.send("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "width": box["width"], "height": min(box["height"], 6000), "scale": 1}, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png", **clip)["data"]))


class Browser:
    """A running Chromium."""

    def __init__(self, port: int) -> None:
        self.port = port

    @contextmanager
    def tab(self, *, scripts: bool = True) -> Iterator[Tab]:
        """A fresh tab, with scripts switched off where asked."""
        import urllib.request

        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            facts = json.load(answer)
        with Tab(facts["webSocketDebuggerUrl"]) as tab:
            tab.send("Emulation.setScriptExecutionDisabled", value=not scripts)
            tab.size(1280)
            yield tab
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/close/{facts['id']}", timeout=PATIENCE_S):
            pass


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium until the end of the block."""
    path = program()
    assert path is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen([path, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.DEVNULL)
        try:
            note, end = Path(folder) / "DevToolsActivePort", time.monotonic() + PATIENCE_S
            while not note.exists() or not note.read_text(encoding="ascii").strip():
                assert process.poll() is None, "the browser ended"
                assert time.monotonic() < end, "the browser did not begin"
                time.sleep(0.05)
            yield Browser(int(note.read_text(encoding="ascii").splitlines()[0]))
        finally:
            process.terminate()
            process.wait(30)
