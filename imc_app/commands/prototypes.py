"""`imc prototypes`: either half of PDC, fitted and shown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.build_inputs import (
    parse_kinds,
    read_clean_questions,
    read_references,
    warn_if_coloured,
)
from imc_app.command import examples
from imc_app.commands import question_margins
from imc_app.commands.question_margins import CLEAN_QUESTIONS, BuiltModel, measure_questions
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.notices import notice
from imc_app.options import (
    AcquisitionOption,
    AsJson,
    ModelOption,
    PluginOption,
    Seed,
)
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from vision.build.workers import Workers
    from vision.encoder.vision_encoder import VisionEncoder

MOST_IMAGES = 384
"""Default of --limit. Time grows with the images: the maps of a class are fitted on 320 of them at
most, and the clean p-values of four views of 384 reach far below the gate's level."""
RANK = 6
"""`vision.build.model_half.DEFAULT_RANK`, which cannot be imported before it is needed."""

app = typer.Typer(
    help="Fit either half of PDC on clean images (the acquisition half: noise in pictures, for "
    "every model; the model half: noise in one model's features), or show one.",
    epilog=examples(
        "imc prototypes build -m my-mllm/ --images clean/ -o my-half.safetensors",
        "imc prototypes acquisition --images origins/ -o my-acquisition.safetensors",
        "imc prototypes show",
    ),
    no_args_is_help=True,
)


@app.callback()
def prototypes() -> None:
    """Fit either half of PDC on clean, unlabelled images, or show one."""


@app.command(
    "build",
    epilog=examples(
        "imc prototypes build -m my-mllm/ --images clean/ -o my-half.safetensors",
        "imc prototypes build -m my-mllm/ --images clean/ -o my-half.safetensors "
        "--questions clean-questions.txt",
    ),
)
@with_placement
def build(
    model: BuiltModel,
    images: Annotated[
        Path,
        typer.Option(
            "--images", metavar="FOLDER", help="Folder of clean images, searched in depth."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write (.safetensors)."),
    ],
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=64, help="Most images to use, drawn by the seed."),
    ] = MOST_IMAGES,
    rank: Annotated[
        int,
        typer.Option("--rank", min=1, help="Most rank of a map: size and time grow with it."),
    ] = RANK,
    acquisition: AcquisitionOption = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help=f"{CLEAN_QUESTIONS}, and written beside the file.",
        ),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(
            "--blocks",
            metavar="NAME",
            help="Dotted name of the list of the model's vision blocks, where they are not found; "
            "none: build without them. Stored in the file.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Worker processes for what needs no model; a usable core each, up to 4, by "
            "default. The file does not depend on it.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS|local",
            help="The cores of a Ray cluster instead: HOST:PORT of its head, auto (the one that "
            "this machine is part of), or local (one of this machine, for this build).",
        ),
    ] = None,
    plugin: PluginOption = None,
    placement: Placement = ANYWHERE,
    seed: Seed = 0,
) -> None:
    """Build the model half from at least 64 clean, unlabelled images of the domain to be served.

    A build that was stopped goes on where it was when it is run again with the same arguments.
    Its time is estimated before it begins.
    """
    from imc_agents.thresholds import beside
    from imc_app.perceivers import open_acquisition
    from imc_app.progress import duration, progress_bar
    from imc_app.session import check_files, open_encoder
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    if ray is not None:
        from imc_core.ray_connection import LOCAL, check_address

        check_address(ray)
        if jobs is not None and ray != LOCAL:
            raise InputRefused(
                "--jobs is of this machine, and a Ray cluster has a task on each core: leave it out"
            )
    check_files(model, acquisition=acquisition)
    check_output("--out", out, OutputKind.BANK, inputs=(model, images, questions, acquisition))
    if questions is not None:
        check_output("--questions", beside(out), OutputKind.TEXT, inputs=(images, questions))
    asked = {} if questions is None else read_clean_questions(questions)
    clean = read_references(images, limit, seed)
    encoder = open_encoder(model, placement=placement, blocks=blocks)
    _check_blocks(encoder, blocks)
    _check_replaced_bank(out, encoder)
    from imc_app.build_estimate import build_estimate
    from vision.build.finished_steps import remove_steps
    from vision.build.model_half import build_model_half
    from vision.encoder.stages import describe_stages

    warn_if_coloured(clean)
    half = open_acquisition(acquisition).on(encoder.device)
    for stage in describe_stages(encoder):
        notice(stage.sentence)
    unfinished = out.with_name(f"{out.name}.partial")
    began = time.monotonic()
    with _workers(jobs, ray, plugin or ()) as workers:
        notice(build_estimate(encoder, clean, half, workers.jobs))
        with progress_bar() as advance:
            built = build_model_half(
                encoder,
                clean,
                half,
                seed=seed,
                rank=rank,
                unfinished=unfinished,
                workers=workers,
                progress=advance,
            )
    built.save(out)
    remove_steps(unfinished)
    notice(f"built in {duration(time.monotonic() - began)}, by {workers.jobs} jobs")
    typer.echo(f"{out}: a model half from {len(clean)} images")
    if asked:
        measure_questions(model, asked, beside(out), placement)


app.command("questions", epilog=question_margins.EXAMPLES)(question_margins.questions)


@app.command(
    "acquisition",
    epilog=examples(
        "imc prototypes acquisition --images origins/ -o my-acquisition.safetensors",
        "imc prototypes acquisition --images origins/ --plugin my_noise.py --kinds my_noise "
        "-o my-acquisition.safetensors",
    ),
)
def acquisition_half(
    images: Annotated[
        Path,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="Folder of clean images: one folder for each origin, at least six, or data sets "
            "as published (clean/index.csv, vqa-rad, slake).",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write (.safetensors).")
    ],
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=8, help="Most images of one origin.")
    ] = 500,
    kinds: Annotated[
        str,
        typer.Option(
            "--kinds",
            metavar="A,B,...",
            help="Noises that it is to know beside the shipped ones, a plug-in's among them.",
        ),
    ] = "",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Worker processes.")] = 1,
    plugin: PluginOption = None,
    seed: Seed = 0,
) -> None:
    """Fit the acquisition half anew, on clean images of many origins, in closed form.

    The shipped one serves every model; fit your own where your pictures or your noises are unlike
    all that it knows. A fit that was stopped goes on where it was.
    """
    from imc_app.acquisition_images import images_by_origin
    from imc_app.progress import progress_bar
    from imc_core.plugins import load_plugins

    load_plugins(plugin or ())
    further = parse_kinds(kinds) if kinds else ()
    check_output("--out", out, OutputKind.BANK, inputs=(images,))
    origins = images_by_origin(images, limit, seed)
    from vision.build.acquisition import AcquisitionFit, OriginReferences
    from vision.build.acquisition.references import MORE_KINDS, noise_classes
    from vision.build.finished_steps import remove_steps

    references = OriginReferences.of(origins)
    classes = noise_classes(more=(*MORE_KINDS, *further))
    count = len(references.references)
    notice(
        f"{count} images of {len(origins)} origins, noise of {len(classes)} kinds and severities"
    )
    unfinished = out.with_name(f"{out.name}.partial")
    with progress_bar() as advance:
        fit = AcquisitionFit(
            references,
            classes,
            seed=seed,
            jobs=jobs,
            plugins=[str(file) for file in plugin or ()],
            unfinished=unfinished,
            progress=advance,
        )
        fit.run().half().save(out)
    remove_steps(unfinished)
    typer.echo(f"{out}: an acquisition half from {count} images of {len(origins)} origins")


@contextmanager
def _workers(jobs: int | None, ray: str | None, plugins: Sequence[Path]) -> Iterator[Workers]:
    """Of this machine, or of a Ray cluster."""
    from vision.build.workers import LocalWorkers, default_jobs

    files, here = [str(file.absolute()) for file in plugins], jobs or default_jobs()
    if ray is None:
        yield LocalWorkers(here, files)
        return
    from imc_core.ray_connection import RayConnection
    from imc_core.workers import termination_as_interrupt
    from vision.build.ray_workers import OBJECT_BYTES, RayWorkers

    connection = RayConnection(ray, cores=here, object_bytes=OBJECT_BYTES)
    with termination_as_interrupt(), closing(connection):
        yield RayWorkers(connection, files)


def _check_replaced_bank(out: Path, encoder: VisionEncoder) -> None:
    """Refuse to replace the model half of another model."""
    from vision.bank.metadata import stored_fingerprint

    if out.is_file() and stored_fingerprint(out) not in (None, encoder.fingerprint):
        raise InputRefused(
            f"--out {str(out)!r}: the half of another model is there and would be overwritten: "
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


@app.command(
    "show",
    epilog=examples(
        "imc prototypes show", "imc prototypes show my-half.safetensors -m my-mllm/ --json"
    ),
)
def show(
    bank: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Either half (.safetensors). Default: the model's own, or the embedded model's.",
        ),
    ] = None,
    model: ModelOption = None,
    as_json: AsJson = False,
) -> None:
    """Show what either half of PDC holds and knows.

    With --model it says whether a model half was built for this model.
    """
    from imc_app.notices import waiting
    from imc_app.session import bank_of, open_encoder
    from vision.errors import BankRefused

    file = bank or bank_of(model)
    if file is None:
        raise BankRefused(
            "the model has no model half: PDC restores its pictures all the same; build one with "
            "`imc prototypes build`"
        )
    if not file.is_file():
        raise BankRefused(f"{file}: no such file; give what imc prototypes wrote")
    with waiting(f"reading {file.name}"):
        from imc_app.commands.acquisition_show import acquisition_document, show_acquisition
        from imc_app.commands.model_half_show import model_half_document, show_model_half
        from vision.acquisition import AcquisitionHalf
        from vision.acquisition.half_file import FORMAT
        from vision.bank.metadata import stored_format
        from vision.bank.model_half import ModelHalf

        if stored_format(file) == FORMAT:
            document = acquisition_document(AcquisitionHalf.load(file), file)
            show_document = show_acquisition
        else:
            known = ModelHalf.load(file, fingerprint=None, acquisition=None)
            fits = None if model is None else open_encoder(model).fingerprint == known.fingerprint
            document = model_half_document(known, file, fits=fits)
            show_document = show_model_half
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_document(document)
