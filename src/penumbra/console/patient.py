"""One patient: scan, certificate, record, features, risk."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
