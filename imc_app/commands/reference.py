"""`imc reference`: rebuild and measure the embedded model; build the second one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.notices import notice, waiting
from imc_app.options import REFERENCE, AsJson, Seed
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused


class TrainingDtype(StrEnum):
    """Arithmetic of the second model's training."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


TOWER_SHARE = 0.155  # of the training time: the vision tower alone; as the shipped weights had it

app = typer.Typer(
    help="Rebuild or measure the embedded model, or build the second one.",
    epilog=examples(
        "imc reference evaluate",
        "imc reference train -o my-model/ --data public/",
        "imc reference pretrained -o second-model/",
    ),
    no_args_is_help=True,
)

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="IMC_DATA",
        metavar="FOLDER",
        help="Folder that holds vqa-rad/ and slake/ as published.",
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", metavar="FOLDER", help="Model folder. Default: the embedded one."
    ),
]


@app.command("train", epilog=examples("imc reference train -o my-model/ --data public/"))
def train(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="For the model; resumes from it."),
    ],
    data: DataFolder = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="Training time, resumed runs included.")
    ] = 71.0,
    steps: Annotated[
        tuple[int, int] | None,
        typer.Option("--steps", help="Steps of the two stages, in place of --minutes."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from the last checkpoint, or anew.")
    ] = True,
    seed: Seed = 0,
) -> None:
    """Train the embedded model from scratch on phantoms, VQA-RAD train and SLAKE train.

    Two stages (the tower, then everything), then the model half, the measurement and the model
    card. Stop it at any time: the same command goes on where it was.
    """
    if data is None:
        raise InputRefused(
            "reference train needs the public VQA-RAD and SLAKE files; give --data or set IMC_DATA"
        )
    _check_data(data)
    with waiting("loading the training libraries"):
        from imc_reference.recipe import train as run_recipe
        from imc_reference.training import TrainConfig

        _check_trained(out)
    config = TrainConfig(
        out=out,
        data=data,
        tower_minutes=minutes * TOWER_SHARE,
        joint_minutes=minutes * (1 - TOWER_SHARE),
        tower_steps=None if steps is None else steps[0],
        joint_steps=None if steps is None else steps[1],
        seed=seed,
        resume=resume,
    )
    run_recipe(config, notice)
    typer.echo(f"{out}: trained and measured; its card is {out / 'README.md'}")


@app.command("evaluate", epilog=examples("imc reference evaluate --data public/ --json"))
def evaluate(
    model: ModelFolder = None,
    data: DataFolder = None,
    slake_split: Annotated[
        str,
        typer.Option(
            "--slake-split", metavar="NAME", help="Which SLAKE file to measure: validate, test."
        ),
    ] = "validate",
    phantoms: Annotated[int, typer.Option("--phantoms", min=1, help="Phantom images.")] = 400,
    images: Annotated[
        int | None,
        typer.Option(
            "--images", min=1, help="Most images of each real data set, drawn. Default: all."
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Print strict scores: with the image, with another patient's, and by question alone."""
    from imc_reference import MODEL_DIR

    folder = MODEL_DIR if model is None else model
    if not (folder / "config.json").is_file():
        raise InputRefused(f"--model {folder}: holds no model; train one with imc reference train")
    if data is None:
        notice("no --data and no IMC_DATA: phantoms alone are measured")
    with waiting(f"loading model {REFERENCE if model is None else model}"):
        from imc_reference.evaluation import EvaluateConfig, report_lines
        from imc_reference.evaluation import evaluate as measure
    config = EvaluateConfig(
        model=folder,
        data=data,
        slake_split=slake_split,
        phantoms=phantoms,
        images=images,
        seed=seed,
    )
    report = measure(config, progress=notice)
    if as_json:
        typer.echo(report.to_json())
    else:
        for line in report_lines(report):
            typer.echo(line)


@app.command("bank", epilog=examples("imc reference bank -o bank.safetensors --data public/"))
def bank(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write (.safetensors)."),
    ],
    model: ModelFolder = None,
    data: DataFolder = None,
    seed: Seed = 0,
) -> None:
    """Build the embedded model's half of PDC again, from training images and phantoms."""
    from imc_reference import MODEL_DIR

    if data is None:
        raise InputRefused(
            "reference bank needs the public VQA-RAD and SLAKE files; give --data or set IMC_DATA"
        )
    _check_data(data)
    check_output("--out", out, OutputKind.BANK, inputs=(model, data))
    folder = MODEL_DIR if model is None else model
    with waiting(f"loading model {REFERENCE if model is None else model}"):
        from imc_reference.recipe import build_reference_bank
    build_reference_bank(folder, data, seed=seed, out=out, say=notice)
    typer.echo(f"{out}: the model half of {folder}")


@app.command(
    "pretrained",
    epilog=examples(
        "imc reference pretrained -o second-model/",
        "imc reference pretrained -o second-model/ --train --data public/ --threads 2",
    ),
)
def pretrained(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="For the model; --train resumes in it."),
    ],
    train: Annotated[
        bool, typer.Option("--train", help="Train its parts anew, in place of the shipped ones.")
    ] = False,
    data: DataFolder = None,
    parts: Annotated[
        Path | None,
        typer.Option("--parts", metavar="FILE", help="Trained parts of your own (.safetensors)."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="The GGUF file of the language model. Default: the installed package's.",
        ),
    ] = None,
    epochs: Annotated[float, typer.Option("--epochs", min=0.01, help="Passes over the data.")] = (
        4.0
    ),
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads. Default: torch's choice.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Where it is trained: auto, cpu, cuda.")
    ] = "auto",
    dtype: Annotated[
        TrainingDtype,
        typer.Option(
            "--dtype", help="Arithmetic of the passes; auto: bfloat16 on CUDA, else float32."
        ),
    ] = TrainingDtype.AUTO,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from the last checkpoint, or anew.")
    ] = True,
    seed: Seed = 0,
) -> None:
    """Build the second model: a pretrained language model behind the embedded vision tower.

    Its language weights come from an installed package, its trained parts (projector and low-rank
    changes) from this one; no network is used. With --train the parts are trained on SLAKE train,
    VQA-RAD train and phantoms, then measured. Stop that at any time: the same command goes on.
    """
    if train and data is None:
        raise InputRefused(
            "reference pretrained --train needs the public VQA-RAD and SLAKE files; give --data or "
            "set IMC_DATA"
        )
    if train and parts is not None:
        raise InputRefused("--parts names trained parts and --train trains them: give one of both")
    if train and data is not None:
        _check_data(data)
    _check_second(out)
    with waiting("loading the training libraries"):
        from imc_reference.pretrained.recipe import build
        from imc_reference.pretrained.recipe import train as run_recipe
        from imc_reference.pretrained.training import AdaptConfig
    if train and data is not None:
        config = AdaptConfig(
            out=out,
            data=data,
            epochs=epochs,
            threads=threads,
            device=device,
            dtype=dtype.value,
            seed=seed,
            resume=resume,
        )
        run_recipe(config, weights=weights, say=notice)
    else:
        build(out, weights=weights, parts=parts, say=notice)
    _settle_margins(out, shipped=parts is None and not train)
    typer.echo(f"{out}: the second model; its card is {out / 'README.md'}")


def _settle_margins(out: Path, *, shipped: bool) -> None:
    """Margins of the folder's own model: those that lie there where they are of it, the shipped
    ones where its parts are the shipped ones, or none.

    Weights made on another machine differ by the rounding of a sum, and so may their fingerprint:
    shipped margins are given that of the model just made.
    """
    from imc_agents.chat.loading import load_local_mllm
    from imc_agents.errors import MarginsRefused
    from imc_agents.thresholds import QuestionThresholds, beside, language_fingerprint
    from imc_reference import BANK_PATH
    from imc_reference.pretrained.parts import SHIPPED

    path = out / beside(BANK_PATH).name
    with waiting("settling its margins"):
        own = language_fingerprint(load_local_mllm(out).model)
        try:
            QuestionThresholds.load(path, fingerprint=own)
        except MarginsRefused:
            path.unlink(missing_ok=True)
            if shipped:
                of_parts = SHIPPED.with_name(beside(SHIPPED).name)
                known = QuestionThresholds.load(of_parts, fingerprint=None)
                known.model_copy(update={"fingerprint": own}).save(path)


def _check_second(out: Path) -> None:
    """Refuse to write over another model."""
    from imc_reference.pretrained.package import is_second_model

    if out.exists() and not out.is_dir():
        raise InputRefused(f"--out {str(out)!r}: it is a file: name a folder")
    if (out / "config.json").exists() and not is_second_model(out):
        raise InputRefused(f"--out {str(out)!r}: it holds another model: name another folder")


def _check_trained(out: Path) -> None:
    """Refuse to train over another model: only an embedded model's own folder is continued."""
    from graphs.context import is_reference

    if (out / "config.json").exists() and not is_reference(out):
        raise InputRefused(f"--out {str(out)!r}: it holds another model: name another folder")
    if out.exists() and not out.is_dir():
        raise InputRefused(f"--out {str(out)!r}: it is a file: name a folder")


def _check_data(data: Path) -> None:
    missing = [name for name in ("vqa-rad", "slake") if not (data / name).is_dir()]
    if missing:
        raise InputRefused(
            f"--data {data}: has no {' and no '.join(missing)} folder; "
            "put the published files there (imc_reference/model/README.md says from where)"
        )
