"""The options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

REFERENCE = "imc-reference"
"""How the embedded model is called (`graphs.context.REFERENCE_MODEL`)."""


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="PATH_OR_ID",
        help="A HuggingFace image-text model: a folder or a cached id. Default: the embedded one.",
    ),
]
PrototypesOption = Annotated[
    Path | None,
    typer.Option(
        "--prototypes",
        "-p",
        metavar="FILE",
        help="The model's half of PDC: what imc prototypes build wrote. Default: the file in the "
        "model's folder; without one pictures are restored all the same.",
    ),
]
AcquisitionOption = Annotated[
    Path | None,
    typer.Option(
        "--acquisition",
        metavar="FILE",
        help="An acquisition half of your own: what imc prototypes acquisition wrote. Default: the "
        "shipped one.",
    ),
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME_OR_FOLDER",
        help="Prompts of the agents: instruct, reference or a folder of your own; auto: reference "
        "for the embedded model, instruct for others.",
    ),
]
ProtectedOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--protected",
        metavar="FILE.yaml",
        help="Words of your own that no correction of a question may change, beside the shipped "
        "ones, as in examples/protected_words.yaml. May be given several times.",
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

THREADS = "Threads"
"""Title of the help's panel for the options of kept questions."""
CheckpointsOption = Annotated[
    str,
    typer.Option(
        "--checkpoints",
        envvar="IMC_CHECKPOINTS",
        metavar="PLACE",
        help="Where threads are kept: sqlite (the file in your data directory), a file of your "
        "own, or postgresql://USER@HOST/DATABASE.",
        rich_help_panel=THREADS,
    ),
]
KeepExchanges = Annotated[
    bool,
    typer.Option(
        "--keep-exchanges",
        help="Keep every prompt and reply of the model beside the thread, as plain text; imc "
        "threads delete deletes them too.",
        rich_help_panel=THREADS,
    ),
]
