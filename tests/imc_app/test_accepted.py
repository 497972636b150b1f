"""Odd but honest input is answered, and the same request gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Imc
from tests.imc_app.bad_files import dicom, grey_png

QUESTION = "Is there a lesion?"


def _gradient(height: int, width: int) -> Any:
    return np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)


def exif_rotated(folder: Path) -> Path:
    path = folder / "rotated.jpg"
    image = Image.fromarray(_gradient(20, 40))
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    image.save(path, exif=exif)
    return path


def _saved(name: str, make: Callable[[], Image.Image]) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        make().save(folder / name)
        return folder / name

    return save


def _grey() -> Image.Image:
    return Image.fromarray(_gradient(30, 40))


def _deep() -> Image.Image:
    return Image.fromarray(_gradient(30, 40).astype(np.uint16) * 200)


ODD_IMAGES: dict[str, tuple[Callable[[Path], Path], tuple[int, int]]] = {
    "EXIF rotation": (exif_rotated, (20, 40)),
    "CMYK": (_saved("cmyk.jpg", lambda: _grey().convert("CMYK")), (40, 30)),
    "RGBA": (_saved("rgba.png", lambda: _grey().convert("RGBA")), (40, 30)),
    "palette": (_saved("palette.png", lambda: _grey().convert("P")), (40, 30)),
    "16-bit grey": (_saved("deep.png", _deep), (40, 30)),
    "16-bit TIFF": (_saved("deep.tiff", _deep), (40, 30)),
    "WebP": (_saved("web.webp", lambda: _grey().convert("RGB")), (40, 30)),
    "one pixel wide": (_saved("thin.png", lambda: Image.fromarray(_gradient(50, 1))), (1, 50)),
    "8000 pixels": (_saved("wide.png", lambda: Image.new("L", (8000, 8000), 90)), (8000, 8000)),
    "DICOM": (lambda folder: dicom(folder, pixels=True), (8, 8)),
}


@pytest.mark.parametrize("case", ODD_IMAGES)
def test_an_odd_image_is_answered_at_its_own_size(
    case: str, imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    make, (width, height) = ODD_IMAGES[case]
    ran = imc("ask", make(tmp_path), QUESTION, "--model", tiny_llava, "--json")
    assert (ran.code, ran.err) == (0, "")
    image = json.loads(ran.out)["image"]
    assert (image["width"], image["height"]) == (width, height)


@pytest.mark.parametrize(
    "question",
    [
        "Gibt es eine Läsion in der linken Lunge?",
        "左肺有病变吗？",
        "هل توجد آفة في الرئة اليسرى؟",
        "האם יש נגע בריאה?",
        "Is this normal? 🙂👩‍⚕️",
        "Is there\na lesion?",
    ],
)
def test_other_languages_and_emoji_pass_through_untouched(
    question: str, imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc("ask", grey_png(tmp_path), question, "--model", tiny_llava, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["question"]["used"] == question


def test_the_same_request_gives_the_same_bytes(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    request = ("ask", grey_png(tmp_path), "Is ther a lesoin?", "--model", tiny_llava)
    corrupted = ("--noise", "gaussian:2.5", "--noise", "typo:1", "--seed", "3", "--no-times")
    for form in ((), ("--json",)):
        first, second = imc(*request, *corrupted, *form), imc(*request, *corrupted, *form)
        assert first.code == 0
        assert first.out == second.out


def test_only_the_measured_times_differ_between_the_same_requests(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    request = ("ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--json")
    first, second = (json.loads(imc(*request).out) for _ in range(2))
    assert first.pop("thread") != second.pop("thread")
    for document in (first, second):
        for step in document["trace"]:
            assert step.pop("ms") >= 0
    assert first == second


def test_another_seed_corrupts_otherwise(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    request = ("ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--json")
    shas = {
        json.loads(imc(*request, "--noise", "gaussian:3", "--seed", seed).out)["image"]["sha256"]
        for seed in (0, 1)
    }
    assert len(shas) == 2


def test_a_frame_of_a_series_can_be_chosen(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    path = tmp_path / "series.tiff"
    frames = [Image.fromarray(_gradient(16, 16) + shade) for shade in (0, 10, 20)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    shas = {
        json.loads(
            imc("ask", path, QUESTION, "--model", tiny_llava, "--frame", frame, "--json").out
        )["image"]["sha256"]
        for frame in range(3)
    }
    assert len(shas) == 3
