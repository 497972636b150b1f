"""The `imc` command: its commands, its exit codes and the one line a failure gets.

Exit codes: 0 answered; 2 the input was refused (one line on stderr: what, why, the remedy);
1 a fault of ours; only with `perceive --monitor`, 3 drift (`--fail-on-alarm`) and 4 a new source
(`--fail-on-new-source`). Nothing heavy is imported here, so that `imc --help` takes less than a
second.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from imc_app.command import OUTPUT, examples, share_options
from imc_app.commands import (
    ask,
    bench,
    example,
    graph,
    mcp,
    perceive,
    prototypes,
    reference,
    refine,
    restore,
    serve,
    step,
    studio,
    threads,
)
from imc_app.notices import fresh_display, set_no_color, set_quiet, set_verbose
from imc_app.refusals import is_refusal, one_line, shortage
from imc_app.settings_file import read_settings
from imc_core.errors import where_raised
from imc_core.quiet import keep_on_this_machine, silence_libraries

ANSWERED, FAULT, REFUSED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

app = typer.Typer(
    name="imc",
    help="Ask a medical multimodal model about an image, robust to noisy images and questions.",
    epilog=examples(
        "imc ask --example",
        'imc ask scan.dcm "Is there an effusion?"',
        "imc perceive radiographs/",
        "imc COMMAND --help",
    ),
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask", epilog=ask.EXAMPLES)(ask.ask)
app.command("perceive", epilog=perceive.EXAMPLES)(perceive.perceive)
app.command("restore", epilog=restore.EXAMPLES)(restore.restore)
app.command("refine", epilog=refine.EXAMPLES)(refine.refine)
app.add_typer(prototypes.app, name="prototypes")
app.add_typer(bench.app, name="bench")
app.add_typer(threads.app, name="threads")
app.command("graph", epilog=graph.EXAMPLES)(graph.graph)
app.command("step", epilog=step.EXAMPLES)(step.step)
app.command("mcp", epilog=mcp.EXAMPLES)(mcp.mcp)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("studio", epilog=studio.EXAMPLES)(studio.studio)
app.command("example", epilog=example.EXAMPLES)(example.example)
app.add_typer(reference.app, name="reference")
share_options(app, prototypes.app, bench.app, reference.app, threads.app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and stop.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="IMC_CONFIG",
            metavar="FILE.toml",
            help=r"Defaults of options, in a table for each command: \[ask], \[bench.run] ...",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Results and refusals alone.", rich_help_panel=OUTPUT),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also what is being done.", rich_help_panel=OUTPUT),
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours.", rich_help_panel=OUTPUT)
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show tracebacks and library warnings.", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Prepare the process; without a command, print the version or the help."""
    set_quiet(quiet)
    set_verbose(verbose)
    set_no_color(no_color)
    if show_version:
        typer.echo(f"imc {version('imc-agents')}")
        raise typer.Exit(ANSWERED)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ANSWERED)
    if debug:
        os.environ["IMC_DEBUG"] = "1"
    else:
        silence_libraries()  # a refusal is one line
    keep_on_this_machine()
    if config is not None:
        context.default_map = read_settings(config, context)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; never raises for a failed command."""
    with fresh_display():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments), prog_name="imc", standalone_mode=False)
        return code if isinstance(code, int) else ANSWERED
    except TyperException as usage:
        message = usage.format_message().replace("Value error, ", "").rstrip(".")
        if not message:  # a group without a command has printed its help
            return ANSWERED
        if "--help" not in message:
            message = f"{message}; see {_command_of(usage, arguments)} --help"
        return _refuse(message)
    except BrokenPipeError:
        # The reader went away (`imc ... | head`); keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # the outermost frame: what is not a refusal is our fault
        said = str(error) if is_refusal(error) else shortage(error)
        if said is not None:
            return _refuse(said)
        return _report_fault(error)


def _command_of(usage: TyperException, arguments: Sequence[str]) -> str:
    """The command whose help explains a usage error; some errors do not name it themselves."""
    context = getattr(usage, "ctx", None)
    if context is not None:
        return str(context.command_path)
    names, command = ["imc"], typer.main.get_command(app)
    for word in arguments:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            names.append(word)
            command = inner
    return " ".join(names)


def _refuse(message: str) -> int:
    if os.environ.get("IMC_DEBUG") and sys.exc_info()[0] is not None:
        traceback.print_exc()
    print(f"imc: {one_line(message)}", file=sys.stderr)
    return REFUSED


def _report_fault(error: Exception) -> int:
    """Name the fault by type and place only: its message may quote the question."""
    if os.environ.get("IMC_DEBUG"):
        traceback.print_exception(error)
    print(
        f"imc: a fault of ours: {where_raised(error)}; "
        "run again as `imc --debug ...` for the traceback, and please report it",
        file=sys.stderr,
    )
    return FAULT


def main() -> None:
    """Entry point of the `imc` script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
