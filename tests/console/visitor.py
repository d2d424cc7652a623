"""Somebody with a browser: signs in, keeps cookies, sends forms as its pages do."""

import html
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .serving import Answer, Served

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Visitor:
    """One browser on one machine; address: of loopback, 127.0.0.1 to 127.0.0.254."""

    served: Served
    address: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)  # name of a cookie -> the header that gave it

    def ask(self, path: str, method: str = "GET", body: str | bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request with the cookies so far; redirects are not followed."""
        line = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=120, source_address=(self.address, 0))
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        try:
            line.request(method, path, body=body, headers={**kept, **(headers or {})})
            answer = line.getresponse()
            for header in answer.headers.get_all("Set-Cookie") or []:
                name, _, rest = header.partition("=")
                value = rest.partition(";")[0].strip('"')
                self.cookies[name], self.given[name] = value, header
                if "Max-Age=0" in header:
                    del self.cookies[name]
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def send(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """A form, as a page of the console sends it."""
        sender = {"Origin": self.served.address.removesuffix(self.served.prefix), "Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(path, "POST", urlencode(fields), {**sender, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of a page's form."""
        return {name: html.unescape(value) for name, value in HIDDEN.findall(self.ask(path).text)}

    def sign_in(self, name: str, token: str, path: str = "/sign-in") -> Answer:
        """Sign in with a token."""
        return self.send("/sign-in", {**self.form(path), "name": name, "token": token})
