"""A prototype bank of the tiny model, built by the command once for all tests that need one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imc_app.cli import run
from imc_reference.phantoms import make_phantom


@pytest.fixture(scope="session")
def clean_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 different clean images, the fewest a bank is built from; and a file that is none."""
    folder = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(0)
    for number in range(64):
        Image.fromarray(make_phantom(rng, size=64).image).save(folder / f"{number:02}.png")
    (folder / "notes.txt").write_text("not an image\n")
    return folder


@pytest.fixture(scope="session")
def tiny_bank(
    tiny_llava: Path, clean_images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bank of `tiny_llava`, of few classes: a whole one takes minutes."""
    out = tmp_path_factory.mktemp("bank") / "tiny.safetensors"
    paths = ("--model", tiny_llava, "--images", clean_images, "--out", out)
    classes = ("--kinds", "gaussian,ghosting", "--severities", "5")
    assert run(["prototypes", "build", *map(str, paths), *classes]) == 0
    return out
