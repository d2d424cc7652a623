"""One statement, its answer, and the worked queries of the docs."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
