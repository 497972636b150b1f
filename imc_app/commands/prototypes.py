"""`imc prototypes`: the prototype bank of another model, built and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.options import AsJson, Seed
from imc_app.refusals import InputRefused, is_refusal

if TYPE_CHECKING:
    from vision.reading import MedicalImage

SNIFFED_BYTES = 512  # past the DICOM preamble (128) and the first elements

app = typer.Typer(help="Build a model's prototype bank, or show one.", no_args_is_help=True)


@app.callback()
def prototypes() -> None:
    """Build a model's prototype bank from clean, unlabelled images of its domain, or show one."""


@app.command("build")
def build(
    model: Annotated[str, typer.Option("--model", help="A HuggingFace image-text model.")],
    images: Annotated[
        Path, typer.Option("--images", help="Folder of clean images, searched in depth.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The bank to write (.safetensors).")],
    limit: Annotated[
        int, typer.Option("--limit", min=64, help="Most images to use, drawn by the seed.")
    ] = 384,
    seed: Seed = 0,
) -> None:
    """Build a bank from at least 64 clean, unlabelled images of the domain to be served."""
    from imc_app.progress import progress_bar
    from imc_app.session import open_encoder
    from vision.prototypes import build_bank

    paths = _find_images(images)
    _check_writable(out)
    encoder = open_encoder(model)
    clean = _read_images(_draw(paths, limit, seed))
    with progress_bar() as advance:
        bank = build_bank(encoder, clean, seed=seed, progress=advance)
    bank.save(out)
    typer.echo(f"{out}: a bank from {len(clean)} images")


@app.command("show")
def show(
    bank: Annotated[Path, typer.Argument(metavar="BANK", help="A bank (.safetensors).")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="PATH_OR_ID", help="Say whether the bank is this model's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a bank knows, and how well it restores held-out references."""
    from imc_app.commands.prototypes_show import bank_document, show_bank
    from imc_app.session import open_encoder
    from vision.bank import PrototypeBank

    known = PrototypeBank.load(bank, fingerprint=None)
    fits = None if model is None else open_encoder(model).fingerprint == known.fingerprint
    document = bank_document(known, bank, fits=fits)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_bank(document)


def _find_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputRefused(f"--images {folder}: not a folder; give one that holds clean images")
    found = sorted(path for path in folder.rglob("*") if path.is_file() and _is_image(path))
    if not found:
        raise InputRefused(
            f"--images {folder}: holds no image; PNG, JPEG, TIFF, WebP and DICOM are read"
        )
    return found


def _is_image(path: Path) -> bool:
    """Whether the first bytes are an image's: DICOM files often have no extension."""
    from vision.reading import sniff

    with path.open("rb") as file:
        return sniff(file.read(SNIFFED_BYTES)) is not None


def _check_writable(out: Path) -> None:
    """Refuse before the minutes of work, not after."""
    if out.is_dir() or not out.parent.is_dir():
        why = "is a folder" if out.is_dir() else "its folder does not exist"
        raise InputRefused(f"--out {out}: {why}; name a file in an existing folder")


def _draw(paths: list[Path], limit: int, seed: int) -> list[Path]:
    import numpy as np

    if len(paths) <= limit:
        return paths
    chosen = np.random.default_rng(seed).choice(len(paths), size=limit, replace=False)
    return [paths[index] for index in sorted(chosen)]


def _read_images(paths: list[Path]) -> list[MedicalImage]:
    from vision.reading import read_image

    read: list[MedicalImage] = []
    for path in paths:
        try:
            read.append(read_image(path))
        except ValueError as error:
            if not is_refusal(error):
                raise
            typer.echo(f"imc: skipped: {error}", err=True)
    return read
