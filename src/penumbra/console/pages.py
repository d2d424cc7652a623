"""How a page is answered: the ETag first, the page's own function in a thread, and every error as a page that says what to do."""

import hashlib
import hmac
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penumbra.base import resources
from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal, capitalized, ended, reportable
from penumbra.console import named
from penumbra.console.context import Console
from penumbra.console.sent import AGAIN, Sending
from penumbra.console.sessions import Account, Role
from penumbra.console.templates import rendered
from penumbra.console.visit import Visit

if TYPE_CHECKING:
    from starlette.datastructures import Headers

MAX_BODY = 200_000
MAX_SHOWN = 600  # characters of what was found
RETRY_AFTER_S = {429: "60", 503: "10"}
NOT_THERE = ("relation", "patient", "version_registered", "version_then", "commit", "center", "feature", "page", "console_address")  # rules that mean 404
STATUS = {
    **dict.fromkeys(("console_host", "console_origin", "console_proxy", "console_machine", "console_csrf", "role"), 403),
    **dict.fromkeys(("sign_in", "console_user"), 401),
    **dict.fromkeys(("console_rate",), 429),
    **dict.fromkeys(("log_written", "log_whole"), 503),
    "action_outdated": 409,
    "console_busy": 503,
    "sql_busy": 503,
    "sql_timeout": 408,
    "sql_memory": 413,
    "sql_rows": 413,
    "body_size": 413,
}


@dataclass(frozen=True)
class Page:
    """One page of the console.

    Parameters
    ----------
    path
        As Starlette writes it.
    show
        Answers a visit, in a thread of the pool.
    name
        For links.
    methods
        "GET", "POST".
    live
        Shows what changes without a commit, such as a run under way: never answered from a browser's copy.
    etag
        Of a file that has one of its own; "" for none.
    costly
        Computes for seconds: few at once, the others wait for a turn.
    shared_s
        Of a live page that is the same for everybody: it is rendered once in so long (s), not for each who asks; 0: for each.
    """

    path: str
    show: Callable[[Visit], Response]
    name: str
    methods: tuple[str, ...] = ("GET",)
    live: bool = False
    etag: Callable[[Visit], str] | None = None
    costly: bool = False
    shared_s: float = 0.0

    def route(self, console: Console) -> Route:
        """The page as a route."""

        async def endpoint(request: Request) -> Response:
            body = await _body(request) if request.method == "POST" else b""
            visit = Visit(request, console, body or b"")
            if not self.costly:
                return await run_in_threadpool(answer, self, visit, too_large=body is None)
            try:
                async with console.turns.one():
                    return await run_in_threadpool(answer, self, visit, too_large=body is None)
            except Refusal as refusal:
                return await run_in_threadpool(refused, visit, refusal)

        allowed: Callable[[Request], Awaitable[Response]] = endpoint
        return Route(self.path, allowed, name=self.name, methods=list(self.methods))


async def _body(request: Request) -> bytes | None:
    """The body; None for one that is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return body


def answer(page: Page, visit: Visit, *, too_large: bool = False) -> Response:
    """The page, or "not modified", or an error in words."""
    try:
        if too_large:
            raise Refusal("body_size", f"the form has more than {MAX_BODY} bytes", "send a shorter form or statement")
        if visit.request.method not in ("GET", "HEAD") and not (visit.csrf and hmac.compare_digest(visit.form.get("csrf", "").encode(), visit.csrf.encode())):
            raise Refusal("console_csrf", "this form is not of your session", "open its page again, and send it from there")
        tag = _tag(page, visit) if visit.request.method in ("GET", "HEAD") else ""
        if tag and _matches(visit.request.headers, tag):
            response = Response(status_code=304)
            whom = visit.console.trail.shown_before(tag)
        elif visit.request.method == "GET" and (tag or page.shared_s) and page.etag is None:
            sending = sent(page, visit)
            response, whom = visit.console.marks.filled(sending.response, visit.account, age_of(visit, sending)), sending.named
            tag = tag if sending.age_s is None else ""
        else:
            response = page.show(visit)
            whom = named.named_in(visit, response)
        named.note(visit, page.name, response, tag, whom)
    except (Refusal, ParamsError) as refusal:
        return refused(visit, refusal)
    except Exception as error:
        exhausted = resources.refusal_of(error, visit.home)
        if exhausted is not None:
            return refused(visit, exhausted, 503)
        print(f"{page.name}: {reportable(error)}", file=sys.stderr)  # its address may name a patient
        return refused(visit, Refusal("console_failed", f"this page failed ({type(error).__name__})", "run penumbra doctor, and try again"), 500)
    response.headers.setdefault("Cache-Control", "private, no-cache")
    if tag and response.status_code in (200, 304) and AGAIN not in response.headers:
        response.headers["ETag"] = tag
    return response


def sent(page: Page, visit: Visit) -> Sending:
    """A page that is rendered once for everybody of a role."""
    everybody = visit.of_everybody()
    scope = visit.request.scope
    key = (scope["path"], bytes(scope["query_string"]), visit.account.role, visit.as_of)
    now = time.monotonic()
    part = None if not page.shared_s else now if visit.wants_the_newest else int(now / page.shared_s)
    return visit.console.sent.get(
        key, lambda: page.show(everybody), lambda response: named.named_in(everybody, response), patient=visit.wants_the_newest, part=part
    )


def age_of(visit: Visit, sending: Sending) -> str:
    """The line that says how old a copy is; "" for one of now."""
    return "" if sending.age_s is None else rendered("age.html", visit=visit, seconds=max(1, round(sending.age_s)))


def prepare(page: Page, app: Starlette, console: Console, role: Role) -> None:
    """Render a page before anybody asks for it, for everybody of a role; nobody is shown anything, and nothing is written into the log of access.

    Parameters
    ----------
    page
        Whose address has nothing to fill in.

    Raises
    ------
    Refusal
        Of the page.
    """
    scope = {
        "type": "http",
        "method": "GET",
        "path": console.root_path + page.path,
        "root_path": console.root_path,
        "query_string": b"",
        "headers": [],
        "app": app,
        "route": page.route(console),
        "path_params": {},
        "state": {"account": Account("prepared", role)},
    }
    sent(page, Visit(Request(scope), console))


def refused(visit: Visit, refusal: Refusal | ParamsError, status: int | None = None) -> Response:
    """An error as a page: what was found, and what to do."""
    chosen = status or (404 if refusal.rule in NOT_THERE else STATUS.get(refusal.rule, 400))
    visit.is_of_now = True
    response = visit.page(
        "refused.html",
        title="Not here" if chosen == 404 else "This did not work",
        status=chosen,
        found=capitalized(ended(refusal.found[:MAX_SHOWN])),
        advice=capitalized(ended(refusal.advice[:MAX_SHOWN])),
        rule=refusal.rule,
    )
    response.headers["Cache-Control"] = "private, no-cache"
    if chosen in RETRY_AFTER_S:
        response.headers["Retry-After"] = RETRY_AFTER_S[chosen]
    return response


def _tag(page: Page, visit: Visit) -> str:
    if page.live:
        return ""
    own = page.etag(visit) if page.etag is not None else f"{visit.console.stamp()} {visit.as_of}"
    if not own:
        return ""
    account = visit.account
    words = (own, visit.console.code, visit.request.url.path, visit.request.url.query, account.name, account.role, account.csrf)
    return f'W/"{hashlib.sha256(repr(words).encode()).hexdigest()[:32]}"'


def _matches(headers: "Headers", tag: str) -> bool:
    return any(part.strip() == tag for part in headers.get("if-none-match", "").split(","))
