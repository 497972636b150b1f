"""`imc ask`: questions about images, through the whole graph."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from imc_app.command import examples
from imc_app.commands.ask_batch import ask_batch
from imc_app.commands.ask_one import Shown, ask_one, resume_one
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.options import (
    THREADS,
    AcquisitionOption,
    AsJson,
    CheckpointsOption,
    Frame,
    KeepExchanges,
    ModelOption,
    PluginOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.refusals import InputRefused
from imc_app.stages import ALL_STAGES, STAGES, StagesOption, parse_stages

EXAMPLES = examples(
    "imc ask --example",
    'imc ask scan.dcm "Is there an effusion?" --html case.html',
    'imc ask scan.png "Is there an effusion?" --noise low_dose:3 --json',
    "imc ask --batch questions.csv --out answers.csv",
    'imc ask scan.png "Is there an effusion?" -m my-mllm/ -p my-half.safetensors',
    "imc ask --resume 20261126-101503-4f2a",
)


class Method(StrEnum):
    """What is done before the model answers."""

    NONE = "none"
    PDC = "pdc"
    SMS = "sms"
    IMC = "imc"


@with_placement
def ask(
    context: typer.Context,
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
    stages: StagesOption = ALL_STAGES,
    model: ModelOption = None,
    prototypes: PrototypesOption = None,
    acquisition: AcquisitionOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    placement: Placement = ANYWHERE,
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
    checkpoints: CheckpointsOption = "sqlite",
    ephemeral: Annotated[
        bool,
        typer.Option(
            "--ephemeral",
            help="Keep no thread: nothing of image, question and answer is written.",
            rich_help_panel=THREADS,
        ),
    ] = False,
    keep_exchanges: KeepExchanges = False,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="THREAD",
            help="Finish a question that was stopped, with the options it was begun with; imc "
            "threads list names the threads.",
            rich_help_panel=THREADS,
        ),
    ] = None,
) -> None:
    """Ask one question about one medical image, or every row of a file.

    A single question is kept as a thread on this machine, image included (imc threads). A row of
    --batch that is refused gets its line in the results and the others are still answered; the
    exit code is then 2. A batch that was stopped goes on when the same command is run again.
    """
    from imc_app.kept_questions import AskSettings
    from imc_app.session import check_files, open_context
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    used = parse_stages(stages)
    if used != STAGES and method in (Method.NONE, Method.SMS):
        raise InputRefused(
            f"--stages {stages}: --method {method.value} corrects no image; use pdc or imc, or "
            "leave one of the two out"
        )
    options: dict[str, Any] = {
        "acquisition": acquisition,
        "profile": profile,
        "protected": tuple(protected or ()),
        "method": method.value,
        "stages": used,
        "seed": seed,
        "placement": placement,
    }
    noises = tuple(noise or ())
    if batch is not None or out is not None:
        alone = image is not None or as_json or html or example or keep_exchanges
        if batch is None or out is None or alone:
            raise InputRefused(
                "--batch and --out belong together, without IMAGE, QUESTION, --json, --html, "
                "--example or --keep-exchanges; write imc ask --batch questions.csv "
                "--out answers.csv"
            )
        check_files(model, prototypes, acquisition)
        opened = partial(open_context, model, prototypes, **options)
        ask_batch(batch, out, opened, noise=noises, frame=frame, seed=seed, times=times)
        return
    shown = Shown(as_json, times, html)
    if resume is not None:
        _check_resumed(context)
        resume_one(
            resume,
            checkpoints,
            shown,
            model=model,
            prototypes=prototypes,
            acquisition=acquisition,
            placement=placement,
            keep_exchanges=keep_exchanges,
        )
        return
    if example:
        image, question, noises = _take_example(image, question, noises, announce=not as_json)
    if image is None or question is None:
        raise InputRefused(
            "ask needs an image and a question; write imc ask IMAGE QUESTION, or imc ask --example"
        )
    settings = AskSettings.of(model=model, prototypes=prototypes, noise=noises, **options)
    if ephemeral and keep_exchanges:
        raise InputRefused("--keep-exchanges keeps them beside a thread: leave --ephemeral out")
    ask_one(
        image,
        question,
        settings,
        shown,
        frame=frame,
        checkpoints=None if ephemeral else checkpoints,
        keep_exchanges=keep_exchanges,
    )


def _check_resumed(context: typer.Context) -> None:
    """Refuse what a thread has already: it is finished with the options it was begun with."""
    allowed = {
        "resume", "checkpoints", "keep_exchanges", "model", "prototypes", "acquisition", "device",
        "device_map", "attention", "as_json", "times", "html",
    }  # fmt: skip
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in allowed:
            said = parameter.opts[0] if parameter.opts[0].startswith("-") else name.upper()
            raise InputRefused(
                f"{said} does not go with --resume, which finishes a thread as it was begun; leave "
                "it out, or ask anew"
            )


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
