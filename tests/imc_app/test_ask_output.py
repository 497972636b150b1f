"""What `imc ask` prints: the document of the design for programs, plain words for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png

KEYS = {"answer", "confidence", "question", "image", "trace", "model", "method", "seed", "thread"}
QUESTION_KEYS = {"original", "used", "changed", "findings", "accepted", "rounds", "reason"}
IMAGE_KEYS = {"sha256", "width", "height", "noise", "calibrated", "correction"}


@pytest.mark.parametrize("method", ["none", "pdc", "sms", "imc"])
def test_json_is_the_document_of_the_design(
    method: str, imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc(
        "ask", grey_png(tmp_path), "Is there a lesion?", "--model", tiny_llava, "--json",
        "--method", method, "--seed", "5",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert set(document) == KEYS
    assert set(document["question"]) == QUESTION_KEYS
    assert set(document["image"]) == IMAGE_KEYS
    assert all({"node", "ms", "calls"} <= set(step) for step in document["trace"])
    assert (document["method"], document["seed"]) == (method, 5)
    assert 0 <= document["confidence"] <= 1


def test_the_bare_model_touches_neither_image_nor_question(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc(
        "ask", grey_png(tmp_path), "Is ther a lesoin?", "--model", tiny_llava, "--json",
        "--method", "none",
    )  # fmt: skip
    document = json.loads(ran.out)
    assert not document["question"]["changed"]
    assert not document["image"]["calibrated"]


def test_a_person_reads_plain_words_without_escape_codes_in_a_pipe(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc("ask", grey_png(tmp_path), "Is there a lesion?", "--model", tiny_llava)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    for words in ("confidence", "32 x 24", "Is there a lesion?", "vision"):
        assert words in ran.out


def test_the_example_reads_a_mistyped_question_about_a_corrupted_ct(
    imc: Imc, embedded_model: Path
) -> None:
    ran = imc("ask", "--example", "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert (document["image"]["width"], document["image"]["height"]) == (128, 128)
    assert document["model"] == "imc-reference"
    assert document["question"]["changed"]
