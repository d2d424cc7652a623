"""The static pages of the state folder as they lie."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
