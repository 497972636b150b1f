"""Margins from clean questions, beside a half or alone: the file is checked before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.context import load_context
from graphs.question_thresholds import measure_thresholds
from imc_agents import margin_calibration
from imc_agents.chat.placement import Placement
from imc_agents.errors import MarginsRefused
from imc_agents.policy import Margins, Policy
from imc_agents.thresholds import QuestionThresholds, language_fingerprint
from imc_app.commands.question_margins import measure_questions
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused
from tests.tiny_models import build_tiny, save_tiny


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "--questions"),
        (b"\n \n", "no question"),
        (b"\xff\xfe?", "UTF-8"),
        (b"is it?\n\nis\x00it?", "clean.txt, line 3: "),
        (b"Is it?\nIs it?\nIs this a CT?\n", "2 different questions, and margins need 598"),
    ],
)
def test_a_file_without_questions_is_refused_before_the_work(
    content: bytes | None, says: str, imc: Imc, tmp_path: Path, tiny_llava: Path, clean_images: Path
) -> None:
    file, out = tmp_path / "clean.txt", tmp_path / "bank.safetensors"
    if content is not None:
        file.write_bytes(content)
    ran = imc(
        "prototypes", "build", "--model", tiny_llava, "--images", clean_images,
        "--out", out, "--questions", file,
    )  # fmt: skip
    assert_refused(ran, says)
    assert not out.exists()


def test_margins_are_measured_without_images(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(margin_calibration, "FEWEST", 4)
    monkeypatch.setattr(margin_calibration, "SHARE", 0.6)
    folder, file = save_tiny("llava", tmp_path / "model"), tmp_path / "clean.txt"
    file.write_text("Is it normal?\n\nIs it a CT?\nIs it normal?\nIs it an MRI?\nWhy?\n")
    out = folder / "questions.json"
    ran = imc("prototypes", "questions", "--model", folder, "--questions", file, "--out", out)
    assert ran.code == 0
    assert "margins from 4 questions" in ran.out
    assert QuestionThresholds.load(out, fingerprint=None).questions == 4
    assert load_context(folder).policy.margins == Margins()
    again = imc("prototypes", "questions", "--model", folder, "--questions", file, "--out", file)
    assert_refused(again, "--out")
    unread = tmp_path / "a.json"
    other = imc("prototypes", "questions", "-m", folder, "--questions", file, "-o", unread)
    assert_refused(other, "nothing would read it")


def test_the_lines_that_raise_margins_are_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = QuestionThresholds(
        fingerprint="f", margins=Margins(homophone=15.0), new_word=18.0, calibrated=True,
        questions=600, edited=0, share=0.005, confidence=0.95, upper=0.005, over_floors=(2, 0),
    )  # fmt: skip
    monkeypatch.setattr("graphs.question_thresholds.measure_thresholds", lambda *_, **__: found)
    folder = save_tiny("llava", tmp_path / "model")
    asked = {"Has Mrs Doe a lesoin?": 7, "Is it?": 9, "Has she a mas?": 12}
    measure_questions(str(folder), asked, tmp_path / "own.questions.json", Placement())
    said = "".join(capsys.readouterr())
    assert "2 times the least ones" in said and "lines 7, 12" in said
    assert "Doe" not in said and "mas" not in said


def test_what_was_measured_is_read_where_it_lies_beside_the_model(tmp_path: Path) -> None:
    folder = save_tiny("llava", tmp_path / "model")
    context = load_context(folder, method="sms")
    found = measure_thresholds(context, ["Is there a lesoin?", "Is the lung normal?"])
    assert found.questions == 2
    assert not found.calibrated
    raised = found.model_copy(update={"margins": Margins(homophone=30.0)})
    raised.save(folder / "questions.json")
    assert load_context(folder).policy.margins.homophone == 30.0
    assert load_context(folder, thresholds=False).policy.margins == Margins()
    own = Policy(margins=Margins(homophone=1.0))
    assert load_context(folder, policy=own).policy.margins.homophone == 1.0


def test_margins_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = save_tiny("llava", tmp_path / "model")
    found = measure_thresholds(load_context(folder), ["Is the lung normal?"])
    found.model_copy(update={"fingerprint": "another"}).save(folder / "questions.json")
    with pytest.raises(MarginsRefused, match="another model"):
        load_context(folder)


def test_the_fingerprint_follows_the_language_side() -> None:
    tiny = build_tiny("llava")
    before = language_fingerprint(tiny.model)
    assert language_fingerprint(tiny.model) == before
    weights = tiny.model.get_output_embeddings().weight
    kept = weights.detach().clone()
    try:
        weights.data.add_(1.0)
        assert language_fingerprint(tiny.model) != before
    finally:
        weights.data.copy_(kept)


def test_thresholds_hold_no_question(tmp_path: Path) -> None:
    folder = save_tiny("llava", tmp_path / "model")
    found = measure_thresholds(load_context(folder), ["Has Mrs Doe a lesion?"])
    found.save(tmp_path / "questions.json")
    assert "Doe" not in (tmp_path / "questions.json").read_text()
    assert QuestionThresholds.load(tmp_path / "questions.json", fingerprint=None) == found
