"""`--acquisition FILE`: an acquisition half of one's own, wherever PDC runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imc_app.kept_questions import AskSettings
from imc_app.session import open_calibrator
from imc_reference import BANK_PATH
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_perceive_and_refine import textured_png
from tests.imc_app.test_refusals import assert_refused
from vision.acquisition import AcquisitionHalf
from vision.bank.model_half import ModelHalf
from vision.errors import BankRefused

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


def with_most_harm(most: float, file: Path) -> Path:
    """The shipped acquisition half with another threshold of the risk of harm, as a file."""
    half = AcquisitionHalf.shipped()
    replace(half, benefit=replace(half.benefit, most_harm=most)).save(file)
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
    assert_refused(ran, "imc-model-half-3", "imc prototypes acquisition")


def test_the_half_that_is_named_decides_also_for_a_model_without_a_model_half(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    asked = ("ask", textured_png(tmp_path), QUESTION, "--noise", "low_contrast:5", "--ephemeral")
    images = {}
    for name, most_harm in (("willing", 1.0), ("cautious", 0.0)):
        half = with_most_harm(most_harm, tmp_path / f"{name}.safetensors")
        ran = imc(*asked, "--json", "--model", tiny_llava, "--acquisition", half)
        assert (ran.code, ran.err) == (0, "")
        images[name] = json.loads(ran.out)["image"]
    willing, cautious = images.values()
    assert willing["noise"] == cautious["noise"] and willing["noise"]["kind"] != "clean"
    assert willing["calibrated"] and 0 < willing["correction"]["predicted_share"] < 1
    assert not cautious["calibrated"] and "not surely better" in cautious["correction"]["declined"]
    for image in images.values():
        reason = image["correction"]["reason"]
        assert "(features not calibrated: no model half was given)" in reason


def test_the_folders_own_model_half_is_left_out_beside_another_acquisition_half(
    tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_llava, model)
    mine = ModelHalf.load(tiny_bank, fingerprint=None, acquisition=None)
    replace(mine, acquisition=AcquisitionHalf.shipped().digest).save(model / BANK_PATH.name)
    other = with_most_harm(0.0, tmp_path / "other.safetensors")
    assert open_calibrator(str(model)).model_half is not None
    assert open_calibrator(str(model), acquisition=other).model_half is None
    with pytest.raises(BankRefused, match="fitted with another acquisition half"):
        open_calibrator(str(model), model / BANK_PATH.name, acquisition=other)


def test_a_kept_question_remembers_its_half_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.safetensors").touch()
    settings = AskSettings.of(acquisition=Path("own.safetensors"), protected=())
    assert AskSettings.read(settings.record()).acquisition == str(tmp_path / "own.safetensors")


def test_a_thread_is_finished_with_the_half_that_is_named_again() -> None:
    begun = AskSettings(acquisition="moved.safetensors")
    assert begun.changed(acquisition="here.safetensors").acquisition == "here.safetensors"
    assert begun.changed(acquisition=None).acquisition == "moved.safetensors"


def _not_loaded(*_: Any, **__: Any) -> None:
    raise AssertionError("a model was loaded")
