"""What the CT viewer fetches."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
