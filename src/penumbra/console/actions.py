"""Actions: promote, roll back, retrain, set a center aside, withdraw a patient."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
