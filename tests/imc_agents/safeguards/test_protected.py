"""Protected tokens: what they are, and that no candidate gets round them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.language.lexicon import known_words
from imc_agents.safeguards.protected import (
    context_of,
    find_protected,
    load_protected,
    protected_tokens,
    protected_violations,
)
from imc_noise.data_files import read_table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 5 mm nodule", {("number", "5"), ("unit", "mm")}),
        ("a 5mm nodule", {("number", "5"), ("unit", "mm")}),
        ("two lesions", {("number", "2")}),
        ("3.5 x 2 cm", {("number", "3.5"), ("range", "x"), ("number", "2"), ("unit", "cm")}),
        ("3-5 days", {("number", "3"), ("range", "-"), ("number", "5"), ("unit", "day")}),
        ("below -500 HU", {("direction", "below"), ("number", "-500"), ("unit", "hu")}),
        ("the 2nd rib", {("number", "2nd")}),
        ("the second rib", {("number", "2nd")}),
        ("stenosis > 50%", {("range", ">"), ("number", "50"), ("unit", "%")}),
        ("grade IV", {("number", "iv")}),
        ("no mass", {("negation", "no")}),
        ("it isn't there", {("negation", "not")}),
        ("it isn’t there", {("negation", "not")}),
        ("rule out fracture", {("negation", "rule out")}),
        ("non-contrast", {("negation", "non"), ("contrast", "contrast")}),
        ("noncalcified", {("negation", "non")}),
        ("left-sided", {("laterality", "left"), ("laterality", "side")}),
        ("the L kidney", {("laterality", "left")}),
        (
            "Axial T2-weighted MR",
            {("plane_view", "axial"), ("sequence", "t2"), ("modality", "mri")},
        ),
        ("PA or AP view", {("plane_view", "pa"), ("scope", "or"), ("plane_view", "ap")}),
        ("the lowermost lobe", {("comparative", "lowermost")}),
        ("hyperdense", {("opposite", "hyper")}),
        ("at L4", {("level", "l4")}),
        ("treated with bevacizumab", {("scope", "with"), ("drug", "bevacizumab")}),
        ("metoprolol", {("drug", "metoprolol")}),
        ("what is this organ", set()),
        ("1eft lung", set()),
        ("is this 0f the liver", set()),
        ("1s it", set()),
        ("", set()),
    ],
)
def test_tokens(text: str, expected: set[tuple[str, str]]) -> None:
    assert set(protected_tokens(text)) == expected


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("A) lung B) liver", "ab"),
        ("(a) yes (b) no", "ab"),
        ("a. yes b. no", "ab"),
        ("is option C right", "c"),
    ],
)
def test_option_letters(text: str, letters: str) -> None:
    found = [t.normal for t in find_protected(text) if t.category == "option"]
    assert found == list(letters)


def test_spans_point_at_the_text() -> None:
    text = "No  5cm LEFT mass"
    assert [text[t.start : t.end] for t in find_protected(text)] == ["No", "5", "cm", "LEFT"]


@pytest.mark.parametrize(
    ("original", "candidate"),
    [
        ("is there a left effusion", "is there a right effusion"),
        ("is there a left effusion", "is there an effusion"),
        ("is there an effusion", "is there a left effusion"),
        ("is there no mass", "is there a mass"),
        ("is there now a mass", "is there no mass"),
        ("is there a mass", "is there not a mass"),
        ("a 5 mm nodule", "a 6 mm nodule"),
        ("a 5 mm nodule", "a 5 cm nodule"),
        ("a 1.5 cm nodule", "a 15 cm nodule"),
        ("3-5 lesions", "3 5 lesions"),
        ("two lesions", "too lesions"),
        ("to lesions", "two lesions"),
        ("hyperdense lesion", "hypodense lesion"),
        ("intracranial air", "extracranial air"),
        ("T1 image", "T2 image"),
        ("axial or coronal", "coronal or axial"),
        ("left lung and right kidney", "right lung and left kidney"),
        ("larger than the spleen", "smaller than the spleen"),
        ("is it on the left left side", "is it on the left side"),
        ("A) lung B) liver", "B) lung A) liver"),
        ("give lisinopril", "give enalapril"),
        ("with or without contrast", "with contrast"),
        ("male patient", "female patient"),
        ("is it normal", "is it abnormal"),
        ("systolic", "diastolic"),
        ("L4 fracture", "L5 fracture"),
        ("is this a CT", "is this an MRI"),
    ],
)
def test_another_meaning_is_a_violation(original: str, candidate: str) -> None:
    assert protected_violations(original, candidate)
    assert protected_violations(candidate, original)


@pytest.mark.parametrize(
    ("original", "candidate"),
    [
        ("wht is teh organ on the left", "what is the organ on the left"),
        ("is there 2 lesions", "is there two lesions"),
        ("it isnt there", "it is not there"),
        ("is this an x-ray", "is this an xray"),
        ("hyperdens lesoin", "hyperdense lesion"),
        ("presnt", "presnt"),
        ("5mm nodul", "5 mm nodule"),
    ],
)
def test_the_same_meaning_is_none(original: str, candidate: str) -> None:
    assert protected_violations(original, candidate) == []


@pytest.mark.parametrize(
    ("original", "candidate"),
    [
        ("the lefft lung", "the left lung"),
        ("the 1eft lung", "the left lung"),
        ("Axail view", "Axial view"),
        ("hwo mnay lesions", "how many lesions"),
        ("saggital plane", "sagittal plane"),
        ("lungs adn heart", "lungs and heart"),
        ("posteriro segment", "posterior segment"),
        ("is it presnt", "is it present"),
    ],
)
def test_a_broken_protected_word_may_be_mended(original: str, candidate: str) -> None:
    assert protected_violations(original, candidate) == []
    assert protected_violations(original, candidate, repairs=False)


@pytest.mark.parametrize(
    ("original", "candidate"),
    [
        ("the lift lung", "the left lung"),  # a word
        ("the lobe", "the left lobe"),  # another place
        ("is anormal", "is normal"),  # abnormal is as near
        ("is anormal", "is abnormal"),
        ("hyerdense", "hypodense"),
        ("nto a mass", "not a mass"),  # never a negation
        ("a fvie mm nodule", "a five mm nodule"),  # never a number
        ("5 mn", "5 mm"),  # never a unit
        ("the xq lung", "the l lung"),
        ("the 9all bladder", "the all bladder"),  # gall is nearer
        ("the agll bladder", "the all bladder"),
        ("an X-Ary", "an X-Any"),  # ray is nearer
        ("the tkp of the tube", "the top of the tube"),  # tip is as near
        ("medieal opinion", "medial opinion"),  # medical is nearer
        ("spmal lesion", "small lesion"),  # spinal is as near
        ("represent or fepresent", "represent or present"),  # another word, two slips nearer
    ],
)
def test_the_exception_stays_narrow(original: str, candidate: str) -> None:
    assert protected_violations(original, candidate)


def test_a_hospital_decides_what_a_word_is() -> None:
    assert protected_violations("the lefft lung", "the left lung", words={"lefft"})


def test_an_irrelevant_sentence_may_go_whole() -> None:
    text = "The patient drank all his tea. Is the left lung clear?"
    question = "Is the left lung clear?"
    assert protected_violations(text, question)
    assert protected_violations(text, question, irrelevant=[(0, 31)]) == []
    assert protected_violations(text, question, irrelevant=[(0, 20)])
    assert protected_violations(text, "", irrelevant=[(0, len(text))])


def test_an_answer_after_the_question_is_no_sentence_to_leave_out() -> None:
    text = "Is the left lung clear? - No"
    assert protected_violations(text, text[:23], irrelevant=[(23, len(text))])


def test_a_question_is_not_changed_while_a_sentence_goes() -> None:
    text = "The patient drank all his tea. Is the left lung clear?"
    assert protected_violations(text, "Is the right lung clear?", irrelevant=[(0, 31)])


CONTEXT = [
    "Left lung only.",
    "Level C6-C7.",
    "No contrast given.",
    "History of stroke.",
    "Known cirrhosis.",
    "S/p lobectomy.",
    "A 65-year-old man.",
    "The nodule measures 8 mm.",
    "Axial T2 image.",
    "Compared with the last CT.",
    "Stage 3a disease.",
    "Fever and cough.",
    "Small effusion.",
    "ER -ve tumour.",
    "Gadolinium was given.",
]


@pytest.mark.parametrize("sentence", CONTEXT)
def test_a_sentence_with_context_of_the_image_is_never_left_out(sentence: str) -> None:
    text = f"{sentence} Is the heart enlarged?"
    cut = [(0, len(sentence) + 1)]
    assert protected_violations(text, "Is the heart enlarged?", irrelevant=cut)
    assert context_of(sentence, load_protected(), known_words())


def test_a_misspelt_word_of_context_counts_as_well() -> None:
    assert context_of("Lfet lung only.", load_protected(), known_words())
    assert not context_of("Luhch was served.", load_protected(), known_words())


def test_the_benchmarks_distractors_are_cut_but_for_those_with_context() -> None:
    lines = [row[0] for row in read_table("distractors.tsv")]
    kept = [line for line in lines if context_of(line, load_protected(), known_words())]
    assert len(lines) - len(kept) == 63
    assert "He sprained his left wrist as a child." in kept


def test_reasons_name_only_protected_words() -> None:
    reasons = protected_violations("Mrs Doe, left lung?", "right lung?")
    assert reasons == ["laterality changed: left to right"]


def test_a_hospital_adds_words(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "categories:\n  tracer:\n    words: {psma: [psma]}\n"
        "  laterality:\n    words: {left: [sinister]}\n"
    )
    table = load_protected(own)
    assert protected_tokens("PSMA on the sinister side", table) == {
        ("tracer", "psma"): 1,
        ("laterality", "left"): 1,
        ("laterality", "side"): 1,
    }
    assert not protected_violations("sinister", "left", table=table)


def test_a_hospital_cannot_loosen_a_category(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("categories:\n  negation:\n    repairable: true\n")
    assert not load_protected(own).categories["negation"].repairable


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("categories: [", "YAML"),
        ("- a", "line 1: the file"),
        ("categories: {x: {wrods: {}}}", "x"),
        ("categories: {x: {patterns: ['(']}}", "pattern"),
        ("categories: {x: {patterns: ['a']}}", "group"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        load_protected(own)
    assert "\n" not in str(caught.value) and "own.yaml" in str(caught.value)


PHRASES = st.lists(
    st.sampled_from("left right no not 5 mm T1 larger mass lung is the a) , axial isn't".split()),
    max_size=10,
).map(" ".join)


@settings(deadline=None)  # the first example loads the tables
@given(PHRASES)
def test_a_text_never_violates_itself(text: str) -> None:
    assert protected_violations(text, text) == []


@settings(deadline=None)  # the first example loads the tables
@given(PHRASES, PHRASES)
def test_a_difference_is_seen_from_both_sides(first: str, second: str) -> None:
    there = protected_violations(first, second, repairs=False)
    back = protected_violations(second, first, repairs=False)
    assert bool(there) == bool(back)
    if protected_tokens(first) != protected_tokens(second):
        assert there


@settings(deadline=None)  # the first example loads the tables
@given(st.text(max_size=60))
def test_any_text_can_be_searched(text: str) -> None:
    for token in find_protected(text):
        assert 0 <= token.start < token.end <= len(text)


@pytest.mark.parametrize("left_out", [" Lung cancer B.", " Adult respiratory distress syndrome."])
def test_no_answer_to_choose_from_is_left_out(left_out: str) -> None:
    text = "What is shown? A. Lung cancer B. Gout C. Adult respiratory distress syndrome."
    start = text.index(left_out)
    kept = text.replace(left_out, "")

    assert protected_violations(text, kept, irrelevant=[(start, start + len(left_out))])


@pytest.mark.parametrize(
    "sentence",
    [
        "The oropharynx appears normal.",
        "Physical examination reveals diffuse, umbilicated papules.",
        "On examination, her abdomen is distended but nontender.",
        "Upon bronchoscopic examination, the findings are shown in the provided image.",
        "Her vital signs are within normal limits.",
        "An elctrocardiogram is on file.",  # misspelt
    ],
)
def test_what_a_clinician_found_is_context(sentence: str) -> None:
    assert context_of(sentence, load_protected(), known_words())


@pytest.mark.parametrize("sentence", ["He drinks coffee every afternoon.", "Lunch was served."])
def test_what_is_found_everywhere_is_none(sentence: str) -> None:
    assert context_of(sentence, load_protected(), known_words()) is None
