"""Every relation of the store as a table."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
