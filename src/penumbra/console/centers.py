"""Centers: who came, who was refused and why, and how far each is from the training centers."""

from penumbra.console.pages import Page

ROUTES: tuple[Page, ...] = ()
