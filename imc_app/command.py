"""What every command shares: the output options, old option names, examples in its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from imc_app import notices

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

OLD_NAMES = {
    "--data-set": "--dataset",
    "--batch": "--batch-size",
}
"""Options of earlier versions, still understood and no longer shown in any help."""

OUTPUT = "Output"
"""Title of the help's panel for the options below."""


def examples(*commands: str) -> str:
    """An epilog of a help page: command lines to copy."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  {command}" for command in commands)])


class Command(TyperCommand):
    """A command with the output options, which also understands old names of its options."""

    def __init__(self, *args: Any, params: list[Parameter] | None = None, **rest: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_output_options()], **rest)

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse `args` with old option names replaced by today's."""
        known = {name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        end = args.index("--") if "--" in args else len(args)
        today = [_today(word, known) for word in args[:end]]
        return super().parse_args(ctx, [*today, *args[end:]])


def _today(word: str, known: set[str]) -> str:
    name, equals, value = word.partition("=")
    new = OLD_NAMES.get(name, "")
    return f"{new}{equals}{value}" if name not in known and new in known else word


def share_options(*groups: typer.Typer) -> None:
    """Make every command of these groups a `Command`."""
    for group in groups:
        for registered in group.registered_commands:
            registered.cls = Command


_options = typer.Typer(add_completion=False)


@_options.command()
def _output(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Results and refusals alone: no notices, no progress.",
            callback=notices.set_quiet,
            expose_value=False,
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also what is being done, and the seconds each phase took.",
            callback=notices.set_verbose,
            expose_value=False,
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            help="No colours on a terminal, as the variable NO_COLOR does.",
            callback=notices.set_no_color,
            expose_value=False,
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """The options that every command has."""


def _output_options() -> list[Parameter]:
    """Their parameters, new ones for each command."""
    return list(typer.main.get_command(_options).params)
