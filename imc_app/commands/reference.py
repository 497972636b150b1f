"""`imc reference`: rebuild and measure the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Rebuild or measure the embedded model.", no_args_is_help=True)

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="IMC_DATA",
        help="Folder holding vqa-rad/ and slake/ as published; phantoms alone without it.",
    ),
]
