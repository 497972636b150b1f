"""`imc prototypes`: the prototype bank of another model, built and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.build_inputs import (
    parse_kinds,
    parse_severities,
    read_clean_questions,
    read_references,
    warn_if_coloured,
)
from imc_app.command import examples
from imc_app.notices import notice
from imc_app.options import (
    AsJson,
    DeviceOption,
    Dtype,
    DtypeOption,
    ModelOption,
    PluginOption,
    Seed,
)
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from vision.encoder.vision_encoder import VisionEncoder

MOST_IMAGES = 384
"""Default of --limit. Time grows with the images: the maps of a class are fitted on 320 of them at
most, and the clean p-values of four views of 384 reach far below the gate's level."""
RANK = 48
"""`vision.build.prototypes.DEFAULT_RANK`, which cannot be imported before it is needed."""

app = typer.Typer(
    help="Build a model's prototype bank (what noise does to its features, fitted on clean "
    "images), or show one.",
    epilog=examples(
        "imc prototypes build -m my-mllm/ --images clean/ -o my-bank.safetensors",
        "imc prototypes show",
    ),
    no_args_is_help=True,
)


@app.callback()
def prototypes() -> None:
    """Build a model's prototype bank from clean, unlabelled images of its domain, or show one."""


@app.command(
    "build",
    epilog=examples(
        "imc prototypes build -m my-mllm/ --images clean/ -o my-bank.safetensors",
        "imc prototypes build -m my-mllm/ --images clean/ -o my-bank.safetensors "
        "--questions clean-questions.txt",
    ),
)
def build(
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="PATH_OR_ID", help="A HuggingFace image-text model."),
    ],
    images: Annotated[
        Path,
        typer.Option(
            "--images", metavar="FOLDER", help="Folder of clean images, searched in depth."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The bank to write (.safetensors)."),
    ],
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=64, help="Most images to use, drawn by the seed."),
    ] = MOST_IMAGES,
    rank: Annotated[
        int,
        typer.Option("--rank", min=1, help="Most rank of a map: size and time grow with it."),
    ] = RANK,
    kinds: Annotated[
        str,
        typer.Option(
            "--kinds",
            metavar="A,B,...",
            help="Noises that the bank is to know, a plug-in's among them; core: the six, and "
            "others more coarsely.",
        ),
    ] = "core",
    severities: Annotated[
        str,
        typer.Option(
            "--severities", metavar="1,3,5", help="Their severities, 1 to 5; 6: above the scale."
        ),
    ] = "1,2,3,4,5,6",
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Clean questions of the domain, one a line (598 or more): how much more likely a "
            "correction must make a question (its margin) is measured on them and written beside "
            "the bank.",
        ),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(
            "--blocks",
            metavar="NAME",
            help="Dotted name of the list of the model's vision blocks, where they are not found; "
            "none: build without them. Stored in the bank.",
        ),
    ] = None,
    plugin: PluginOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    seed: Seed = 0,
) -> None:
    """Build a bank from at least 64 clean, unlabelled images of the domain to be served.

    A build that was stopped goes on where it was when it is run again with the same arguments.
    Time and size are estimated before it begins.
    """
    from imc_agents.thresholds import beside
    from imc_app.progress import progress_bar
    from imc_app.session import check_files, open_encoder
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    grid = parse_severities(severities)
    names = parse_kinds(kinds)
    check_files(model)
    check_output("--out", out, OutputKind.BANK, inputs=(model, images, questions))
    if questions is not None:
        check_output("--questions", beside(out), OutputKind.TEXT, inputs=(images, questions))
    asked = [] if questions is None else read_clean_questions(questions)
    clean = read_references(images, limit, seed)
    encoder = open_encoder(model, device=device, dtype=dtype.value, blocks=blocks)
    _check_blocks(encoder, blocks)
    _check_replaced_bank(out, encoder)
    from imc_app.build_estimate import build_estimate
    from vision.build.finished_steps import remove_steps
    from vision.build.prototypes import MORE_KINDS, bank_classes, build_bank

    more = MORE_KINDS if "core" in {name.strip() for name in kinds.split(",")} else ()
    from vision.encoder.stages import describe_stages

    for stage in describe_stages(encoder):
        notice(stage.sentence)
    warn_if_coloured(clean)
    notice(build_estimate(encoder, clean, bank_classes(names, grid, more), rank=rank))
    unfinished = out.with_name(f"{out.name}.partial")
    with progress_bar() as advance:
        bank = build_bank(
            encoder,
            clean,
            kinds=names,
            severities=grid,
            more_kinds=more,
            seed=seed,
            rank=rank,
            unfinished=unfinished,
            progress=advance,
        )
    bank.save(out)
    remove_steps(unfinished)
    typer.echo(f"{out}: a bank from {len(clean)} images")
    if asked:
        _measure_questions(model, out, asked)


def _check_replaced_bank(out: Path, encoder: VisionEncoder) -> None:
    """Refuse to replace the bank of another model."""
    from vision.bank.metadata import stored_fingerprint

    if out.is_file() and stored_fingerprint(out) not in (None, encoder.fingerprint):
        raise InputRefused(
            f"--out {str(out)!r}: the bank of another model is there and would be overwritten: "
            "remove it, or name another file"
        )


def _check_blocks(encoder: VisionEncoder, blocks: str | None) -> None:
    """Refuse before the hours of work a tower that would be seen at its end alone."""
    from vision.encoder.vision_encoder import missing_blocks

    if blocks is None and not encoder.structure.blocks:
        raise InputRefused(
            f"--blocks: {missing_blocks(encoder.model)}; name one of them with --blocks NAME, or "
            "build without them with --blocks none"
        )


def _measure_questions(model: str, out: Path, asked: list[str]) -> None:
    """Write the thresholds of the model's agents beside the bank."""
    from graphs.context import load_context
    from graphs.question_thresholds import measure_thresholds
    from imc_agents.thresholds import beside
    from imc_app.progress import progress_bar

    context = load_context(model, out, method="sms", thresholds=False)
    with progress_bar() as advance:
        found = measure_thresholds(context, asked, progress=advance)
    found.save(beside(out))
    held = (
        f"at most {found.share:.1%} of clean questions edited, at {found.confidence:.0%} confidence"
        if found.calibrated
        else "too few questions, or too many edited even at the strictest: see `calibrated`"
    )
    typer.echo(f"{beside(out)}: margins from {found.questions} questions; {held}")


@app.command(
    "show",
    epilog=examples(
        "imc prototypes show", "imc prototypes show my-bank.safetensors -m my-mllm/ --json"
    ),
)
def show(
    bank: Annotated[
        Path | None,
        typer.Argument(
            metavar="BANK",
            help="A bank or model half (.safetensors). Default: the model's own, or the embedded "
            "model's.",
        ),
    ] = None,
    model: ModelOption = None,
    as_json: AsJson = False,
) -> None:
    """Show what a bank knows, and how well it restores held-out references.

    With --model it says whether the bank was built for this model.
    """
    from imc_app.notices import waiting
    from imc_app.session import bank_of, missing_bank, open_encoder
    from vision.errors import BankRefused

    file = bank or bank_of(model)
    if file is None:
        raise BankRefused(missing_bank(model))
    if not file.is_file():
        raise BankRefused(
            f"prototype bank {file}: no such file; give what imc prototypes build wrote"
        )
    with waiting(f"reading {file.name}"):
        from imc_app.commands.model_half_show import model_half_document, show_model_half
        from imc_app.commands.prototypes_show import bank_document, show_bank
        from vision.bank.metadata import stored_format
        from vision.bank.model_half import FORMAT, ModelHalf
        from vision.bank.prototype_bank import PrototypeBank

        known: ModelHalf | PrototypeBank
        if stored_format(file) == FORMAT:
            known = ModelHalf.load(file, fingerprint=None, acquisition=None)
        else:
            known = PrototypeBank.load(file, fingerprint=None)
    fits = None if model is None else open_encoder(model).fingerprint == known.fingerprint
    if isinstance(known, ModelHalf):
        document, show_document = model_half_document(known, file, fits=fits), show_model_half
    else:
        document, show_document = bank_document(known, file, fits=fits), show_bank
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_document(document)
