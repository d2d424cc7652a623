"""Who may look and who may act: the guard in front of every page, and signing in and out.

The guard checks, in this order: the address, the host, the page a request was sent from, whose it is, and how often. What it refuses reaches no page.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from penumbra.base import addresses
from penumbra.base.refusal import Refusal
from penumbra.console import pages
from penumbra.console.admission import FORM, PERSON
from penumbra.console.context import Console
from penumbra.console.limits import Rate
from penumbra.console.pages import Page
from penumbra.console.sessions import NOBODY, Account
from penumbra.console.visit import Visit

SIGN_IN, ACTIONS, STATIC = "/sign-in", "/actions", "/static/"
PAGE_HERE = re.compile(r"/(?![/\\])[^\x00-\x1f\x7f\\]*")
MINUTE_S, QUARTER_S = 60.0, 900.0
AGAIN = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>penumbra</title><p>One moment.</p></html>'
MAX_TOKEN = 500


class Guard:
    """Gives every request its account, or an answer that no page had a part in."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self.app = app
        self.console = console
        limits = console.settings.console
        self.visits = Rate(limits.pages_per_minute, MINUTE_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        scope.setdefault("state", {})["account"] = NOBODY
        try:
            answer = self._early(request)
        except Refusal as refusal:
            answer = await run_in_threadpool(pages.refused, Visit(request, self.console), refusal)
        await (answer or self.app)(scope, receive, send)

    def _early(self, request: Request) -> Response | None:
        """An answer before any page, or None: the page answers.

        Raises
        ------
        Refusal
            Of `addresses` and `admission`, and "console_rate".
        """
        console, admission = self.console, self.console.admission
        path = request.scope["path"].removeprefix(console.root_path)
        addresses.require_plain(request, console.root_path)
        addresses.require_host(request, admission.door.host, admission.door.origin or None)
        addresses.require_origin(request, admission.door.origin or None, guarded=path.startswith(ACTIONS))
        if path.startswith(STATIC):
            return None
        account = admission.account(request)
        self._count(account.name if account else f"from {admission.machine(request)}")
        if account is not None:
            request.scope["state"]["account"] = account
            return None
        if path == SIGN_IN:
            request.scope["state"]["account"] = Account("", "viewer", admission.sessions.csrf("sign-in", request.cookies.get(FORM, "")))
            return None
        return self._sign_in_first(request, path)

    def _count(self, key: str) -> None:
        wait_s = self.visits.wait_s(key)
        if wait_s:
            fault = f"more than {self.visits.most} pages within a minute"
            raise Refusal("console_rate", fault, f"wait {wait_s:.0f} s")

    def _sign_in_first(self, request: Request, path: str) -> Response:
        if addresses.is_foreign_link(request):
            return HTMLResponse(AGAIN, headers={"Cache-Control": "no-store"})  # asked again by the page itself, the browser sends its cookie
        if request.method in addresses.SAFE and request.headers.get("sec-fetch-dest", "document") == "document":
            here = path + (f"?{request.url.query}" if request.url.query else "")
            query = "" if here == "/" else f"?{urlencode({'next': here})}"
            return RedirectResponse(f"{self.console.root_path}{SIGN_IN}{query}", 303, headers={"Cache-Control": "no-store"})
        raise Refusal("sign_in", "nobody is signed in", "sign in first")


def sign_in(visit: Visit) -> Response:
    """The form, and what becomes of it; for somebody who is signed in, who that is and the way out."""
    admission = visit.console.admission
    if visit.account.name and visit.request.method == "GET":
        return _uncached(visit.page("sign_in.html", title="Signed in", target="", fault="", typed="", form=""), visit, {})
    if not admission.signs_in:
        raise Refusal("sign_in", "nobody signs in to this console", "it knows who you are, or does not answer")
    if visit.request.method == "GET":
        return _form(visit, visit.value("next"))
    return _signed_in(visit)


def _signed_in(visit: Visit) -> Response:
    form, admission, machine = visit.form, visit.console.admission, visit.console.admission.machine(visit.request)
    attempts = visit.console.sign_ins
    wait_s = attempts.wait_s(machine, count=False)
    if wait_s:
        raise Refusal("console_rate", f"{attempts.most} attempts to sign in from this machine failed", f"wait {wait_s / 60:.0f} min")
    name, token = form.get("name", "").strip(), form.get("token", "").strip()
    role = admission.sessions.role_of(token) if len(token) <= MAX_TOKEN else None
    if role is None or not PERSON.fullmatch(name):
        if role is None:
            attempts.wait_s(machine)
            visit.console.trail.note(NOBODY, "refused at sign-in", {"from": machine})
        fault = "That is not a token of this console." if role is None else "A name has letters, digits and . _ @ + -, and at most 64 of them."
        return _form(visit, form.get("next", ""), fault, name if PERSON.fullmatch(name) else "")
    visit.console.trail.note(Account(name, role, way="token"), "signed in", {"from": machine})
    response = RedirectResponse(visit.console.root_path + page_here(form.get("next", "")), 303)
    cookie = admission.sessions.begin(name, role, machine)
    _set(response, visit, admission.cookie, cookie, int(admission.sessions.lasting_s))
    response.delete_cookie(FORM, path=_path(visit))
    response.headers["Cache-Control"] = "no-store"
    return response


def sign_out(visit: Visit) -> Response:
    """End the session of this browser; its cookie is worth nothing from now on."""
    admission = visit.console.admission
    admission.sessions.end(visit.request.cookies.get(admission.cookie, ""))
    if admission.signs_in:
        visit.console.trail.note(visit.account, "signed out", {})
    response = RedirectResponse(visit.console.root_path + SIGN_IN, 303, headers={"Cache-Control": "no-store"})
    response.delete_cookie(admission.cookie, path=_path(visit), secure=admission.is_secure, httponly=True, samesite="strict")
    return response


def page_here(target: str) -> str:
    """A page of this console to go to, whatever was asked for: an address of another host leads to the overview."""
    if not PAGE_HERE.fullmatch(target) or target.startswith(SIGN_IN) or len(target) > 4000:
        return "/"
    path, _, query = target.partition("?")
    return quote(path, safe="/%:@!$&'()*+,;=~-._") + (f"?{quote(query, safe='/%:@!$&()*+,;=~-._?')}" if query else "")


def require_editor(visit: Visit) -> None:
    """Refuse a viewer.

    Raises
    ------
    Refusal
        "role".
    """
    if not visit.account.is_editor:
        raise Refusal("role", "this page is for editors", "ask an editor, or sign in with the editors' token")


def _form(visit: Visit, target: str, fault: str = "", typed: str = "") -> Response:
    """The form, and the cookie that it is bound to: what it sends back is good in this browser alone."""
    import secrets

    word = visit.request.cookies.get(FORM) or secrets.token_hex(16)
    form = visit.console.admission.sessions.csrf("sign-in", word)
    response = visit.page("sign_in.html", title="Sign in", status=401 if fault else 200, target=page_here(target), fault=fault, typed=typed, form=form)
    return _uncached(response, visit, {FORM: word})


def _uncached(response: Response, visit: Visit, cookies: Mapping[str, str]) -> Response:
    for name, value in cookies.items():
        _set(response, visit, name, value, int(QUARTER_S))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "same-origin"  # or browsers would not say where a form comes from
    return response


def _set(response: Response, visit: Visit, name: str, value: str, seconds: int) -> None:
    secure = visit.console.admission.is_secure
    response.set_cookie(name, value, max_age=seconds, path=_path(visit), secure=secure, httponly=True, samesite="strict")


def _path(visit: Visit) -> str:
    return visit.console.root_path or "/"


ROUTES = (
    Page(SIGN_IN, sign_in, name="sign_in", methods=("GET", "POST"), live=True),
    Page("/sign-out", sign_out, name="sign_out", methods=("POST",), live=True),
)
