"""The options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="PATH_OR_ID",
        help="A HuggingFace image-text model: a folder or a cached id. Default: the embedded one.",
    ),
]
PrototypesOption = Annotated[
    Path | None,
    typer.Option(
        "--prototypes",
        metavar="FILE",
        help="The model's prototype bank (imc prototypes build). Default: the model's own.",
    ),
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME_OR_FOLDER",
        help="Prompts: instruct, reference or a folder of your own; auto: reference for the "
        "embedded model, instruct for others.",
    ),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="A Python file of your own, run first: it registers noises and methods. May be given "
        "several times.",
    ),
]
Frame = Annotated[
    int | None,
    typer.Option("--frame", min=0, help="Which frame of a multi-frame file, counted from 0."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything drawn at random.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
