"""`imc ask`: questions about images, through the whole graph."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.commands.ask_batch import ask_batch
from imc_app.notices import notice, waiting
from imc_app.options import (
    AsJson,
    DeviceOption,
    Dtype,
    DtypeOption,
    Frame,
    ModelOption,
    PluginOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.outputs import OutputKind, check_output
from imc_app.page import case_page
from imc_app.refusals import InputRefused, one_line
from imc_core.files import replace_file

EXAMPLES = examples(
    "imc ask --example",
    'imc ask scan.dcm "Is there an effusion?" --html case.html',
    'imc ask scan.png "Is there an effusion?" --noise low_dose:3 --json',
    "imc ask --batch questions.csv --out answers.csv",
    'imc ask scan.png "Is there an effusion?" -m my-mllm/ -p my-bank.safetensors',
)


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
            help="none: the bare model; pdc: correct the image; sms: correct the question; "
            "imc: both."
        ),
    ] = Method.IMC,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    frame: Frame = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:SEVERITY",
            help="Corrupt the image or the question first, e.g. low_dose:3 or typo:2; repeatable.",
        ),
    ] = None,
    plugin: PluginOption = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    times: Annotated[
        bool,
        typer.Option(
            "--times/--no-times",
            help="Measured times; without them the same request prints the same bytes.",
        ),
    ] = True,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE.html", help="Write the case as one page, image included."
        ),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            metavar="FILE",
            help="Ask every row of a CSV file (columns image, question, perhaps id) or of JSON "
            "lines with these keys; image paths are relative to the file.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where --batch writes its results: .csv, .tsv or .jsonl.",
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Ask about a CT slice that comes with this program.")
    ] = False,
) -> None:
    """Ask one question about one medical image, or every row of a file.

    A row of --batch that is refused gets its line in the results and the others are still
    answered; the exit code is then 2. A batch that was stopped goes on when the same command is
    run again.
    """
    from imc_app.session import open_context
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    opened = partial(
        open_context,
        model,
        prototypes,
        profile=profile,
        protected=tuple(protected or ()),
        method=method.value,
        seed=seed,
        device=device,
        dtype=dtype.value,
    )
    noises = tuple(noise or ())
    if batch is not None or out is not None:
        if batch is None or out is None or image is not None or as_json or html or example:
            raise InputRefused(
                "--batch and --out belong together, without IMAGE, QUESTION, --json, --html or "
                "--example; write imc ask --batch questions.csv --out answers.csv"
            )
        ask_batch(batch, out, opened, noise=noises, frame=frame, seed=seed, times=times)
        return
    if example:
        image, question, noises = _take_example(image, question, noises, announce=not as_json)
    if image is None or question is None:
        raise InputRefused(
            "ask needs an image and a question; write imc ask IMAGE QUESTION, or imc ask --example"
        )

    from imc_app.session import answer_request, lacks_bank, missing_bank, read_request
    from imc_app.show import console, show_answer

    if html is not None:
        check_output(
            "--html", html, OutputKind.PAGE, inputs=(image, model, prototypes, *(protected or ()))
        )
    request = read_request(image, question, noises, frame=frame, seed=seed)
    context = opened()
    with waiting("answering"):
        outcome = answer_request(context, request, timings=times)
    lacking = missing_bank(model) if lacks_bank(context) else None
    if html is not None:
        _write_page(html, case_page(outcome, request, Path(image).name, missing_bank=lacking))
    if as_json:
        typer.echo(json.dumps(outcome.document, ensure_ascii=False))
    else:
        show_answer(
            outcome.document,
            console(),
            with_times=times,
            applied=request.applied,
            correction=outcome.correction,
            missing_bank=lacking,
        )
    if outcome.failure is not None:
        typer.echo(f"imc: the model gave no answer: {one_line(outcome.failure)}", err=True)
        raise typer.Exit(1)


def _write_page(out: Path, page: str) -> None:
    try:
        replace_file(out, page)
    except OSError as error:
        raise InputRefused(
            f"--html {out}: cannot be written ({error.strerror}); name another file"
        ) from error
    notice(f"{out}: the case as one page; it holds the image")


def _take_example(
    image: str | None, question: str | None, noise: tuple[str, ...], *, announce: bool
) -> tuple[str, str, tuple[str, ...]]:
    from imc_app.example import ct_example

    if image is not None or question is not None:
        raise InputRefused(
            "--example brings its own image and question; give none or leave --example out"
        )
    example = ct_example()
    if announce:
        typer.echo(f"$ {example.command}\n")
    return str(example.image), example.question, (*example.noise, *noise)
