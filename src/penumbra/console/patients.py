"""The patients as a list."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
