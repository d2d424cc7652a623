"""Features: the catalogue, and one feature everywhere."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
