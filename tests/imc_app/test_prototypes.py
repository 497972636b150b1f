"""`imc prototypes build`, and the banks that `imc ask` refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imc_app.build_estimate import PASSES, PIXEL_SECONDS, build_estimate
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused
from tests.tiny_models import save_tiny

QUESTION = "Is there a lesion?"


@pytest.mark.slow
def test_a_bank_that_was_built_perceives(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    ran = imc(
        *("ask", grey_png(tmp_path), QUESTION, "--json"),
        *("--model", tiny_llava, "--prototypes", tiny_bank),
    )
    assert (ran.code, ran.err) == (0, "")
    noise = json.loads(ran.out)["image"]["noise"]
    assert set(noise) == {"kind", "severity", "probability", "clean_p_value", "posterior"}


@pytest.mark.slow
def test_a_bank_of_another_model_is_refused(imc: Imc, tmp_path: Path, tiny_bank: Path) -> None:
    other = save_tiny("llava_onevision", tmp_path / "other")
    ran = imc("ask", grey_png(tmp_path), QUESTION, "--model", other, "--prototypes", tiny_bank)
    assert_refused(ran, "bank", "another model")


@pytest.mark.slow
def test_a_truncated_bank_is_refused(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(tiny_bank.read_bytes()[: tiny_bank.stat().st_size // 2])
    ran = imc("ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--prototypes", part)
    assert_refused(ran, "bank")


def test_a_missing_bank_is_refused(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    ran = imc(
        *("ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava),
        *("--prototypes", tmp_path / "nowhere.safetensors"),
    )
    assert_refused(ran, "nowhere.safetensors")


@pytest.mark.parametrize("number", [0, 1, 63])
def test_too_few_images_are_refused(
    number: int, imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    rng = np.random.default_rng(0)
    for index in range(number):
        pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    out = tmp_path / "bank.safetensors"
    ran = imc("prototypes", "build", "--model", tiny_llava, "--images", tmp_path, "--out", out)
    assert_refused(ran)
    assert not out.exists()


def test_an_output_folder_that_does_not_exist_is_refused_before_the_work(
    imc: Imc, tmp_path: Path, tiny_llava: Path, clean_images: Path
) -> None:
    out = tmp_path / "nowhere" / "bank.safetensors"
    ran = imc("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out)
    assert_refused(ran, "--out")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--kinds", "fog", "fog"),
        ("--kinds", " , ", "--kinds"),
        ("--severities", "1,7", "--severities"),
        ("--severities", "strong", "--severities"),
        ("--severities", "6", "1 to 5"),
    ],
)
def test_classes_that_cannot_be_drawn_are_refused_before_the_work(
    option: str,
    value: str,
    says: str,
    imc: Imc,
    tmp_path: Path,
    tiny_llava: Path,
    clean_images: Path,
) -> None:
    out = tmp_path / "bank.safetensors"
    ran = imc(
        *("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out),
        *(option, value),
    )
    assert_refused(ran, says)
    assert list(tmp_path.iterdir()) == []


def test_time_and_size_are_estimated_from_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneSecondTower:
        """Encodes an image in a second."""

        def encode(self, image: object) -> None:
            clock[0] += 1.0

    clock = [0.0]
    monkeypatch.setattr("imc_app.build_estimate.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("vision.build.bank_size.largest_maps", lambda *_, **__: 2_000_000)
    images: Any = [object()] * 100
    said = build_estimate(OneSecondTower(), images, [("gaussian", 3)] * 4, rank=8)  # type: ignore[arg-type]
    seconds = 100 * 2 * 4 * (PASSES + PIXEL_SECONDS)  # under 192 images each class is drawn twice
    assert said == (
        f"100 images, noise of 4 kinds and severities: about {seconds / 3600:.1f} h on this "
        "machine, within a factor of two; the maps take at most 2 MB"
    )
