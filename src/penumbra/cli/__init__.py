"""`penumbra`: the command line. Results go to stdout, progress and errors to stderr; heavy libraries load inside the commands that need them.

`main`, the group of all commands, is made when it is first asked for: `penumbra.cli.start`, where the command begins, must come before click.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.cli.group import main as main


def __getattr__(name: str) -> Any:
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from penumbra.cli import project, path, ask, keep, versions, look, status, images  # noqa: F401  # isort: skip  each adds its commands
    from penumbra.cli.group import main

    globals()["main"] = main
    return main
