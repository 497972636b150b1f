"""`imc example`: the files that the README's commands name, in a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples

EXAMPLES = examples("imc example", "imc example --out try-imc/")


def example(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the files are written.")
    ] = Path("."),
) -> None:
    """Write an example image and a file of questions about it, and say what to try with them.

    The image is a CT slice that pydicom brings along; nothing is downloaded.
    """
    from imc_app.example import QUESTIONS_FILE, ct_example, write_example

    for path in write_example(out):
        typer.echo(path)
    there = "" if out == Path(".") else f"cd {out} && "
    command = ct_example().command
    typer.echo(
        f"try: {there}{command}\n"
        f"     {there}imc perceive CT_small.dcm\n"
        f"     {there}imc ask --batch {QUESTIONS_FILE} --out answers.csv"
    )
