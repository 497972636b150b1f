"""`imc prototypes build` and `acquisition`, and the halves that `imc ask` refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imc_app.build_estimate import build_estimate
from imc_app.commands.prototypes import RANK
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused
from tests.tiny_models import save_tiny
from tests.vision.build.acquisition.small_fits import EACH, write_origins
from vision.build.model_half import DEFAULT_RANK

QUESTION = "Is there a lesion?"


def test_a_model_half_perceives(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    ran = imc(
        *("ask", grey_png(tmp_path), QUESTION, "--json"),
        *("--model", tiny_llava, "--prototypes", tiny_bank),
    )
    assert (ran.code, ran.err) == (0, "")
    noise = json.loads(ran.out)["image"]["noise"]
    expected = {"kind", "severity", "probability", "clean_p_value", "alpha", "posterior"}
    assert set(noise) == expected


@pytest.mark.slow
def test_a_half_is_built_beside_an_acquisition_half_of_ones_own(
    imc: Imc, tmp_path: Path, tiny_llava: Path, clean_images: Path, small_acquisition: Path
) -> None:
    out = tmp_path / "half.safetensors"
    ran = imc(
        *("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out),
        *("--acquisition", small_acquisition),
    )
    assert ran.code == 0, ran.err
    assert ran.out == f"{out}: a model half from 64 images\n"
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    shown = json.loads(imc("prototypes", "show", out, "--json").out)
    own = json.loads(imc("prototypes", "show", small_acquisition, "--json").out)
    assert shown["acquisition"] == own["digest"]
    assert shown["kinds"] == own["kinds"] == ["gaussian", "low_contrast"]
    refused = imc("ask", grey_png(tmp_path), QUESTION, "-m", tiny_llava, "--prototypes", out)
    assert_refused(refused, "another acquisition half")


def test_a_half_of_another_model_is_refused(imc: Imc, tmp_path: Path, tiny_bank: Path) -> None:
    other = save_tiny("llava_onevision", tmp_path / "other")
    ran = imc("ask", grey_png(tmp_path), QUESTION, "--model", other, "--prototypes", tiny_bank)
    assert_refused(ran, "half", "another model")


def test_a_truncated_half_is_refused(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(tiny_bank.read_bytes()[: tiny_bank.stat().st_size // 2])
    ran = imc("ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--prototypes", part)
    assert_refused(ran, "half")


def test_a_missing_half_is_refused(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
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


def test_a_cluster_that_there_is_not_is_refused_before_the_work(
    imc: Imc, tmp_path: Path, tiny_llava: Path, clean_images: Path
) -> None:
    out = tmp_path / "half.safetensors"
    ran = imc(
        *("prototypes", "build", "--model", tiny_llava, "--images", clean_images, "--out", out),
        *("--ray", "somewhere"),
    )
    assert_refused(ran, "--ray", "give local, auto")
    assert list(tmp_path.iterdir()) == []


def test_the_default_rank_is_that_of_the_build() -> None:
    assert RANK == DEFAULT_RANK


def test_an_acquisition_half_is_fitted_and_shown(imc: Imc, small_acquisition: Path) -> None:
    document = json.loads(imc("prototypes", "show", small_acquisition, "--json").out)
    assert document["format"] == "acquisition half"
    assert document["origins"] == {f"origin-{number}": EACH for number in range(6)}
    assert (document["references"], document["members"]) == (6 * EACH, 6)
    # nothing of the unfinished fit is left
    assert [file.name for file in small_acquisition.parent.iterdir()] == [small_acquisition.name]
    said = " ".join(imc("prototypes", "show", small_acquisition).out.split())
    assert "means over at least five pictures each" in said


@pytest.mark.parametrize(
    ("origins", "options", "says"),
    [
        (5, (), ("at least 6 origins", "got 5")),
        (0, (), ("no folders of images",)),
        (6, ("--kinds", "fog"), ("fog",)),
        (6, ("--out", "nowhere/half.safetensors"), ("--out",)),
    ],
)
def test_what_no_acquisition_half_can_be_fitted_on_is_refused_before_the_work(
    origins: int, options: tuple[str, ...], says: tuple[str, ...], imc: Imc, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    write_origins(tmp_path / "images", origins)
    out = tmp_path / "half.safetensors"
    ran = imc(
        "prototypes", "acquisition", "--images", tmp_path / "images", "--out", out, *options
    )
    assert_refused(ran, *says)
    assert [file.name for file in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(("jobs", "minutes"), [(1, 40), (2, 33)])
def test_time_is_estimated_from_one_pass_and_one_restoration(
    monkeypatch: pytest.MonkeyPatch, jobs: int, minutes: int
) -> None:
    class OneSecondTower:
        """Encodes an image in a second."""

        def encode(self, image: object) -> None:
            clock[0] += 1.0

        def working_size(self, height: int, width: int) -> tuple[int, int]:
            return height, width

    class TwoSecondRestorer:
        """Restores an image in two seconds, and knows four noises, three of them of one kind."""

        on_gpu = False
        classes = (("clean", 0), ("gaussian", 2), ("gaussian", 3), ("gaussian", 4), ("zoom", 2))

        def restore_batch(self, images: object, sizes: object, **settings: object) -> None:
            clock[0] += 2.0

    clock = [0.0]
    monkeypatch.setattr("imc_app.build_estimate.time.monotonic", lambda: clock[0])
    images: Any = [SimpleNamespace(height=64, width=64)] * 160
    said = build_estimate(OneSecondTower(), images, TwoSecondRestorer(), jobs)  # type: ignore[arg-type]
    # of each class 120 draws are encoded, 60 of them restored and encoded again, 32 more restored;
    # for each of the three severities of one kind 400 draws take a quarter of a restoration; what
    # is restored is shared among jobs, a kind is fitted by one
    assert said == (
        f"160 images, noise of 4 kinds and severities: about {minutes} min on this machine, "
        "within a factor of two"
    )
