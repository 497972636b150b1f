"""What a person reads: which letters changed, and nothing a terminal would obey."""

from __future__ import annotations

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from imc_app.corruption import NoiseRequest
from imc_app.refusals import JOINERS, one_line
from imc_app.show import (
    describe_image,
    describe_noise,
    describe_steps,
    question_diff,
    show_answer,
)


def test_the_diff_marks_the_letters_that_differ() -> None:
    removed, added = question_diff("Is ther a lesoin?", "Is there a lesion?")
    assert [added.plain[span.start : span.end] for span in added.spans] == ["e", "i"]
    assert [removed.plain[span.start : span.end] for span in removed.spans] == ["i"]


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_diff_holds_both_texts_whole(original: str, used: str) -> None:
    removed, added = question_diff(original, used)
    # rich itself drops what moves the cursor; both texts are made printable before they are shown
    assert removed.plain == type(removed)(original).plain
    assert added.plain == type(added)(used).plain


@given(st.text(max_size=200))
def test_one_line_is_one_printable_line(message: str) -> None:
    line = one_line(message)
    assert "\n" not in line
    assert not [c for c in line if unicodedata.category(c)[0] == "C" and c not in JOINERS]


NOISE = {
    "kind": "low_dose",
    "severity": 3,
    "probability": 0.9,
    "clean_p_value": 0.001,
    "alpha": 0.04,
}


def image_of(noise: object, *, calibrated: bool) -> dict[str, object]:
    return {"width": 4, "height": 3, "noise": noise, "calibrated": calibrated}


def document_of(image: dict[str, object]) -> dict[str, object]:
    return {
        "answer": "yes",
        "confidence": 0.5,
        "image": image,
        "question": {"original": "a", "used": "a", "changed": False, "reason": ""},
        "trace": [],
        "model": "m",
        "method": "imc",
    }


def test_noise_is_said_in_words_with_what_was_done() -> None:
    assert describe_image(image_of(NOISE, calibrated=True)).plain == (
        "4 x 3, noise found: low dose, severity 3 of 5 (probability of low dose 0.90; p-value for "
        '"no noise": 0.001, threshold 0.04): corrected'
    )


def test_an_image_that_passes_the_gate_is_clean_however_narrowly() -> None:
    noise = {
        "kind": "clean",
        "severity": 0,
        "probability": 0.06,
        "clean_p_value": 0.041,
        "alpha": 0.04,
    }
    assert describe_image(image_of(noise, calibrated=False)).plain == (
        '4 x 3, no noise found (p-value for "no noise": 0.041, above the threshold 0.04): '
        "image left as it was"
    )


def test_no_threshold_is_said_where_none_was_kept() -> None:
    noise = {"kind": "clean", "severity": 0, "probability": 0.9, "clean_p_value": 0.02}
    assert describe_noise(noise).plain == 'no noise found (p-value for "no noise": 0.020)'


def test_unknown_noise_is_not_given_a_name() -> None:
    noise = {"kind": "unknown", "severity": 2, "probability": 0.7, "clean_p_value": 0.0001}
    said = describe_noise(noise).plain
    assert said.startswith("noise found: of no known kind, severity 2 of 5")
    assert "under 0.0005" in said


def test_why_a_noisy_image_was_left_is_said_under_it() -> None:
    document = document_of(image_of(NOISE, calibrated=False))
    out = io.StringIO()
    show_answer(document, Console(file=out, soft_wrap=True), correction="no map helped")
    _, image, why, *_ = out.getvalue().splitlines()
    assert image.endswith(": image left as it was")
    assert why == " " * 10 + "no map helped"


def test_why_no_noise_was_searched_for_is_said_in_its_place() -> None:
    assert describe_image(image_of(None, calibrated=False)).plain == (
        "4 x 3, noise was not searched for"
    )
    assert describe_image(image_of(None, calibrated=False), "too small").plain == "4 x 3, too small"


def test_noise_that_was_applied_is_said_apart_from_noise_that_was_found() -> None:
    out = io.StringIO()
    document = document_of(image_of(NOISE, calibrated=True))
    applied = [NoiseRequest("low_dose", 4, "image")]
    show_answer(document, Console(file=out, soft_wrap=True), applied=applied)
    assert "applied   low dose, severity 4 (--noise" in out.getvalue()


def test_steps_of_one_node_are_added_up() -> None:
    trace = [
        {"node": "coordinator", "ms": 10.0, "calls": 1},
        {"node": "vision", "ms": 30.0, "calls": 0, "note": "features were held"},
        {"node": "coordinator", "ms": 2.0, "calls": 0},
    ]
    assert describe_steps(trace).plain == "coordinator ×2 12 ms · vision 30 ms (features were held)"
    assert "ms" not in describe_steps(trace, with_times=False).plain


def test_an_answer_cannot_move_the_cursor() -> None:
    document = {
        "answer": "yes\x1b[2J\r",
        "confidence": 0.5,
        "image": {"width": 4, "height": 3, "noise": None, "calibrated": False},
        "question": {"original": "a\x07", "used": "a\x07", "changed": False, "reason": ""},
        "trace": [],
        "model": "m",
        "method": "imc",
    }
    out = io.StringIO()
    show_answer(document, Console(file=out, soft_wrap=True))
    assert not {"\x1b", "\r", "\x07"} & set(out.getvalue())
