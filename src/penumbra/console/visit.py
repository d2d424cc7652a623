"""One visit of one page: what was asked, by whom, and the answers a page can give."""

import copy
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.console.context import Console
from penumbra.console.sessions import LOCAL, Account
from penumbra.console.templates import rendered
from penumbra.store import Store

MAX_FIELDS = 200  # of a query or form
AS_OF = ("sql", "models", "card", "compare", "patients")  # commands with --as-of
LONGEST_VALUE = 20_000  # characters of one value of a query or form; a statement may have as many (store.guard.LONGEST)


class Visit:
    """One request to one page.

    Parameters
    ----------
    request
        As it came.
    console
        What all pages share.
    body
        Of a POST.
    """

    def __init__(self, request: Request, console: Console, body: bytes = b"") -> None:
        self.request = request
        self.console = console
        self.home: Path = console.home
        self.account: Account = getattr(request.state, "account", LOCAL)
        self._body = body
        self.age_mark = ""  # in the place of how old a page is that is rendered for everybody
        self.is_of_now = not self.account.name  # whatever the query says: of an error, and of somebody who is not signed in

    def of_everybody(self) -> "Visit":
        """The same visit of anybody of the same role; see `shared`."""
        visit = copy.copy(self)
        visit.account, visit.age_mark = self.console.marks.account(self.account), self.console.marks.age
        return visit

    @property
    def wants_the_newest(self) -> bool:
        """Whether a copy from before a change will not do: the page was loaded past the browser's copies, or is a part that its script puts into another."""
        return "no-cache" in self.request.headers.get("cache-control", "") or "x-part" in self.request.headers

    @property
    def csrf(self) -> str:
        """What a form of this session has to send back."""
        return self.account.csrf

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The query of the address, in order."""
        return _fields(self.request.url.query)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a form that was sent."""
        return dict(_fields(self._body.decode("utf-8", errors="replace")))

    def path(self, name: str, default: str = "") -> str:
        """A part of the path."""
        return str(self.request.path_params.get(name, default))

    def value(self, name: str, default: str = "") -> str:
        """The last value of a name in the query.

        Raises
        ------
        Refusal
            "question" where it is too long or has characters that no name has.
        """
        values = self.values(name)
        return values[-1] if values else default

    def values(self, name: str) -> list[str]:
        """Every value of a name in the query; see `value`."""
        values = [value for key, value in self.query if key == name]
        for value in values:
            if len(value) > LONGEST_VALUE or "\0" in value:
                raise Refusal("question", f"the value of {name} is too long, or holds a character that no text has", "shorten it")
        return values

    def number(self, name: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
        """A whole number of the query.

        Raises
        ------
        Refusal
            "question" where it is none, or outside its limits.
        """
        text = self.value(name)
        if not text:
            return default
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 12 or not least <= int(text) <= most:
            raise Refusal("question", f"{name} is {text[:40]!r}", f"{name} is a whole number from {least} to {most}")
        return int(text)

    @property
    def as_of_text(self) -> str:
        """A registered version or a commit, as it was typed; "" for now."""
        return "" if self.is_of_now else self.value("as_of").strip()

    @cached_property
    def as_of(self) -> int | None:
        """The commit that the page shows; None for now."""
        typed = self.as_of_text
        return self.console.kept.get(("as_of", typed), lambda: store.commit_of(self.home, typed)) if typed else None

    @cached_property
    def commit(self) -> int:
        """The newest commit, or the one of `as_of`."""
        return self.console.readers.newest_commit() if self.as_of is None else self.as_of

    def store(self) -> AbstractContextManager[Store]:
        """Lend a connection; hold it briefly, there are two."""
        return self.console.readers.lend(self.as_of)

    def url(self, name: str, **values: Any) -> str:
        """The address of a page, below the proxy's path; what is no part of the path goes into the query. `as_of` is kept."""
        pattern = self.console_paths[name]
        path, query = pattern, {} if not self.as_of_text or "as_of" in values else {"as_of": self.as_of_text}
        for key, value in values.items():
            for place in (f"{{{key}}}", f"{{{key}:path}}"):
                if place in pattern:
                    path = path.replace(place, quote(str(value), safe="/" if place.endswith(":path}") else ""))
                    break
            else:
                if value is not None:
                    query[key] = value
        return self.console.root_path + path + (f"?{urlencode(query, doseq=True)}" if query else "")

    def here(self, **changes: Any) -> str:
        """The address of this page with its query changed: a value, a list of values, or None to leave it out."""
        query: list[tuple[str, str]] = [(key, value) for key, value in self.query if key not in changes]
        for key, value in changes.items():
            for each in value if isinstance(value, list | tuple) else [value]:
                if each is not None:
                    query.append((key, str(each)))
        path = quote(self.request.scope["path"].removeprefix(self.console.root_path), safe="/")
        return self.console.root_path + path + (f"?{urlencode(query)}" if query else "")

    @property
    def page_name(self) -> str:
        """Of the page that was asked for; "" where there is none."""
        return str(getattr(self.request.scope.get("route"), "name", ""))

    def is_below(self, name: str) -> bool:
        """Whether this page is the one of that name, or below it."""
        path, pattern = self.request.scope["path"].removeprefix(self.console.root_path), self.console_paths[name]
        return path == pattern or (pattern != "/" and path.startswith(f"{pattern}/"))

    @property
    def console_paths(self) -> Mapping[str, str]:
        """Name -> path of every page."""
        paths: Mapping[str, str] = self.request.app.state.paths
        return paths

    def page(self, template: str, *, title: str, command: str = "", same: str = "The same", status: int = 200, **values: Any) -> Response:
        """A page.

        Parameters
        ----------
        template
            In `pages/`.
        title
            Of the window and of the page.
        command
            What gives the same at the command line; "" for none. Of a page as of a commit it gets the same --as-of, or is left out where it has no such option.
        same
            What the command gives, where that is not all of the page.
        """
        if command and self.as_of_text and " --as-of " not in command:
            has_option = command.split()[1:2] in ([name] for name in AS_OF)
            command = f"{command} --as-of {shlex.quote(self.as_of_text)}" if has_option else ""
        return HTMLResponse(rendered(template, visit=self, title=title, command=command, same=same, **values), status)


def _fields(text: str) -> list[tuple[str, str]]:
    """Names and values of a query or form."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refusal("question", f"more than {MAX_FIELDS} fields", "ask for less at once") from None
