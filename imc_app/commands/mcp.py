"""`imc mcp`: the tools ask, perceive and refine for clients of the Model Context Protocol."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    ModelOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.serving.environment import IMAGE_ROOT, keep_on_this_machine

EXAMPLES = examples("imc mcp --image-root /data/images")


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
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    seed: Seed = 0,
) -> None:
    """Serve the tools ask, perceive and refine over stdin and stdout to one MCP client.

    The client starts this command itself; the model is loaded by the first call.
    """
    keep_on_this_machine(os.environ)
    from imc_app.mcp_server import Tools, build_server
    from imc_app.session import check_files, open_context

    check_files(model, prototypes)
    opened = partial(
        open_context,
        model,
        prototypes,
        profile=profile,
        protected=tuple(protected or ()),
        seed=seed,
        device=device,
        dtype=dtype.value,
    )
    build_server(Tools(opened, image_root)).run("stdio")
