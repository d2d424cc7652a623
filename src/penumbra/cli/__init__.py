"""`penumbra`: the command line. Results go to stdout, progress and errors to stderr; heavy libraries load inside the commands that need them."""

from penumbra.cli.group import main

from penumbra.cli import path, ask, keep, versions, look  # isort: skip  each adds its commands, in the order of the help

__all__ = ["ask", "keep", "look", "main", "path", "versions"]
