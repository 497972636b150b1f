"""`imc ask --html`: one case as a page of its own; `imc example`: the files of the README."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from imc_app.corruption import NoiseRequest
from imc_app.page import case_page
from imc_app.session import Outcome, Request
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused
from vision.reading.medical_image import read_image

DOCUMENT = {
    "answer": "<b>yes</b>",
    "confidence": 0.93,
    "question": {
        "original": "Is ther a lesoin?", "used": "Is there a lesion?", "changed": True,
        "findings": [], "accepted": True, "rounds": 1, "reason": "accepted: 2 corrections",
    },
    "image": {
        "sha256": "ab", "width": 32, "height": 24, "calibrated": True,
        "noise": {
            "kind": "low_dose", "severity": 3, "probability": 0.88, "clean_p_value": 0.001,
            "posterior": {"clean": 0.01, "low_dose": 0.88, "motion": 0.11},
        },
    },
    "trace": [{"node": "vision", "ms": 41.2, "calls": 0}],
    "model": "imc-reference", "method": "imc", "seed": 0,
}  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> str:
    applied = (NoiseRequest("low_dose", 4, "image"),)
    request = Request(read_image(grey_png(tmp_path)), "Is ther a lesoin?", applied)
    return case_page(Outcome(DOCUMENT, "", None), request, "scan<1>.png")


def test_the_page_says_what_was_found_and_what_was_done(page: str) -> None:
    assert "<ins>e</ins>" in page and "read as: Is there a lesion?" in page
    assert "noise found: low dose, severity 3 of 5" in page and ": corrected" in page
    assert "low dose, severity 4" in page
    assert re.search(r"motion</td><td class=\"number\">0.110", page)


def test_the_page_needs_nothing_beside_it(page: str) -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?://|<script|@import|url\(", page)
    assert "data:image/png;base64," in page
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page


def test_what_a_model_or_a_file_name_says_is_no_markup(page: str) -> None:
    assert "&lt;b&gt;yes&lt;/b&gt;" in page and "scan&lt;1&gt;.png" in page


def test_the_page_is_written_beside_the_printed_answer(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    out = tmp_path / "case.html"
    ran = imc(
        *("ask", grey_png(tmp_path), "Is there a lesion?", "--model", tiny_llava),
        *("--html", out, "--quiet"),
    )
    assert (ran.code, ran.err) == (0, "")
    for said in (out.read_text(), ran.out):
        assert "noise found" in said


def test_a_page_replaces_nothing_but_a_page(imc: Imc, tmp_path: Path) -> None:
    image, mine = grey_png(tmp_path), tmp_path / "mine.html"
    mine.write_text("my notes\n")
    before = image.read_bytes()
    assert_refused(imc("ask", image, "Is it?", "--html", image), "--html", ".html")
    assert_refused(imc("ask", image, "Is it?", "--html", mine), "--html", "no HTML page")
    assert (image.read_bytes(), mine.read_text()) == (before, "my notes\n")


def test_the_example_writes_what_its_commands_name(imc: Imc, tmp_path: Path) -> None:
    ran = imc("example", "--out", tmp_path / "try")
    assert ran.code == 0
    commands = [shlex.split(line.split("imc ", 1)[1]) for line in ran.out.splitlines()[2:]]
    assert [command[0] for command in commands] == ["ask", "perceive", "ask"]
    assert (tmp_path / "try" / commands[0][1]).is_file()
    assert (tmp_path / "try" / "questions.csv").read_text().startswith("id,image,question\n")
    assert imc("example", "--out", tmp_path / "try").code == 0  # the same files again


def test_the_example_overwrites_nothing(imc: Imc, tmp_path: Path) -> None:
    (tmp_path / "questions.csv").write_text("mine\n")
    assert_refused(imc("example", "--out", tmp_path), "questions.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["questions.csv"]
