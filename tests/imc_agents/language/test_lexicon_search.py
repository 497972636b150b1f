"""The lexicon's quick searches find what plain ones over every word do."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from imc_agents.language.lexicon import MEASURED, SHORT, Lexicon, known_words
from imc_agents.language.phonetics import phonetic_key
from imc_agents.language.word_distance import (
    CONFUSED,
    LIKELY,
    edit_distance,
    respelled,
    shape_distance,
)

LEXICON = known_words()


def plain_near(asked: str, most: int) -> dict[str, int]:
    """Every known word measured, none filtered out before."""
    words = list(LEXICON)
    edits = cdist([asked], words, scorer=OSA.distance, score_cutoff=most)[0]
    return {words[at]: int(edits[at]) for at in np.flatnonzero(edits <= most)}


def common_first(word: str) -> tuple[int, str]:
    return -LEXICON.frequency(word), word


def plain_suggestions(asked: str, most: int) -> list[tuple[str, float]]:
    most = min(most, 1) if len(asked) <= SHORT else most
    near = plain_near(asked, most)
    cost = {word: float(edits) for word, edits in near.items()}
    for word in sorted(near, key=common_first)[:MEASURED]:
        cost[word] = min(cost[word], plain_shapes(asked, word, most))
    counts = set(LEXICON)
    for once in respelled(asked):
        for word, edits in [(once, LIKELY), *((twice, 2 * LIKELY) for twice in respelled(once))]:
            if word in counts:
                cost[word] = min(cost.get(word, edits), edits)
    cost.pop(asked, None)
    return sorted(cost.items(), key=lambda one: (one[1], *common_first(one[0])))


def plain_shapes(first: str, second: str, most: float) -> float:
    """`shape_distance`, every cell from its definition."""
    confused = {frozenset(pair) for pair in CONFUSED}
    cells: dict[tuple[int, int], float] = {(0, 0): 0.0}
    for i in range(len(first) + 1):
        for j in range(len(second) + 1):
            ways = [cells[0, 0]] if i == j == 0 else []
            ways += [cells[i - 1, j] + 1] if i else []
            ways += [cells[i, j - 1] + 1] if j else []
            for height, width in ((1, 1), (1, 2), (2, 1), (2, 2)):
                if height > i or width > j:
                    continue
                one, other = first[i - height : i], second[j - width : j]
                if frozenset((one, other)) in confused and one != other:
                    ways.append(cells[i - height, j - width] + LIKELY)
                if height == width == 1:
                    ways.append(cells[i - 1, j - 1] + (one != other))
                if height == width == 2 and one == other[::-1]:
                    ways.append(cells[i - 2, j - 2] + 1)
            cells[i, j] = min(ways)
    last = cells[len(first), len(second)]
    return last if last <= most else float("inf")


def corrupted_words(count: int) -> list[str]:
    """Known words, and known words with a letter changed, lost or doubled."""
    draw = random.Random(0)
    words = draw.sample(sorted(LEXICON), count)
    corrupted = []
    for number, word in enumerate(words):
        at = draw.randrange(len(word))
        new = ["", word[at] * 2, draw.choice("aeiourn1"), word[at]][number % 4]
        corrupted.append(word[:at] + new + word[at + 1 :] or word)
    return corrupted


WORDS = corrupted_words(200)


@pytest.mark.parametrize("most", [1, 2])
def test_suggestions_are_those_of_a_search_over_every_word(most: int) -> None:
    for word in WORDS[:100]:
        found = [(one.word, one.cost) for one in LEXICON.suggest(word, most, limit=None)]
        assert found == plain_suggestions(word, most)


def test_homophones_are_those_of_a_search_over_every_word() -> None:
    silent = Lexicon({word: LEXICON.frequency(word) for word in LEXICON})  # without the table
    for word in WORDS:
        near = plain_near(word, 3 if len(word) > 5 else 2) if len(word) >= SHORT else {}
        alike = [one for one in near if phonetic_key(one) == phonetic_key(word) and one != word]
        alike.sort(key=lambda one: (near[one], *common_first(one)))
        assert silent.homophones(word, limit=len(alike) + 1) == alike


def test_a_search_that_is_remembered_gives_the_same_again() -> None:
    first = LEXICON.suggest("lesoin")
    first.clear()  # the list is the asker's own
    assert LEXICON.suggest("lesoin") == LEXICON.suggest("lesoin") != []
    assert LEXICON.suggest("Lesoin")[0].word == "Lesion"


def plain_edits(first: str, second: str) -> int:
    """Optimal string alignment, every cell from its definition."""
    cells: dict[tuple[int, int], int] = {}
    for i in range(len(first) + 1):
        for j in range(len(second) + 1):
            ways = [i + j] if not i or not j else []
            if i and j:
                ways += [cells[i - 1, j] + 1, cells[i, j - 1] + 1]
                ways.append(cells[i - 1, j - 1] + (first[i - 1] != second[j - 1]))
            if i > 1 and j > 1 and first[i - 2 : i] == second[j - 2 : j][::-1]:
                ways.append(cells[i - 2, j - 2] + 1)
            cells[i, j] = min(ways)
    return cells[len(first), len(second)]


@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.integers(0, 4))
def test_the_edit_distance_follows_its_definition(first: str, second: str, most: int) -> None:
    assert edit_distance(first, second, most) == min(plain_edits(first, second), most + 1)


@given(st.text("abcdo01rnml", max_size=7), st.text("abcdo01rnml", max_size=7))
def test_the_shape_distance_follows_its_definition(first: str, second: str) -> None:
    assert shape_distance(first, second) == plain_shapes(first, second, 3.0)


@given(st.text("abc1", min_size=1, max_size=8), st.text("abc1", min_size=1, max_size=8))
def test_no_word_within_reach_is_missed(asked: str, word: str) -> None:
    most = 1 if len(asked) <= SHORT else 2
    found = {one.word for one in Lexicon({word: 1}).suggest(asked, 2, limit=None)}
    if asked != word and edit_distance(asked, word, most) <= most:
        assert word in found
