"""The folder of the second model: from package and parts, from training, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from langchain_core.messages import HumanMessage
from safetensors import safe_open

from graphs.context import load_context
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.policy import Margins
from imc_agents.thresholds import QuestionThresholds
from imc_reference.evaluation import EvaluationReport, Share
from imc_reference.pretrained import package, parts, recipe
from imc_reference.pretrained.assembly import assembled, embedded_model, tower_digest
from imc_reference.pretrained.gguf_llama import read_gguf
from imc_reference.pretrained.lora import add_low_rank, trainable
from imc_reference.pretrained.package import PretrainedRefused, is_second_model
from imc_reference.pretrained.parts import TrainedParts
from imc_reference.pretrained.training import AdaptConfig
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused
from tests.imc_reference.pretrained.test_training import images

Usage = namedtuple("Usage", "total used free")


def drawn_parts(gguf_file: Path, **changes: object) -> TrainedParts:
    """Parts of the tiny model as they are before training."""
    model, _ = assembled(read_gguf(gguf_file))
    add_low_rank(model, 2, seed=0)
    stated = {
        "tensors": trainable(model),
        "rank": 2,
        "language": package.digest_of(gguf_file),
        "tower": tower_digest(embedded_model()),
        "recipe": {"epochs": 1.0},
        "curve": [{"epoch": 1.0, "slake_val": 0.5}],
    }
    return TrainedParts(**{**stated, **changes})  # type: ignore[arg-type]


@pytest.fixture
def parts_file(expected: Path, tmp_path: Path) -> Path:
    drawn_parts(expected).save(tmp_path / "parts.safetensors")
    return tmp_path / "parts.safetensors"


def test_the_folder_is_made_and_answers(
    imc: Imc, expected: Path, parts_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "second"
    made = imc("reference", "pretrained", "-o", out, "--weights", expected, "--parts", parts_file)
    assert made.code == 0
    assert is_second_model(out)
    card = (out / "README.md").read_text("utf-8")
    assert "Apache 2.0" in card and "slake_val" in card
    chat = ChatLocalMLLM.from_pretrained(out, max_tokens=2)
    assert isinstance(chat.invoke([HumanMessage("hello")]).text, str)
    assert chat.choose([HumanMessage("yes or no?")], ["yes", "no"]).probabilities


def test_margins_of_the_shipped_parts_are_the_folder_s_and_others_leave(
    imc: Imc,
    expected: Path,
    parts_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = QuestionThresholds(
        fingerprint="elsewhere", margins=Margins(homophone=8.5), new_word=18.0, calibrated=True,
        questions=600, edited=0, share=0.005, confidence=0.95, upper=0.005,
    )  # fmt: skip
    measured.save(tmp_path / "parts.questions.json")
    monkeypatch.setattr(parts, "SHIPPED", parts_file)
    monkeypatch.setattr(recipe, "SHIPPED", parts_file)
    out = tmp_path / "second"
    words = ("reference", "pretrained", "-o", out, "--weights", expected)
    assert imc(*words).code == 0
    assert load_context(out).policy.margins.homophone == 8.5
    own = QuestionThresholds.load(out / "questions.json", fingerprint=None)
    own.model_copy(update={"margins": Margins(homophone=9.5)}).save(out / "questions.json")
    assert imc(*words).code == 0  # of the same weights: what was measured there stays
    assert load_context(out).policy.margins.homophone == 9.5
    own.model_copy(update={"fingerprint": "another"}).save(out / "questions.json")
    assert imc(*words, "--parts", parts_file).code == 0
    assert not (out / "questions.json").exists()


def test_the_command_goes_on_in_its_own_folder_alone(
    imc: Imc, expected: Path, parts_file: Path, tmp_path: Path, tiny_llava: Path
) -> None:
    words = ("reference", "pretrained", "--weights", expected, "--parts", parts_file, "-o")
    assert_refused(imc(*words, tiny_llava), "another model")
    assert_refused(imc(*words, parts_file), "it is a file")


def test_training_writes_parts_measures_them_and_the_card_says_so(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = images(tmp_path)
    monkeypatch.setattr(recipe, "training_images", lambda data: own)
    monkeypatch.setattr(recipe, "load_slake", lambda folder, split: own)
    share = Share(0.75, 0.7, 0.8, 15)
    config = {"bootstrap_seed": 0, "phantom_seed": 1}
    report = EvaluationReport({"slake validate": {"image": {"all": share}}}, config)
    monkeypatch.setattr(recipe, "evaluate", lambda settings, say, answerer: report)
    out = tmp_path / "trained"
    said: list[str] = []
    run = AdaptConfig(out, tmp_path, epochs=2.0, rank=2, rows=2, phantoms=0, device="cpu")
    recipe.train(run, weights=expected, say=said.append)
    stored = out / recipe.PARTS_FILE
    known = TrainedParts.load(
        stored, language=package.digest_of(expected), tower=tower_digest(embedded_model())
    )
    assert all(value.dtype == torch.float16 for value in known.tensors.values())
    assert known.curve and known.recipe["steps"] == 4
    assert json.loads((out / "evaluation.json").read_text())["tables"]["slake validate"]
    assert "0.750 (0.700-0.800)" in (out / "README.md").read_text("utf-8")
    again = tmp_path / "again"
    recipe.build(again, weights=expected, parts=stored, say=said.append)
    for name in ("model.safetensors", "README.md", "evaluation.json"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_parts_of_another_model_are_refused(expected: Path, tmp_path: Path) -> None:
    file = tmp_path / "parts.safetensors"
    for change, said in (({"tower": "t" * 64}, "vision tower"), ({"language": "l"}, "language")):
        drawn_parts(expected, **change).save(file)
        with pytest.raises(PretrainedRefused, match=said):
            recipe.build(tmp_path / "out", weights=expected, parts=file)
    drawn_parts(expected, tensors={"projector.linear_1.weight": torch.zeros(1, 1)}).save(file)
    with pytest.raises(PretrainedRefused, match="other shapes"):
        recipe.build(tmp_path / "out", weights=expected, parts=file)


def test_damaged_and_missing_parts_are_refused(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "parts.safetensors"
    with pytest.raises(PretrainedRefused, match="no such file"):
        recipe.build(tmp_path / "out", weights=expected, parts=file)
    file.write_bytes(b"12345678 no header")
    with pytest.raises(PretrainedRefused, match="damaged"):
        recipe.build(tmp_path / "out", weights=expected, parts=file)
    monkeypatch.setattr(recipe, "SHIPPED", tmp_path / "absent")
    with pytest.raises(PretrainedRefused, match="no trained parts are shipped"):
        recipe.build(tmp_path / "out", weights=expected)


def test_no_room_for_the_folder(
    expected: Path, parts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, 1000))
    with pytest.raises(PretrainedRefused, match=r"takes \d+ MB and 0 MB are free"):
        recipe.build(tmp_path / "out", weights=expected, parts=parts_file)
    assert not (tmp_path / "out").exists()


def test_shipped_parts_are_small(expected: Path) -> None:
    if not parts.SHIPPED.is_file():
        pytest.skip("no trained parts are shipped yet")
    assert parts.SHIPPED.stat().st_size <= 8_000_000


def test_training_without_data_is_refused(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMC_DATA", raising=False)
    assert_refused(imc("reference", "pretrained", "-o", tmp_path / "out", "--train"), "IMC_DATA")
    refused = imc("reference", "pretrained", "-o", tmp_path, "--train", "--data", tmp_path)
    assert_refused(refused, "vqa-rad")


def test_the_shipped_parts_belong_to_the_tower_that_is_shipped() -> None:
    with safe_open(parts.SHIPPED, framework="pt") as opened:
        language = opened.metadata()["language"]
    tower = tower_digest(embedded_model())
    shipped = TrainedParts.load(parts.SHIPPED, language=language, tower=tower)
    assert shipped.report is not None and shipped.recipe["dtype"] == "bfloat16"
