"""Decisions: each retraining as its protocol's steps."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
