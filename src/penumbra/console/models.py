"""Registered versions: list, comparison, and one version whole."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
