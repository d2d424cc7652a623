"""The group of all commands, and what every command shares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from penumbra.params import PROFILES, ParamsError
from penumbra.refusal import Refusal

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
model_option = click.option("--model", help="Name in the registry. Default: register.model in params.yaml.")
profile_option = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="quick: a small network for a CPU; paper: as published; best: for few patients. Default: as params.yaml says.",
)


class Commands(click.Group):
    """Lists commands in the order of the path, and turns the errors a user can mend into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (Refusal, ParamsError) as error:
            raise click.ClickException(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from penumbra import resources
            from penumbra.params import state_home

            told = resources.told(error, state_home())
            if told is None:
                raise
            raise click.ClickException(str(told)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="penumbra-survival")
def main() -> None:
    """Survival prediction from radiotherapy planning CT: a feature store and a model registry.

    \b
    From nothing to a registered model:   make run
    Then ask the store:                   penumbra sql "SELECT * FROM centers"
    """


def command(example: str, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of `penumbra`, named as its function where `name` is not given, whose help ends with `example`."""
    return main.command(name, epilog=f"Example:  {example}")


def next_commands(*lines: str) -> None:
    """Say on stderr what to type next."""
    click.echo("\nNext:\n" + "\n".join(f"  {line}" for line in lines), err=True)
