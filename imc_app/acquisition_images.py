"""The clean images of `imc prototypes acquisition`, by origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imc_app.refusals import InputRefused

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".dcm")


def images_by_origin(folder: Path, limit: int | None, seed: int) -> dict[str, list[Path]]:
    """Image files by origin: data sets as published, and one folder for each further origin.

    Raises InputRefused where the folder holds neither.
    """
    from imc_data.clean_images import CLEAN, INDEX, VQA_SETS, clean_origins

    if not folder.is_dir():
        raise InputRefused(f"--images {folder}: no such folder")
    published = [folder / CLEAN / INDEX, *(folder / name for name, _ in VQA_SETS)]
    found: dict[str, list[Path]] = {}
    if any(place.exists() for place in published):
        found = clean_origins(folder, most=limit, seed=seed)
    known = {CLEAN, *(name for name, _ in VQA_SETS)}
    further = [place for place in folder.iterdir() if place.is_dir() and place.name not in known]
    for origin in sorted(further):
        files = sorted(f for f in origin.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
        if files:
            rng = np.random.default_rng(seed)
            chosen = sorted(rng.permutation(len(files))[:limit].tolist())
            found[origin.name] = [files[i] for i in chosen]
    if not found:
        raise InputRefused(
            f"--images {folder}: holds no folders of images; give one folder for each origin"
        )
    return found
