"""A model half of the tiny model and an acquisition half, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imc_app.cli import run
from imc_app.session import open_encoder
from imc_reference.phantoms import make_phantom
from tests.vision.acquisition_stand_in import CLASSES
from tests.vision.build.acquisition.small_fits import CLASSES as FITTED
from tests.vision.build.acquisition.small_fits import small_fits, write_origins


@pytest.fixture(scope="session")
def clean_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 different clean images, the fewest a model half is built from; and a file that is none."""
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
    """A model half of `tiny_llava`, of few classes, for any acquisition half."""
    from vision.build.model_half import build_model_half
    from vision.reading import read_image

    references = [read_image(file) for file in sorted(clean_images.glob("*.png"))[:16]]
    encoder = open_encoder(str(tiny_llava))
    half = build_model_half(encoder, references, None, classes=CLASSES[:3], fewest=16)
    out = tmp_path_factory.mktemp("half") / "tiny.safetensors"
    half.save(out)
    return out


@pytest.fixture(scope="session")
def small_acquisition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An acquisition half of two noises, fitted by the command on a few scans of six origins."""
    from vision.build.acquisition import references

    folder, out = (tmp_path_factory.mktemp(name) for name in ("origins", "acquisition"))
    write_origins(folder)
    with small_fits() as patch:
        patch.setattr(references, "noise_classes", lambda **_: FITTED)
        fit = ["prototypes", "acquisition", "--images", folder, "--out", out / "own.safetensors"]
        assert run([str(word) for word in fit]) == 0
    return out / "own.safetensors"
