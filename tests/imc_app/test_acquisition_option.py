"""`--acquisition FILE`: an acquisition half of one's own, wherever PDC runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imc_app.kept_questions import AskSettings
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_perceive_and_refine import textured_png
from tests.imc_app.test_refusals import assert_refused
from vision.acquisition import AcquisitionHalf

QUESTION = "Is there a lesion?"
BATCH = ("ask", "--batch", "rows.csv", "--out", "out.csv")
COMMANDS: dict[str, tuple[str, ...]] = {
    "ask": ("ask", "readable.png", QUESTION),
    "batch": BATCH,
    "perceive": ("perceive", "readable.png"),
    "restore": ("restore", "readable.png", "--out", "restored"),
    "step": ("step", "readable.png", QUESTION),
    "bench": ("bench", "run", "--dataset", "phantom", "-n", "1", "--out", "run.sqlite"),
}


@pytest.fixture(scope="session")
def cautious(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped acquisition half, but never sure enough to restore."""
    half = AcquisitionHalf.shipped()
    never = replace(half, benefit=replace(half.benefit, most_harm=0.0))
    file = tmp_path_factory.mktemp("acquisition") / "cautious.safetensors"
    never.save(file)
    return file


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_missing_file_is_refused_before_anything_is_loaded_or_written(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("imc_agents.chat.loading.load_local_mllm", _not_loaded)
    grey_png(tmp_path)
    Path("rows.csv").write_text(f"image,question\nreadable.png,{QUESTION}\n")
    ran = imc(*command, "--acquisition", "nowhere.safetensors")
    assert_refused(ran, "nowhere.safetensors", "imc prototypes acquisition")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["readable.png", "rows.csv"]


def test_a_model_half_is_no_acquisition_half(imc: Imc, tmp_path: Path, tiny_bank: Path) -> None:
    ran = imc("perceive", grey_png(tmp_path), "--acquisition", tiny_bank)
    assert_refused(ran, "imc-model-half-1", "imc prototypes acquisition")


def test_a_picture_is_restored_for_a_model_without_a_model_half(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc(*_noisy(tmp_path), "--model", tiny_llava, "--json")
    assert (ran.code, ran.err) == (0, "")
    image = json.loads(ran.out)["image"]
    assert image["calibrated"] and 0 < image["correction"]["predicted_share"] < 1
    assert "(features not calibrated: no model half was given)" in image["correction"]["reason"]


def test_the_half_that_is_named_decides(
    imc: Imc, tmp_path: Path, tiny_llava: Path, cautious: Path
) -> None:
    ran = imc(*_noisy(tmp_path), "--model", tiny_llava, "--acquisition", cautious, "--json")
    assert ran.code == 0
    image = json.loads(ran.out)["image"]
    assert image["noise"]["kind"] == "low_contrast" and not image["calibrated"]
    assert "allowed 0.00" in image["correction"]["declined"]


def test_a_kept_question_remembers_its_half_by_its_absolute_path(
    cautious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cautious.parent)
    settings = AskSettings.of(acquisition=Path(cautious.name), protected=())
    assert AskSettings.read(settings.record()).acquisition == str(cautious)


def test_a_thread_is_finished_with_the_half_that_is_named_again(cautious: Path) -> None:
    begun = AskSettings(acquisition="moved.safetensors")
    assert begun.changed(acquisition=str(cautious)).acquisition == str(cautious)
    assert begun.changed(acquisition=None).acquisition == "moved.safetensors"


def _noisy(folder: Path) -> tuple[object, ...]:
    return ("ask", textured_png(folder), QUESTION, "--noise", "low_contrast:5", "--ephemeral")


def _not_loaded(*_: Any, **__: Any) -> None:
    raise AssertionError("a model was loaded")
