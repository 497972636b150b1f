"""What a word may have been meant as: slips of unknown words and of strange ones."""

from __future__ import annotations

import pytest

from imc_agents.corrections.proposals import proposed, word_edits
from imc_agents.corrections.readings import UNREACHABLE
from imc_agents.language.lexicon import Lexicon, known_words
from imc_agents.language.noisy_channel import FURTHER_SLIP, slip
from imc_agents.policy import Policy

POLICY = Policy()


def edits_of(question: str) -> dict[str, set[str]]:
    """What is proposed for each place of a question."""
    found: dict[str, set[str]] = {}
    for edit in proposed(question, known_words(), POLICY):
        found.setdefault(edit.before, set()).add(edit.after)
    return found


@pytest.mark.parametrize(
    ("question", "written", "meant"),
    [
        ("Is the lung collapsd?", "collapsd", "collapsed"),
        ("Wet is shown here?", "Wet", "What"),  # a word, but not one of such questions
        ("Are there lesions im the liver?", "im", "in"),
        ("Where is the legion?", "legion", "lesion"),
        ("Is it the patoent's left lung?", "patoent's", "patient's"),
        ("Is the posishun of the tube right?", "posishun", "position"),
        ("Are both vent trickles seen?", "vent trickles", "ventricles"),
        ("Is up per lobe disease seen?", "up per", "upper"),
        ("Is this an RMI of the brain?", "RMI", "MRI"),
        ("I5 there a lesion?", "I5", "Is"),
    ],
)
def test_what_was_meant_is_among_the_edits(question: str, written: str, meant: str) -> None:
    assert meant in edits_of(question)[written]


@pytest.mark.parametrize(
    "word", ["MRI", "T2", "there", "lung", "no", "right", "were", "who", "these", "granulomata"]
)
def test_a_word_of_such_questions_an_abbreviation_and_a_protected_word_stay(word: str) -> None:
    assert word not in edits_of(f"Is {word} seen there?")


@pytest.mark.parametrize(("written", "form"), [("lungs", "lung"), ("imaged", "image")])
def test_another_form_of_a_word_is_a_choice_and_no_slip(written: str, form: str) -> None:
    assert form not in edits_of(f"Are these {written} seen?").get(written, set())


def test_two_words_that_stand_side_by_side_are_not_one_of_them() -> None:
    assert not any(" " in before for before in edits_of("Is there a lesion in this image?"))


def test_a_place_to_leave_alone_has_no_edit_and_one_in_focus_comes_first() -> None:
    question = "The hert hurts. Is the lvier shown?"
    left = word_edits(question, known_words(), POLICY, limit=50, without=[(4, 8)])
    assert {edit.before for edit in left} == {"lvier"}
    first = word_edits(question, known_words(), POLICY, limit=1, focus=[(16, 35)])
    assert [edit.before for edit in first] == ["lvier"]


def test_a_second_slip_in_one_word_costs_more_than_a_first() -> None:
    assert slip("lung", "lumh").cost == 2 * slip("lung", "lumg").cost + FURTHER_SLIP


def test_without_familiar_words_only_unknown_ones_are_slips() -> None:
    plain = Lexicon({"wet": 10, "what": 1_000, "image": 10})
    assert plain.mistaken("wet") == ()
    assert [edit.after for edit in proposed("Wet imag", plain, POLICY)] == ["image"]


@pytest.mark.parametrize(
    ("question", "proposed_for"),
    [
        ("He sprained his wrist. Is there a fracture?", set()),
        ("He spraned his wrist. Is there a fracture?", {"spraned"}),
        ("He lung normal?", {"He"}),
    ],
)
def test_a_note_beside_the_question_is_repaired_in_unknown_words_alone(
    question: str, proposed_for: set[str]
) -> None:
    found = {edit.before for edit in proposed(question, known_words(), POLICY)}
    assert {word for word in found if word in ("He", "his", "sprained", "spraned")} == proposed_for


@pytest.mark.parametrize(
    ("question", "possible"),
    [
        ("Is ther LVH?", False),  # "is the LVH?" asks nothing
        ("Is ther lung normal?", True),
        ("Is he on insulin?", False),
        ("Is he lung normal?", True),
    ],
)
def test_the_is_put_in_only_where_it_can_be_read(question: str, possible: bool) -> None:
    assert possible == ("the" in {edit.after for edit in proposed(question, known_words(), POLICY)})


def test_the_is_never_chosen_before_a_number() -> None:
    (edit,) = (
        edit
        for edit in proposed("Are thre 7 lesions shown?", known_words(), POLICY)
        if edit.after == "the"
    )
    assert edit.margin == UNREACHABLE


def test_a_misspelling_of_a_models_own_questions_is_nothing_to_correct_to() -> None:
    shipped = known_words()
    counts = {word: shipped.frequency(word) for word in shipped} | {"saggital": 800_000}
    own = Lexicon(counts, clinical=shipped.clinical | {"saggital"})
    found = {edit.after for edit in proposed("Is this a sagital view?", own, POLICY)}
    assert "sagittal" in found and "saggital" not in found
    assert not proposed("Is this a saggital view?", own, POLICY)


@pytest.mark.parametrize(
    ("question", "possible"),
    [("His there a lesion?", True), ("Is this his lung?", False), ("Was his X-ray clear?", False)],
)
def test_a_possessive_is_no_slip_of_is_before_what_is_owned(question: str, possible: bool) -> None:
    found = {edit.after.lower() for edit in proposed(question, known_words(), POLICY)}
    assert possible == ("is" in found)


@pytest.mark.parametrize("asked", ["Where is", "What side is"])
def test_the_is_put_in_where_another_word_asks(asked: str) -> None:
    found = {edit.after for edit in proposed(f"{asked} th mass?", known_words(), POLICY)}
    assert "the" in found


def test_capitals_inside_a_word_are_meant() -> None:
    assert not edits_of("Are hAFS cells seen?").get("hAFS")
    assert "vessel" in edits_of("Is the vesseI seen?")["vesseI"]  # but for a misread l
