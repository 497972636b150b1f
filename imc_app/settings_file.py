"""`imc --config FILE`: defaults of options from a TOML file, a table for each command.

    [ask]
    model = "/models/my-mllm"
    prototypes = "my-half.safetensors"

    [bench.run]
    jobs = 2

What is given on the command line or in a variable of the environment comes before the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException

from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from typer._click.core import Command, Context

MAX_BYTES = 1 << 20
"""A settings file has some lines; a longer file is another one."""


def read_settings(file: Path, context: Context) -> dict[str, Any]:
    """The defaults in `file` by command and parameter, as `Context.default_map` takes them.

    Args:
        file: a TOML file.
        context: of the root command, whose commands the tables are named after.

    Raises InputRefused: unreadable, no TOML, a table or key that names nothing, a value of
    another type than its option's.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputRefused(f"--config {file}: over 1 MB; give a TOML file of settings")
        tables = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise InputRefused(
            f"--config {file}: {error.strerror or 'cannot be read'}; give a TOML file"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputRefused(f"--config {file}: not TOML ({why}); see imc --help") from error
    return _defaults(tables, context.command, context, f"--config {file}")


def _defaults(
    tables: Mapping[str, Any], group: Command, context: Context, place: str
) -> dict[str, Any]:
    commands = group.commands if isinstance(group, TyperGroup) else {}
    found: dict[str, Any] = {}
    for name, table in tables.items():
        if name not in commands or not isinstance(table, dict):
            raise InputRefused(
                f"{place}: {name!r} is no table of a command; write [ask], [bench.run] or another "
                f"of: {', '.join(sorted(commands))}"
            )
        command = commands[name]
        if isinstance(command, TyperGroup):
            found[name] = _defaults(table, command, context, f"{place}: [{name}]")
        else:
            found[name] = {
                parameter: value
                for key, given in table.items()
                for parameter, value in [_default(command, key, given, context, f"{place}: {name}")]
            }
    return found


def _default(
    command: Command, key: str, given: object, context: Context, place: str
) -> tuple[str, Any]:
    """The parameter that `key` names and its value, checked as if it had been typed."""
    option = f"--{key.replace('_', '-')}"
    options = [each for each in command.params if isinstance(each, TyperOption)]
    parameter = next((each for each in options if option in each.opts), None)
    if parameter is None or parameter.name is None:
        known = sorted(opt[2:] for each in options for opt in each.opts if opt.startswith("--"))
        raise InputRefused(f"{place}: {key!r} is no option of it; there are: {', '.join(known)}")
    flag, many = parameter.is_flag, parameter.multiple or parameter.nargs != 1
    if isinstance(given, dict) or isinstance(given, list) != many:
        form = "a list of values in brackets" if many else "one value"
        raise InputRefused(f"{place}: {key} takes {form}")
    if flag != isinstance(given, bool):
        form = "true or false" if flag else "text or a number"
        raise InputRefused(f"{place}: {key} takes {form}, not {given!r}")
    if flag:
        return parameter.name, given
    typed = [str(value) for value in given] if isinstance(given, list) else str(given)
    try:
        parameter.get_runtime_param().coerce(typed, param=parameter, ctx=context)
    except TyperException as error:
        raise InputRefused(f"{place}: {key}: {error.format_message()}") from error
    return parameter.name, typed
