"""What a person reads: which letters changed, and nothing a terminal would obey."""

from __future__ import annotations

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from imc_app.refusals import JOINERS, one_line
from imc_app.show import describe_noise, describe_steps, question_diff, show_answer


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


def test_noise_is_said_in_words() -> None:
    noise = {"kind": "low_dose", "severity": 3, "probability": 0.9, "clean_p_value": 0.001}
    assert describe_noise(noise, True).plain == (
        "low_dose, severity 3 (probability 0.90, p of being clean 0.001), calibrated"
    )
    assert describe_noise(None).plain == "noise not looked for"


def test_an_image_that_passes_the_gate_is_clean_however_narrowly() -> None:
    noise = {"kind": "clean", "severity": 0, "probability": 0.06, "clean_p_value": 0.0062}
    assert describe_noise(noise, False).plain == "clean (p of being clean 0.006), left as it is"


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
