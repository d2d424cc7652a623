"""Pages as they were sent, in memory alone until anything changes: twenty people who open the same page cost one rendering."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from starlette.responses import Response

from penumbra.console.kept import Kept

ENTRIES = 128
LARGEST = 256_000  # bytes of a page that is kept


@dataclass(frozen=True)
class Copy:
    """What was sent, and whom it names."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    named: frozenset[str] | None

    def again(self) -> Response:
        """The same answer for another person."""
        response = Response(self.body)
        response.raw_headers = list(self.headers)
        return response


class Sent:
    """The answers of a console, by what they depend on; empty whenever the state has changed.

    Parameters
    ----------
    stamp
        What the state is now, see `Console.stamp`.
    """

    def __init__(self, stamp: Callable[[], Hashable]) -> None:
        self._kept = Kept(stamp, ENTRIES)

    def get(self, key: Hashable, show: Callable[[], Response], named: Callable[[Response], frozenset[str] | None]) -> tuple[Response, frozenset[str] | None]:
        """The answer of a key, made once; who asks meanwhile waits for it.

        Parameters
        ----------
        show
            Makes the answer.
        named
            Whom it names.

        Returns
        -------
        tuple
            The answer, and whom it names.
        """
        made: list[tuple[Response, frozenset[str] | None]] = []

        def make() -> Copy | None:
            response = show()
            whom = named(response)
            made.append((response, whom))
            body = getattr(response, "body", None)
            is_page = response.media_type == "text/html" and "content-encoding" not in response.headers  # a file may be packed as its reader takes it
            if response.status_code != 200 or not is_page or not isinstance(body, bytes) or len(body) > LARGEST:
                return None
            return Copy(body, tuple(response.raw_headers), whom)

        copy = self._kept.get(key, make)
        if made:
            if copy is None:
                self._kept.drop(key)
            return made[0]
        if copy is None:  # the one that was waited for is too large to keep, or a page that says that something is missing
            make()
            return made[0]
        return copy.again(), copy.named
