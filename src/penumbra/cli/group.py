"""The group of all commands, and what every command shares."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from penumbra.base.params import PROFILES, ParamsError
from penumbra.base.refusal import Refusal
from penumbra.cli import completion, formatter, sections

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
model_option = click.option("--model", shell_complete=completion.models, help="Name in the registry. Default: register.model in params.yaml.")
as_of_option = click.option(
    "--as-of", shell_complete=completion.versions, help="A version (champion, nsclc-os/3), a commit id or a date (UTC): the store as it was then."
)
profile_option = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="quick: a small network for a CPU; paper: as published; best: for few patients. Default: as params.yaml says.",
)


def form_option(*forms: str, help: str = "For a reader, or for programs.") -> Callable[[Any], Any]:
    """--format, as the argument `form`; the first one is the default."""
    return click.option("--format", "form", type=Choice(forms), default=forms[0], show_default=True, help=help)


class Choice(click.Choice[str]):
    """One of some words; for a misspelled one the error names the one that was meant."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        from difflib import get_close_matches

        near = get_close_matches(str(value).casefold(), self.choices, n=1)
        return super().get_invalid_choice_message(value, ctx) + (f" Did you mean {near[0]!r}?" if near else "")


format_option = form_option(
    *("table", "csv", "json", "markdown", "parquet", "arrow"),
    help="table and markdown are rounded for reading; the others keep full precision, with times in UTC.",
)


class Command(click.Command):
    """One command, whose help ends with what it reads, writes and costs, and with an example."""

    context_class = formatter.Context

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if isinstance(parameter.type, click.Choice):
                parameter.type = Choice(parameter.type.choices, parameter.type.case_sensitive)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        about = sections.about(self.name or "")
        if about is not None:
            formatter.write_paragraph()
            formatter.write_dl([("Reads", about.reads), ("Writes", about.writes), ("Costs", f"{about.costs} ({sections.MEASURED})")])
        formatter.write_paragraph()
        formatter.write(f"{self.epilog}\n")


class Commands(click.Group):
    """Lists commands by purpose, and turns the errors that a user can fix into one sentence."""

    context_class = formatter.Context
    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        named = [name for commands in sections.SECTIONS.values() for name in commands if name in self.commands]
        return [*named, *(name for name in self.commands if name not in named)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        summaries = {name: {command: about.says for command, about in commands.items()} for name, commands in sections.SECTIONS.items()}
        summaries[sections.OTHERS] = {name: command.get_short_help_str(200) for name, command in self.commands.items() if sections.about(name) is None}
        widest = max(map(len, self.commands))
        for section, commands in summaries.items():
            rows = [(f"{name:<{widest}}", says) for name, says in commands.items() if name in self.commands and not self.commands[name].hidden]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (Refusal, ParamsError) as error:
            raise click.ClickException(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from penumbra.base import resources
            from penumbra.base.params import state_home

            try:
                place = state_home()
            except ParamsError:  # outside a project, as penumbra init is: what the command met is told, not that
                place = Path.cwd()
            refusal = resources.refusal_of(error, place) or _lost(error)
            if refusal is None:
                raise
            raise click.ClickException(str(refusal)) from error


def _lost(error: Exception) -> Refusal | None:
    """The sentence for a PostgreSQL or an object storage that went away; None for any other error, and where the store was never opened."""
    if "duckdb" not in sys.modules:
        return None
    from penumbra.store.lake import fault

    return fault(error)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": formatter.MAX_COLUMNS})
@click.option("--log-json", is_flag=True, help="Standard error as one JSON object a line: at, run, command, level, message. Anywhere on the line.")
@click.version_option(package_name="penumbra-survival")
@click.pass_context
def main(ctx: click.Context, log_json: bool) -> None:
    """Survival prediction from radiotherapy planning CT: a feature store and a model registry.

    \b
    Where am I, and what to type next?    penumbra
    From nothing to a registered model:   make run
    What a command does and costs:        penumbra COMMAND --help
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(main.commands["status"])


def command(example: str, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of `penumbra`, named as its function where `name` is not given, whose help ends with `example`."""
    return main.command(name, epilog=f"Example:  {example}")


def next_commands(*lines: str) -> None:
    """Say on stderr what to type next."""
    click.echo("\nNext:\n" + "\n".join(f"  {line}" for line in lines), err=True)
