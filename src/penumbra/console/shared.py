"""What differs between two people who see the same page: the account's name, the word its forms send back, and how old the copy is.

A page is rendered once for everybody of one role, with a mark in the place of each. The marks are random words of this process that are in no data and are
never sent; what takes their place is escaped.
"""

import html
import secrets
from dataclasses import dataclass, field, replace

from starlette.responses import Response

from penumbra.console.sessions import Account


def _mark() -> str:
    return f"mark{secrets.token_hex(16)}"


@dataclass(frozen=True)
class Marks:
    """The marks of one console."""

    name: str = field(default_factory=_mark)
    csrf: str = field(default_factory=_mark)
    age: str = field(default_factory=_mark)

    def account(self, account: Account) -> Account:
        """Anybody of the role of an account."""
        return replace(account, name=self.name, csrf=self.csrf, way="")

    def filled(self, response: Response, account: Account, age: str) -> Response:
        """A page that was rendered for everybody, for one account; other files have no marks.

        Parameters
        ----------
        age
            How old the copy is, as HTML; "" for one of now.
        """
        if response.media_type != "text/html" and not response.headers.get("content-type", "").startswith("text/html"):
            return response
        words = {self.name: html.escape(account.name), self.csrf: html.escape(account.csrf), self.age: age}
        body = bytes(response.body)
        for mark, word in words.items():
            body = body.replace(mark.encode(), word.encode())
        own = Response(body, response.status_code)
        length = [(name, value) for name, value in own.raw_headers if name == b"content-length"]
        own.raw_headers = [*((name, value) for name, value in response.raw_headers if name != b"content-length"), *length]
        return own
