"""What is checked of every request before anything else: the address it was sent to, the page it was sent from, and on loopback whose program sent it.

A browser can be made to send requests to a server on its own machine by any page of the web: by a name that is rebound to 127.0.0.1 (Host), by a form or
an image of another site (Origin, Sec-Fetch-Site). A reverse proxy on the same machine would open a console on loopback to everybody: its process belongs
to another user, and it says for whom it asks.
"""

import ipaddress
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from penumbra.base.refusal import Refusal

SAFE = ("GET", "HEAD")
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
FORM = "application/x-www-form-urlencoded"
ESTABLISHED = "01"  # state of a connection in /proc/net/tcp
MAX_HEADERS = 16_000  # bytes, all together
MAX_QUERY = 60_000
STRANGE = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.\.?(?:/|$)|//")
ESCAPED = re.compile(rb"%(?:00|2f|5c)", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_plain(request: Request, root_path: str) -> None:
    """Refuse an address that no page has, and more than any page needs.

    Raises
    ------
    Refusal
        "console_address", "body_size".
    """
    raw, path = request.scope.get("raw_path", b""), request.scope["path"].removeprefix(root_path)
    if STRANGE.search(path) or ESCAPED.search(raw):
        raise Refusal("console_address", "the address holds characters that no page has", "the links of every page lead everywhere")
    if len(request.scope["query_string"]) > MAX_QUERY or sum(len(name) + len(value) for name, value in request.headers.raw) > MAX_HEADERS + MAX_QUERY:
        raise Refusal("body_size", "the request is longer than any page needs", "shorten the query")


def require_host(request: Request, host: str, origin: str | None) -> None:
    """Refuse a request that was meant for another name.

    Parameters
    ----------
    host
        Where the console listens.
    origin
        Scheme and name under which a proxy shows it; None: there is none.

    Raises
    ------
    Refusal
        "console_host".
    """
    names = request.headers.getlist("host")
    port = request.scope["server"][1]
    addresses = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    accepted = {f"{address}:{port}" for address in addresses} | (addresses if port == 80 else set())
    if origin is not None:
        accepted.add(urlsplit(origin).netloc)
    if len(names) != 1 or names[0].lower() not in accepted:
        raise Refusal("console_host", "the request is for another name than this console's", "start it with --origin SCHEME://NAME, as browsers see it")


def require_origin(request: Request, origin: str | None, *, guarded: bool) -> None:
    """Refuse what another site's page sent, unless it is a link to a page that somebody followed.

    Parameters
    ----------
    origin
        See `require_host`.
    guarded
        No link from another site leads here either.

    Raises
    ------
    Refusal
        "console_origin", "console_form".
    """
    headers = request.headers
    site, sender = headers.get("sec-fetch-site"), headers.get("origin")
    allowed = {f"http://{headers.get('host', '').lower()}", origin}
    if request.method in SAFE:
        followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document" and not guarded
        if site in ("cross-site", "same-site") and not followed:
            raise Refusal("console_origin", "another site asked for this page", "open it from the console")
        return
    same = site == "same-origin" if sender in (None, "null") else sender in allowed and site in (None, "same-origin")
    if not same:
        raise Refusal("console_origin", "this form was not sent by a page of this console", "send it from the console's own page")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refusal("console_form", "what was sent is not a form", "send it from the console's own page")


def is_foreign_link(request: Request) -> bool:
    """Whether somebody followed a link from another site: the browser keeps a strict cookie back then, once."""
    return request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate"


def machine_of(request: Request, proxies: Collection[str]) -> str:
    """The address of the browser: the peer's, or behind a declared proxy the one that it names last."""
    peer = request.client.host if request.client else ""
    if peer in proxies:
        last = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(last))
        except ValueError:
            return peer
    return peer


def require_direct(request: Request) -> None:
    """Refuse what a proxy passes on to a console that is open to its own machine.

    Raises
    ------
    Refusal
        "console_proxy".
    """
    if any(name in request.headers for name in FORWARDED):
        advice = "set PENUMBRA_CONSOLE_TOKEN, or name the proxy's user header with --user-header"
        raise Refusal("console_proxy", "a proxy passes requests on to a console that is open to this machine alone", advice)


def user_of(request: Request) -> int | None:
    """The number of the user whose program is at the other end of a connection on this machine; None where the system does not tell."""
    client, server = request.scope["client"], request.scope["server"]
    for version, table in ((4, "tcp"), (6, "tcp6")):
        try:
            ends = [f"{_hexadecimal(address, version)}:{port:04X}" for address, port in (client[:2], server[:2])]
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except (OSError, ValueError, TypeError):
            continue
        for line in lines:
            words = line.split()
            if words[1:4] == [*ends, ESTABLISHED]:
                return int(words[7])
    return None


def _hexadecimal(address: str, version: int) -> str:
    """An address as /proc/net has it: each group of four bytes the other way round."""
    parsed = ipaddress.ip_address(address)
    if version == 6 and parsed.version == 4:
        parsed = ipaddress.ip_address(f"::ffff:{address}")
    if parsed.version != version:
        raise ValueError(address)
    packed = parsed.packed
    return "".join(packed[place : place + 4][::-1].hex().upper() for place in range(0, len(packed), 4))
