"""`imc ask`: one question about one image, through the whole graph."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from imc_app.options import AsJson, Frame, ModelOption, ProfileOption, PrototypesOption, Seed
from imc_app.refusals import InputRefused, one_line


class Method(StrEnum):
    """What is done before the model answers."""

    NONE = "none"
    PDC = "pdc"
    SMS = "sms"
    IMC = "imc"


def ask(
    image: Annotated[
        str | None, typer.Argument(help="PNG, JPEG, TIFF, WebP or DICOM file.")
    ] = None,
    question: Annotated[str | None, typer.Argument(help="What to ask about it.")] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="none: the bare model; pdc: calibrate the image; sms: refine the question; "
            "imc: both."
        ),
    ] = Method.IMC,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    profile: ProfileOption = "auto",
    frame: Frame = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:SEVERITY",
            help="Spoil the image or the question first, e.g. low_dose:3 or typo:2; repeatable.",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    times: Annotated[
        bool,
        typer.Option(
            "--times/--no-times",
            help="Measured times; without them the same request prints the same bytes.",
        ),
    ] = True,
    example: Annotated[
        bool, typer.Option("--example", help="Ask about a CT slice that comes with this program.")
    ] = False,
) -> None:
    """Ask one question about one medical image."""
    if example:
        image, question, noise = _take_example(image, question, noise, announce=not as_json)
    if image is None or question is None:
        raise InputRefused(
            "ask needs an image and a question; write imc ask IMAGE QUESTION, or imc ask --example"
        )

    from imc_app.session import answer_request, open_context, read_request
    from imc_app.show import console, show_answer

    request = read_request(image, question, noise or [], frame=frame, seed=seed)
    context = open_context(model, prototypes, profile=profile, method=method.value, seed=seed)
    document, failure = answer_request(context, request, timings=times)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_answer(document, console(), with_times=times)
    if failure is not None:
        typer.echo(f"imc: the model gave no answer: {one_line(failure)}", err=True)
        raise typer.Exit(1)


def _take_example(
    image: str | None, question: str | None, noise: list[str] | None, *, announce: bool
) -> tuple[str, str, list[str]]:
    from imc_app.example import ct_example

    if image is not None or question is not None:
        raise InputRefused(
            "--example brings its own image and question; give none or leave --example out"
        )
    example = ct_example()
    if announce:
        typer.echo(f"$ {example.command}\n")
    return str(example.image), example.question, [*example.noise, *(noise or [])]
