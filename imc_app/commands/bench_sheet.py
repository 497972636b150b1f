"""`imc bench sheet`: every noise at five severities on one image, and how like clean it still is.

Registered by `imc_app.commands.bench`.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.options import AsJson, Frame, PluginOption, Seed
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused, printable
from imc_core.files import replace_file

if TYPE_CHECKING:
    from rich.console import Console

    from imc_bench.sheet import Sheet

LINE_END = "⏎"  # a corrupted question may be broken over lines; a table's cell is not

EXAMPLES = examples('imc bench sheet scan.png -o sheet.png --text "Is there an effusion?"')


class NoiseAt(StrEnum):
    """Where a sheet puts image noise."""

    BOUNDED = "bounded"
    NATIVE = "native"
    INPUT = "input"


def sheet(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, WebP or DICOM.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.png", help="The contact sheet.")
    ],
    noises: Annotated[
        str,
        typer.Option(
            "--noises", metavar="A,B,...", help="core, core-image, extended or names of noises."
        ),
    ] = "core,extended",
    noise_at: Annotated[
        NoiseAt | None,
        typer.Option(
            "--noise-at",
            help="native: on the image as it is; input: at a model's input size; bounded, the "
            "default: as it is, large ones shrunk first.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", metavar="PIXELS", help="Input size, a side. Default: the embedded model's."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="QUESTION", help="Print it under every text noise, too."),
    ] = None,
    plugin: PluginOption = None,
    frame: Frame = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Draw a contact sheet of the noises on an image, and print its SSIM table.

    Six noises a page: more go to NAME-2.png, NAME-3.png and so on. Remarks: "not set by SSIM",
    severities are steps of the noise's own unit; "SSIM not falling", some severity is more like
    the clean image than the one below it, which a single image may show.
    """
    from imc_agents.safeguards.question_checks import check_question
    from imc_app.progress import progress_bar
    from imc_app.show import console
    from imc_bench.sheet import SheetRequest, make_sheet, row_names, sheet_document
    from imc_bench.sheet_drawing import draw_pages, page_paths, verdict
    from imc_core.plugins import load_plugins
    from vision.reading.medical_image import read_image

    check_output("--out", out, OutputKind.PNG, inputs=(image,))
    request = SheetRequest(
        noises=tuple(name.strip() for name in noises.split(",") if name.strip()),
        noise_at=(noise_at or (NoiseAt.BOUNDED if size is None else NoiseAt.INPUT)).value,
        size=size,
        seed=seed,
        question=None if text is None else check_question(text),
    )
    with progress_bar() as bar:
        load_plugins(plugin or ())
        pages = page_paths(out, len(row_names(request)["image"]))
        for page in pages[1:]:
            check_output("--out", page, OutputKind.PNG, inputs=[image])
        made = make_sheet(
            read_image(image, frame=frame),
            request,
            lambda done, total: bar("pictures", done, total),
        )
    try:
        for path, png in zip(pages, draw_pages(made), strict=True):
            replace_file(path, png)
    except OSError as error:
        raise InputRefused(
            f"--out {str(out)!r}: {error.strerror or error}; give a file that can be written"
        ) from error
    if as_json:
        typer.echo(json.dumps(sheet_document(made), ensure_ascii=False, allow_nan=False))
        return
    terminal = console()
    if terminal.is_terminal:
        _show(made, terminal)
    else:
        _print_plain(made)
    typer.echo(verdict(made), err=True)
    files = ", ".join(map(str, pages))
    typer.echo(f"{files}: {len(made.rows)} noises at five severities", err=True)


def _show(made: Sheet, terminal: Console) -> None:
    """Tables for a person."""
    from rich.table import Table
    from rich.text import Text

    figures = Table("noise", "modality", "recoverable", title="SSIM to the clean image")
    for heading in _severities():
        figures.add_column(heading, justify="right")
    figures.add_column("")
    for row in _figures(made):
        figures.add_row(*row[:-1], Text(row[-1], "dim"))
    terminal.print(figures)
    if made.questions:
        questions = Table("noise", "recoverable", "severity", "question")
        for name, _, recoverable, severity, corrupted in _questions(made):
            questions.add_row(name, recoverable, severity, Text(corrupted))
        terminal.print(questions)


def _print_plain(made: Sheet) -> None:
    """Columns parted by tabs, each table under its heading, for a pipe."""
    columns = ("noise", "modality", "recoverable", *_severities(), "remarks")
    for row in (columns, *_figures(made)):
        typer.echo("\t".join(row))
    if made.questions:
        typer.echo("")
        columns = ("noise", "modality", "recoverable", "severity", "question")
        for row in (columns, *_questions(made)):
            typer.echo("\t".join(row))


def _severities() -> list[str]:
    from imc_bench.sheet import SEVERITIES

    return [str(severity) for severity in SEVERITIES]


def _figures(made: Sheet) -> list[tuple[str, ...]]:
    from imc_bench.sheet import PLACES

    return [
        (
            row.name,
            "image",
            _yes_no(row.recoverable),
            *(f"{value:.{PLACES}f}" for value in row.ssim),
            ", ".join(made.remarks(row)),
        )
        for row in made.rows
    ]


def _questions(made: Sheet) -> list[tuple[str, ...]]:
    return [
        (
            row.noise.name,
            row.noise.modality,
            _yes_no(row.noise.recoverable),
            severity,
            printable(corrupted.replace("\n", LINE_END)),
        )
        for row in made.questions
        for severity, corrupted in zip(_severities(), row.corrupted, strict=True)
    ]


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
