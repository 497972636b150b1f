"""Edits of an edited text, at their places in the original."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imc_agents.corrections.proposals import apply_edits, before_edits
from imc_agents.language.words import words_of
from imc_agents.state import Edit

WORDS = st.lists(st.sampled_from("is teh lunf a normall liver in hte".split()), min_size=2)


def edit(text: str, at: int, after: str) -> Edit:
    word = words_of(text)[at]
    places = {"start": word.start, "end": word.end, "before": word.text}
    return Edit(**places, after=after, kind="typo", cost=3.0, margin=6.0)


@given(WORDS, st.data())
def test_made_together_they_are_what_one_after_the_other_makes(
    words: list[str], data: st.DataObject
) -> None:
    question = " ".join(words)
    places = st.sampled_from(range(len(words)))
    first = sorted(data.draw(st.sets(places)))
    second = data.draw(places)
    made = [edit(question, at, "the" if at % 2 else "lungs") for at in first]
    text = apply_edits(question, made)
    later = edit(text, second, "seen")
    found = before_edits([later], made)
    if second in first:  # that place was changed already
        assert found == []
    else:
        assert apply_edits(question, [*made, *found]) == apply_edits(text, [later])
        assert question[found[0].start : found[0].end] == found[0].before
