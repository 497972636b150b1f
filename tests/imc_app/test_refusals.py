"""Every bad input is refused: exit code 2, nothing on stdout, one line on stderr."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Imc, Ran
from tests.imc_app import bad_files


def assert_refused(ran: Ran, *says: str) -> None:
    assert ran.code == 2, ran
    assert ran.out == ""
    assert re.fullmatch(r"imc: [^\n]+\n", ran.err), ran.err
    for word in says:
        assert word.lower() in ran.err.lower(), ran.err


def empty_file(folder: Path) -> Path:
    path = folder / "empty.png"
    path.touch()
    return path


def text_named_png(folder: Path) -> Path:
    path = folder / "notes.png"
    path.write_text("chest pain since Monday\n")
    return path


BAD_IMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "missing file": (lambda folder: folder / "nowhere.png", ("nowhere.png", "no such file")),
    "directory": (lambda folder: folder, ("directory",)),
    "empty file": (empty_file, ("empty",)),
    "text named png": (text_named_png, ("notes.png", "DICOM")),
    "truncated jpeg": (bad_files.truncated_jpeg, ("truncated",)),
    "decompression bomb": (
        lambda folder: bad_files.png_of_claimed_size(folder, 60_000, 60_000),
        ("60000",),
    ),
    "zero-size": (lambda folder: bad_files.png_of_claimed_size(folder, 0, 0), ()),
    "dicom without pixels": (lambda folder: bad_files.dicom(folder, pixels=False), ("pixel",)),
    "dicom whose decoder is missing": (
        lambda folder: bad_files.dicom(folder, pixels=True, decodable=False),
        ("install",),
    ),
    "remote url": (lambda folder: "https://example.org/ct.png", ("remote",)),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_bad_image_is_refused(case: str, imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    make, says = BAD_IMAGES[case]
    ran = imc("ask", make(tmp_path), "Is there a lesion?", "--model", tiny_llava)
    assert_refused(ran, *says)
    assert "Doe" not in ran.err and "Monday" not in ran.err


BAD_QUESTIONS = {
    "empty": "",
    "blank": " \t\n ",
    "over the limit": "Is there a lesion? " * 2000,
    "nul": "Is there\x00 a lesion?",
    "bidirectional control": "Is there \u202ea lesion?",
    "not text": "Is there \udcff a lesion?",
}


@pytest.mark.parametrize("case", BAD_QUESTIONS)
def test_a_bad_question_is_refused(case: str, imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    image = bad_files.grey_png(tmp_path)
    ran = imc("ask", image, BAD_QUESTIONS[case], "--model", tiny_llava)
    assert_refused(ran, "question")
    assert "lesion" not in ran.err


BAD_MODELS: dict[str, tuple[Callable[[Path, Path], object], tuple[str, ...]]] = {
    "missing": (lambda folder, whole: folder / "nowhere", ("nowhere",)),
    "empty folder": (lambda folder, whole: folder, ()),
    "incomplete": (bad_files.model_without_weights, ("safetensors",)),
    "pickled": (bad_files.model_with_pickled_weights, ("safetensors",)),
    "text-only": (lambda folder, whole: bad_files.text_only_model(folder), ()),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_bad_model_is_refused(case: str, imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    make, says = BAD_MODELS[case]
    image = bad_files.grey_png(tmp_path / ".." if case == "empty folder" else tmp_path)
    ran = imc("ask", image, "Is there a lesion?", "--model", make(tmp_path, tiny_llava))
    assert_refused(ran, *says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "magic"), ("magic", "imc")),
        (("--noise", "fog:3"), ("fog", "low_dose")),
        (("--noise", "low_dose:9"), ("severity",)),
        (("--noise", "low_dose"), ("low_dose:3",)),
        (("--frame", "-1"), ("frame",)),
        (("--frame", "7"), ("frame",)),
        (("--seed", "x"), ("seed",)),
        (("--profile", "pirate"), ("pirate",)),
        (("--colour", "blue"), ("--colour",)),
    ],
)
def test_a_bad_option_is_refused(
    arguments: tuple[str, ...], says: tuple[str, ...], imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    image = bad_files.grey_png(tmp_path)
    ran = imc("ask", image, "Is there a lesion?", "--model", tiny_llava, *arguments)
    assert_refused(ran, *says)


def test_an_unknown_command_is_refused(imc: Imc) -> None:
    assert_refused(imc("diagnose"), "diagnose")


def test_a_question_without_an_image_is_refused(imc: Imc) -> None:
    assert_refused(imc("ask", "Is there a lesion?"), "image")


def test_a_hostile_file_name_cannot_reach_the_terminal(imc: Imc, tmp_path: Path) -> None:
    ran = imc("ask", tmp_path / "\x1b[31mred\n.png", "Is there a lesion?")
    assert_refused(ran)
    assert "\x1b" not in ran.err


def test_a_fault_of_ours_names_its_place_and_not_the_question(
    imc: Imc, tmp_path: Path, tiny_llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret question text")

    monkeypatch.setattr("imc_app.session.read_request", fail)
    ran = imc("ask", bad_files.grey_png(tmp_path), "Is there a lesion?", "--model", tiny_llava)
    assert ran.code == 1
    assert re.fullmatch(r"imc: a fault of ours: RuntimeError at [^\n]+--debug[^\n]+\n", ran.err)
    assert "secret" not in ran.err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "ct.png"), "ct.png: Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (FileNotFoundError("No usable temporary directory found"), "No usable temporary directory"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_ours(
    error: Exception,
    says: str,
    imc: Imc,
    tmp_path: Path,
    tiny_llava: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("imc_app.session.read_request", fail)
    ran = imc("ask", bad_files.grey_png(tmp_path), "Is there a lesion?", "--model", tiny_llava)
    assert_refused(ran, says)
