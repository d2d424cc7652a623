"""Who may ask the service, and for what.

Without a token it answers its own machine alone, and there the user who started it. With PENUMBRA_MODEL_TOKEN in the environment callers send features and
scans; with PENUMBRA_MODEL_STORE_TOKEN they may also name a patient, whose features the service then reads in the store.
"""

import hmac
import os
from dataclasses import dataclass, field
from typing import Literal

from starlette.requests import Request

from penumbra.base import addresses
from penumbra.base.account import account
from penumbra.base.refusal import Refusal
from penumbra.store.serving import SHORTEST_TOKEN

Role = Literal["scorer", "reader"]
TOKENS: dict[Role, str] = {"scorer": "PENUMBRA_MODEL_TOKEN", "reader": "PENUMBRA_MODEL_STORE_TOKEN"}
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Caller:
    """Who asks: `name` as the log of access has it, and `role`: a reader may name patients of the store."""

    name: str
    role: Role


@dataclass(frozen=True)
class Door:
    """Where the service listens, and the tokens that it asks for; none: it is open to the user who started it."""

    host: str = LOCAL
    tokens: dict[Role, str] = field(default_factory=dict)

    def caller(self, request: Request) -> Caller:
        """Who sent a request.

        Raises
        ------
        Refusal
            "token" without a token or with a wrong one; "model_machine", "console_host" where the service is open and the request is not for its user.
        """
        if not self.tokens:
            return self._of_machine(request)
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        roles = [role for role, token in self.tokens.items() if hmac.compare_digest(sent.strip().encode(), token.encode())]
        if scheme.lower() != "bearer" or not roles:
            raise Refusal("token", "no token, or a wrong one", "send the header Authorization: Bearer TOKEN")
        return Caller(f"token of {TOKENS[roles[0]]}", roles[0])

    def _of_machine(self, request: Request) -> Caller:
        addresses.require_host(request, self.host, None)
        peer = request.client.host if request.client else ""
        advice = f"set {TOKENS['scorer']}, and others send it as Authorization: Bearer TOKEN"
        if any(name in request.headers for name in addresses.FORWARDED) or not addresses.is_loopback(peer):
            raise Refusal("model_machine", "without a token the service answers its own machine alone, and no proxy", advice)
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refusal("model_machine", "a page of another site sent this", "ask from a program, or from the service's own page")
        user = addresses.user_of(request)
        if user is not None and user not in (os.getuid(), 0):
            raise Refusal("model_machine", "the service was started by another user of this machine, for that user alone", advice)
        return Caller(account(), "reader")


def door(host: str) -> Door:
    """As the host and the environment say.

    Raises
    ------
    Refusal
        "token": one that could be guessed, or the same for both; "model_access": other machines could ask, and nobody would need a token.
    """
    tokens: dict[Role, str] = {role: os.environ[name] for role, name in TOKENS.items() if os.environ.get(name)}
    for role, token in tokens.items():
        if len(token) < SHORTEST_TOKEN:
            raise Refusal("token", f"{TOKENS[role]} has {len(token)} characters", f"run: export {TOKENS[role]}=$(openssl rand -hex 16)")
    if len(set(tokens.values())) < len(tokens):
        raise Refusal("token", f"{' and '.join(TOKENS.values())} are the same token", "give each role one of its own")
    if not tokens and not addresses.is_loopback(host):
        fault = f"{host} can be reached from other machines, and nobody would need a token"
        raise Refusal("model_access", fault, f"run: export {TOKENS['scorer']}=$(openssl rand -hex 16)")
    return Door(host, tokens)
