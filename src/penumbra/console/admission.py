"""Who is let in: what `penumbra console` was started with decides it, once.

Without a token and without a proxy's header a console answers its own machine alone, and there the user who started it: whose program asks is read from
the system's table of connections. With PENUMBRA_CONSOLE_TOKEN (viewers) or PENUMBRA_CONSOLE_EDITOR_TOKEN (editors) people sign in; with --user-header a
proxy that has signed them in names them.
"""

import os
import pwd
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request

from penumbra.base import addresses
from penumbra.base.refusal import Refusal
from penumbra.console.sessions import Account, Role, Sessions
from penumbra.store.serving import SHORTEST_TOKEN

TOKENS: dict[Role, str] = {"viewer": "PENUMBRA_CONSOLE_TOKEN", "editor": "PENUMBRA_CONSOLE_EDITOR_TOKEN"}
SECRET = "PENUMBRA_CONSOLE_SECRET"
SHORTEST_SECRET = 32
SESSION, FORM = "penumbra_session", "penumbra_form"
PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
MACHINE = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Door:
    """How a console was opened.

    Parameters
    ----------
    host
        Where it listens.
    user_header
        In which a proxy names the user; "": none does.
    proxies
        Addresses whose headers are believed.
    editors
        Names of users, of the proxy's, who are editors.
    origin
        Scheme and name under which browsers see it, such as https://penumbra.clinic; "": its own address.
    """

    host: str = MACHINE[0]
    user_header: str = ""
    proxies: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    origin: str = ""

    def checked(self) -> "Door":
        """The same, if it can be.

        Raises
        ------
        Refusal
            "console_access": an option is not what it has to be.
        """
        parts = urlsplit(self.origin)
        if self.origin and (parts.scheme not in ("http", "https") or not parts.netloc or self.origin != f"{parts.scheme}://{parts.netloc.lower()}"):
            raise Refusal("console_access", f"--origin is {self.origin!r}", "it is scheme and name as browsers show them, such as https://penumbra.clinic")
        if self.user_header and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,60}", self.user_header):
            raise Refusal("console_access", f"--user-header is {self.user_header!r}", "it is the name of a header, such as X-Remote-User")
        wrong = [name for name in self.editors if not PERSON.fullmatch(name)]
        if wrong or (self.editors and not self.user_header):
            fault = f"--editor is {wrong[0]!r}" if wrong else "--editor without --user-header"
            raise Refusal("console_access", fault, "editors are users as the proxy of --user-header names them")
        return self


@dataclass(frozen=True)
class Admission:
    """Gives a request its account.

    Parameters
    ----------
    door
        How the console was opened.
    sessions
        Of those who sign in.
    """

    door: Door = field(default_factory=Door)
    sessions: Sessions = field(default_factory=lambda: Sessions(secrets.token_bytes(32), {}, 8 * 3600.0))

    @property
    def signs_in(self) -> bool:
        """Whether people sign in here with a token."""
        return bool(self.sessions.tokens)

    @property
    def is_open(self) -> bool:
        """Whether it answers this machine alone, and asks for nothing."""
        return not self.signs_in and not self.door.user_header

    @property
    def proxies(self) -> tuple[str, ...]:
        return self.door.proxies or (MACHINE if self.door.user_header else ())

    def machine(self, request: Request) -> str:
        """The browser's address."""
        return addresses.machine_of(request, self.proxies)

    def account(self, request: Request) -> Account | None:
        """Who asks; None: nobody who is known yet, and may sign in.

        Raises
        ------
        Refusal
            "console_user", "console_machine", "console_proxy".
        """
        peer = request.client.host if request.client else ""
        if self.door.user_header and peer in self.proxies:
            return self._of_proxy(request)
        if self.signs_in:
            return self.sessions.read(request.cookies.get(self.cookie, ""), self.machine(request))
        if not self.is_open:
            raise Refusal("console_user", "only its proxy may ask this console", "open the proxy's address")
        addresses.require_direct(request)
        return self._of_machine(request, peer)

    @property
    def cookie(self) -> str:
        """Its name; the prefix lets browsers accept it over TLS alone."""
        return f"__Secure-{SESSION}" if self.is_secure else SESSION

    @property
    def is_secure(self) -> bool:
        return self.door.origin.startswith("https:")

    def _of_proxy(self, request: Request) -> Account:
        names = request.headers.getlist(self.door.user_header)
        if len(names) != 1 or not PERSON.fullmatch(names[0]):
            raise Refusal("console_user", "the proxy names no user", f"let it set the header {self.door.user_header} itself, and once")
        role: Role = "editor" if names[0] in self.door.editors else "viewer"
        return Account(names[0], role, self.sessions.csrf("proxy", names[0]), "proxy")

    def _of_machine(self, request: Request, peer: str) -> Account:
        if not addresses.is_loopback(peer):
            raise Refusal("console_machine", "this console answers its own machine alone", "set PENUMBRA_CONSOLE_TOKEN and --host")
        user, own = addresses.user_of(request), os.getuid()
        if user is None:  # a system without /proc: whose program asks is not known
            return Account("local", "viewer", self.sessions.csrf("machine"), "machine")
        if user not in (own, 0):
            advice = "set PENUMBRA_CONSOLE_TOKEN, and others sign in with it"
            raise Refusal("console_machine", "this console was started by another user of this machine, for that user alone", advice)
        return Account(_name_of(user), "editor", self.sessions.csrf("machine"), "machine")


def admission(door: Door, session_hours: float) -> Admission:
    """As the options and the environment say.

    Raises
    ------
    Refusal
        "token": one that could be guessed; "console_access": nobody could be let in, or everybody would be.
    """
    tokens = {role: os.environ[name] for role, name in TOKENS.items() if os.environ.get(name)}
    for role, token in tokens.items():
        if len(token) < SHORTEST_TOKEN:
            raise Refusal("token", f"{TOKENS[role]} has {len(token)} characters", f"run: export {TOKENS[role]}=$(openssl rand -hex 16)")
    if len(set(tokens.values())) < len(tokens):
        raise Refusal("token", "viewers and editors have the same token", f"give {TOKENS['editor']} one of its own")
    secret = os.environ.get(SECRET, "")
    if secret and len(secret) < SHORTEST_SECRET:
        raise Refusal("token", f"{SECRET} has {len(secret)} characters", f"run: export {SECRET}=$(openssl rand -hex 32), or leave it out")
    admitted = Admission(door.checked(), Sessions(secret.encode() or secrets.token_bytes(32), tokens, 3600 * session_hours))
    if admitted.is_open and (door.origin or not addresses.is_loopback(door.host)):
        fault = f"{door.origin or door.host} can be reached from other machines, and nobody would have to say who they are"
        raise Refusal("console_access", fault, f"run: export {TOKENS['viewer']}=$(openssl rand -hex 16), or let a proxy name users (--user-header)")
    return admitted


def names_without_tokens(names: Sequence[str]) -> list[str]:
    """Of variables of the environment those that a command which the console starts may have."""
    return [name for name in names if name not in (*TOKENS.values(), SECRET)]


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user-{user}"
