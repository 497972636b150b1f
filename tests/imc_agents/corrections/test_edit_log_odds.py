"""What a gain is worth: no more than it would be over a word that is new."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from imc_agents.corrections.edit_log_odds import (
    edit_log_odds,
    haste,
    is_near_miss,
    places_after,
    surprisal,
)
from imc_agents.corrections.proposals import apply_edits
from imc_agents.language.lexicon import known_words
from imc_agents.policy import Policy
from imc_agents.state import Edit
from tests.fakes import small_lexicon

LEXICON_SHIPPED = known_words()
POLICY = Policy(new_word=18.0, near_miss=3.0)
LEXICON = small_lexicon()


@dataclass(frozen=True)
class Shown:
    """A score that shows its tokens."""

    spans: tuple[tuple[int, int], ...]
    logprobs: tuple[float, ...]


def edit(before: str, after: str, *, start: int = 0, gain: float | None = 24.0) -> Edit:
    end = start + len(before)
    return Edit(start=start, end=end, before=before, after=after, kind="typo", cost=3.0, gain=gain)


def test_the_surprisal_of_a_word_is_that_of_the_tokens_that_reach_into_it() -> None:
    #          pem phi gus |_vul|gar|is
    score = Shown(((0, 3), (3, 6), (6, 9), (9, 13), (13, 16), (16, 18)), (-9, -9, -9, -1, -2, -3))
    assert surprisal(score, 10, 18) == 6.0


def test_a_gain_counts_in_full_where_the_word_put_in_is_likely() -> None:
    likely = Shown(((0, 5),), (-0.5,))
    assert edit_log_odds(edit("hylar", "hilar", gain=9.0), likely, (0, 5), POLICY, LEXICON) == 9.0


def test_a_gain_over_a_word_never_met_counts_for_no_more_than_over_a_new_one() -> None:
    unlikely = Shown(((0, 8),), (-17.0,))
    worth = edit_log_odds(edit("vulgaris", "bulgaria"), unlikely, (0, 8), POLICY, LEXICON)
    assert worth == 18.0 - 17.0 - 3.0


def test_a_slip_of_a_clinical_word_counts_for_more_than_a_new_word() -> None:
    unlikely = Shown(((0, 5),), (-14.0,))
    near = edit("lesoin", "lesion")
    assert edit_log_odds(near, unlikely, (0, 6), POLICY, LEXICON) == 18.0 - 14.0 - 3.0 + 3.0


def test_a_model_that_knows_words_has_met_those_that_people_write() -> None:
    unlikely, knowing = Shown(((0, 3),), (-17.0,)), POLICY.model_copy(update={"knows_words": True})
    written, unheard = edit("our", "are", gain=12.0), edit("zqx", "are", gain=12.0)
    assert LEXICON_SHIPPED.frequency("our") > 0 == LEXICON_SHIPPED.frequency("zqx")
    for policy, odds in ((POLICY, 18.0 - 17.0 - 3.0), (knowing, 12.0)):
        assert edit_log_odds(written, unlikely, (0, 3), policy, LEXICON_SHIPPED) == odds
        worth = edit_log_odds(unheard, unlikely, (0, 3), policy, LEXICON_SHIPPED)
        assert worth == 18.0 - 17.0 - 3.0


def test_three_letters_are_near_something_by_chance() -> None:
    assert not is_near_miss(edit("lng", "lung"), LEXICON)
    assert not is_near_miss(edit("rna", "ran"), LEXICON)


def test_a_score_that_shows_no_tokens_leaves_the_gain_as_it_is() -> None:
    assert edit_log_odds(edit("vulgaris", "bulgaria"), object(), (0, 8), POLICY, LEXICON) == 24.0


def test_a_sentence_left_out_puts_no_word_in() -> None:
    shown = Shown(((0, 8),), (-17.0,))
    assert edit_log_odds(edit("It rains. ", ""), shown, (0, 0), POLICY, LEXICON) == 24.0


def test_without_a_gain_nothing_speaks_for_an_edit() -> None:
    assert edit_log_odds(edit("a", "b", gain=None), object(), (0, 1), POLICY, LEXICON) == -math.inf


@given(
    words=st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=6),
    puts=st.lists(st.text("xyz", max_size=7), min_size=6, max_size=6),
)
def test_places_point_at_what_was_put_in(words: list[str], puts: list[str]) -> None:
    question = " ".join(words)
    edits, start = [], 0
    for word, put in zip(words, puts, strict=False):
        edits.append(edit(word, put, start=start))
        start += len(word) + 1
    text = apply_edits(question, edits)
    assert [text[a:b] for a, b in places_after(edits)] == [one.after for one in edits]


def test_a_word_that_dictation_writes_for_another_counts_for_more() -> None:
    heard = edit("plural", "pleural")
    assert is_near_miss(heard, small_lexicon())
    assert not is_near_miss(edit("image", "organ"), small_lexicon())


def test_everyday_english_is_meant_as_it_stands() -> None:
    assert "wrist" in LEXICON_SHIPPED.taken_for("risk")
    assert not is_near_miss(edit("risk", "wrist"), LEXICON_SHIPPED)
    assert is_near_miss(edit("legion", "lesion"), LEXICON_SHIPPED)


def test_a_text_in_haste_makes_another_slip_likelier_and_one_slip_makes_no_haste() -> None:
    assert haste(0, 8) == haste(1, 8) == 0.0
    assert 0.0 < haste(2, 8) < haste(4, 8) < 4.0
    assert haste(2, 40) < haste(2, 8)
