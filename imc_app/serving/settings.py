"""What the operator said of the model: variables, and the settings file's table `[serve]`.

They are read by the options of `imc serve` itself, so that both name the same things and are
checked alike.
"""

from __future__ import annotations

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from imc_app.cli import app
from imc_app.model_options import ModelSettings, read_settings_of
from imc_app.refusals import InputRefused
from imc_app.settings_file import read_settings

__all__ = ["settings_of_environment"]


def settings_of_environment() -> ModelSettings:
    """The model that `IMC_MODEL`, `IMC_PROTOTYPES` and the others name, and a settings file that
    `IMC_CONFIG` names; the embedded model where nothing does.

    Raises InputRefused for a value that an option of `imc serve` would refuse.
    """
    root = typer.main.get_command(app)
    try:
        with root.make_context("imc", ["serve"]) as outer:
            if outer.params["config"] is not None:
                outer.default_map = read_settings(outer.params["config"], outer)
            command = root.commands["serve"] if isinstance(root, TyperGroup) else root
            with command.make_context("serve", [], parent=outer) as inner:
                return read_settings_of(inner.params)
    except TyperException as error:
        raise InputRefused(f"settings of the served model: {error.format_message()}") from error
