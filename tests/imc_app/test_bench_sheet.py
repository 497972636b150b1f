"""`imc bench sheet` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from imc_noise import CORE_IMAGE, CORE_TEXT
from tests.conftest import REPOSITORY, Imc

pytest.importorskip("skimage", reason="SSIM needs scikit-image (extra: bench)")

CT = REPOSITORY / "examples" / "phantom_ct.png"
QUESTION = "Is there a lesion in the left lung?"
SMALL = ("--noises", "core", "--size", "48")


def test_a_sheet_is_written_and_its_table_printed_for_a_pipe(imc: Imc, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    ran = imc("bench", "sheet", CT, "--out", out, *SMALL)
    assert ran.code == 0
    with Image.open(out) as drawn:
        assert drawn.format == "PNG" and drawn.width > 600
    heading, *rows = [line.split("\t") for line in ran.out.splitlines()]
    assert heading == ["noise", "modality", "recoverable", *"12345", "remarks"]
    assert [row[0] for row in rows] == list(CORE_IMAGE)
    assert all(0 < float(row[3]) <= 1 for row in rows)


def test_a_question_is_printed_where_it_was_given_alone(imc: Imc, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    ran = imc("bench", "sheet", CT, "--out", out, *SMALL, "--text", QUESTION)
    _, questions = ran.out.split("\n\n")
    assert len(questions.splitlines()) == 1 + 5 * len(CORE_TEXT)
    assert "text" not in imc("bench", "sheet", CT, "--out", out, *SMALL).out


def test_json_holds_the_same_figures(imc: Imc, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    made = json.loads(imc("bench", "sheet", CT, "--out", out, *SMALL, "--json").out)
    assert (made["width"], made["noise_at"], made["seed"]) == (48, "input", 0)
    assert [row["noise"] for row in made["rows"]] == list(CORE_IMAGE)
    assert made["questions"] == []


def test_a_line_break_of_a_corrupted_question_stays_in_its_cell(imc: Imc, tmp_path: Path) -> None:
    ran = imc(
        *("bench", "sheet", CT, "--out", tmp_path / "sheet.png", "--size", "48"),
        *("--noises", "gaussian,ocr_line_breaks", "--text", QUESTION),
    )
    _, questions = ran.out.split("\n\n")
    assert len(questions.splitlines()) == 1 + 5
    assert "⏎" in questions


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.png", "--out", "sheet.png"), "no such file"),
        ((CT, "--out", "nowhere/sheet.png"), "its folder does not exist"),
        ((CT, "--out", "sheet.jpg"), "ends in .png"),
        ((CT, "--out", "sheet.png", "--noises", "fog"), "unknown noise 'fog'"),
        ((CT, "--out", "sheet.png", "--size", "4"), "16 to 2048"),
        ((CT, "--out", "sheet.png", "--size", "64", "--noise-at", "native"), "input size"),
        ((CT, "--out", "sheet.png", "--text", " "), "the question is empty"),
    ],
)
def test_bad_input_is_one_line_and_no_file(
    imc: Imc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = imc("bench", "sheet", *arguments)
    assert ran.code == 2
    assert said in ran.err and ran.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_more_than_six_noises_go_to_further_pages_which_replace_no_other_file(
    imc: Imc, tmp_path: Path
) -> None:
    out, second = tmp_path / "sheet.png", tmp_path / "sheet-2.png"
    seven = ("--noises", "core,jpeg", "--size", "48")
    second.write_text("notes", "utf-8")
    refused = imc("bench", "sheet", CT, "--out", out, *seven)
    assert refused.code == 2 and "sheet-2.png" in refused.err
    assert not out.exists() and second.read_text("utf-8") == "notes"
    second.unlink()
    ran = imc("bench", "sheet", CT, "--out", out, *seven)
    assert ran.code == 0 and "sheet-2.png: 7 noises" in ran.err
    with Image.open(second) as drawn:
        assert drawn.format == "PNG"
