"""Who is looking: the account of a request, and the signed cookie that carries it from page to page.

A cookie says account, role, when it ends, and which machine it was given to, and is signed (HMAC-SHA256) with a key that is made of the console's secret
and of the role's token: a new token, or a new secret, ends every session that came from the old one. It is good for one address of the network: a copy of
it on another machine is refused. Machines behind one address (NAT) cannot be told apart. A session that was signed out is refused until it would have
ended anyway, by this console; a console that starts with another secret refuses all of them.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["viewer", "editor"]
MAX_ENDED = 10_000  # sessions that were signed out and would still be good


@dataclass(frozen=True)
class Account:
    """The account of a request.

    Parameters
    ----------
    name
        As the log has it; "" for somebody who is not signed in.
    role
        A viewer reads; an editor may also act, where the console allows actions.
    csrf
        What a form of this session has to send back.
    way
        How it is known: "machine" (the user of this machine), "token" (the name is what was typed at sign-in), "proxy".
    """

    name: str
    role: Role
    csrf: str = ""
    way: Literal["machine", "token", "proxy", ""] = ""

    @property
    def is_editor(self) -> bool:
        return self.role == "editor"


LOCAL = Account("local", "viewer", way="machine")
NOBODY = Account("", "viewer")


@dataclass
class Sessions:
    """Signs and reads cookies.

    Parameters
    ----------
    secret
        Of this console.
    tokens
        Role -> its token.
    lasting_s
        How long a session is good.
    """

    secret: bytes
    tokens: dict[Role, str]
    lasting_s: float
    _ended: dict[str, float] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def role_of(self, token: str) -> Role | None:
        """The role of a token; every token is compared, each in constant time."""
        given, found = hashlib.sha256(token.encode()).digest(), None
        for role, expected in self.tokens.items():
            if hmac.compare_digest(given, hashlib.sha256(expected.encode()).digest()):
                found = role
        return found

    def begin(self, name: str, role: Role, machine: str) -> str:
        """A new cookie."""
        content = {"name": name, "role": role, "machine": machine, "until": int(time.time() + self.lasting_s), "id": secrets.token_hex(8)}
        body = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
        return f"{body}.{self._signed(role, body)}"

    def read(self, cookie: str, machine: str) -> Account | None:
        """The account of a cookie that is signed, not ended, and of this machine."""
        content = self._content(cookie)
        if content is None or content["machine"] != machine or content["until"] <= time.time() or content["id"] in self._ended:
            return None
        name, role = str(content["name"]), content["role"]
        return Account(name, role, self.csrf(name, role, str(content["id"])), "token")

    def end(self, cookie: str) -> None:
        """Refuse a cookie from now on."""
        content = self._content(cookie)
        if content is None:
            return
        with self._turn:
            now = time.time()
            for identifier in [identifier for identifier, until in self._ended.items() if until <= now]:
                del self._ended[identifier]
            if len(self._ended) >= MAX_ENDED:
                self._ended.pop(next(iter(self._ended)))
            self._ended[str(content["id"])] = float(content["until"])

    def csrf(self, *words: str) -> str:
        """What a form has to send back, of these words and nobody else's."""
        return hmac.new(self.secret, repr(("form", *words)).encode(), hashlib.sha256).hexdigest()[:40]

    def _content(self, cookie: str) -> dict[str, Any] | None:
        body, _, signature = cookie.partition(".")
        if not body.isascii() or not signature.isascii() or len(cookie) > 2000:
            return None
        for role in self.tokens:
            if hmac.compare_digest(signature, self._signed(role, body)):
                content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
                return content if content.get("role") == role else None
        return None

    def _signed(self, role: Role, body: str) -> str:
        key = hmac.new(self.secret, f"session {role} {self.tokens[role]}".encode(), hashlib.sha256).digest()
        return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()
