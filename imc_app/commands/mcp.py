"""`imc mcp`: the tools ask, perceive and refine for clients of the Model Context Protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.environment import IMAGE_ROOT, keep_on_this_machine
from imc_app.model_options import SERVED, ModelSettings, with_served_model

EXAMPLES = examples("imc mcp --image-root /data/images")


@with_served_model
def mcp(
    image_root: Annotated[
        Path | None,
        typer.Option(
            "--image-root",
            envvar=IMAGE_ROOT,
            metavar="FOLDER",
            help="Images may be named by a path under this folder; without it they come as data "
            "URIs.",
        ),
    ] = None,
    settings: ModelSettings = SERVED,
) -> None:
    """Serve the tools ask, perceive and refine over stdin and stdout to one MCP client.

    The client starts this command itself; the model is loaded by the first call.
    """
    keep_on_this_machine(os.environ)
    from imc_app.mcp_server import Tools, build_server

    settings.check()
    build_server(Tools(settings.open, image_root)).run("stdio")
