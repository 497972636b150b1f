"""The lexicon: known words, what is near, what sounds alike, and how fast."""

from __future__ import annotations

import json
import os
import re
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_agents.language.lexicon import Lexicon, known_words, like
from imc_agents.language.phonetics import phonetic_key
from imc_agents.language.vocabulary import shorthand
from imc_agents.language.word_distance import edit_distance, shape_distance

LEXICON = known_words()
WORDS = st.sampled_from(
    "liver pneumothorax consolidation axial kidney nodule effusion hemorrhage mass".split()
)


@pytest.mark.parametrize(
    "word",
    ["liver", "Pneumothorax", "FLAIR", "patient's", "patient’s", "post-contrast", "left/right",
     "what's", "isn't", "5", "3.2", "?", "2nd", "L4", "tumour", "tumor", "hilar", "x"],
)  # fmt: skip
def test_known(word: str) -> None:
    assert word in LEXICON


@pytest.mark.parametrize("word", ["lefft", "teh", "hylar", "1iver", "consolidatoin", "xq-liver"])
def test_unknown(word: str) -> None:
    assert word not in LEXICON


@pytest.mark.parametrize(
    ("written", "meant"),
    [("lefft", "left"), ("kidny", "kidney"), ("pnuemothorax", "pneumothorax"),
     ("hylar", "hilar"), ("verterbral", "vertebral"), ("abdomne", "abdomen"),
     ("1iver", "liver"), ("rnass", "mass"), ("0pacity", "opacity"), ("c1ear", "clear"),
     ("vvall", "wall"), ("nodu1e", "nodule"), ("Axail", "Axial"), ("CHSET", "CHEST")],
)  # fmt: skip
def test_the_word_meant_is_suggested_first(written: str, meant: str) -> None:
    assert LEXICON.suggest(written)[0].word == meant


def test_two_confusions_at_once() -> None:
    assert "pneumonia" in [s.word for s in LEXICON.suggest("pneurn0nia")]


def test_a_confusion_counts_one_edit_and_costs_less() -> None:
    best = LEXICON.suggest("rnass")[0]
    assert (best.word, best.distance, best.cost) == ("mass", 1, 0.5)
    assert best.frequency == LEXICON.frequency("mass")


def test_never_itself_and_no_more_than_asked() -> None:
    found = LEXICON.suggest("liver", limit=5)
    assert len(found) == 5 and "liver" not in [s.word for s in found]
    assert LEXICON.suggest("", limit=5) == [] or LEXICON.suggest("")[0].distance == 1
    assert LEXICON.suggest("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq") == []


def test_short_words_are_searched_one_edit_away() -> None:
    assert {s.distance for s in LEXICON.suggest("hte", limit=None)} == {1}


@settings(max_examples=40, deadline=None)
@given(WORDS, st.integers(0, 20), st.sampled_from("aeiounrst"), st.integers(0, 3))
def test_one_slip_of_a_known_word_is_always_found(
    word: str, at: int, letter: str, kind: int
) -> None:
    at %= len(word) - 1
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ]
    slip = slips[kind]
    if slip != word:
        assert word in [s.word for s in LEXICON.suggest(slip, limit=None)]


@settings(max_examples=25, deadline=None)
@given(st.text("abcdeilnorst", min_size=4, max_size=9))
def test_the_search_agrees_with_measuring_every_word(text: str) -> None:
    small = Lexicon({word: 1 for word in list(LEXICON)[::40]})
    near = {s.word for s in small.suggest(text, limit=None)}
    exact = {word for word in small if word != text and edit_distance(word, text, 2) <= 2}
    assert exact <= near


def test_run_together_words_are_split() -> None:
    assert LEXICON.split("chestxray")[0].word == "chest xray"
    assert LEXICON.split("isthere")[0].word == "is there"
    assert LEXICON.split("Thelung")[0].word == "The lung"
    assert LEXICON.split("qzxwv") == []


def test_a_stray_space_is_closed() -> None:
    assert LEXICON.joined("pneumo", "thorax") == "pneumothorax"
    assert LEXICON.joined("Ches", "t") == "Chest"
    assert LEXICON.joined("left", "lung") is None


@pytest.mark.parametrize(
    ("heard", "meant"),
    [("plural", "pleural"), ("ilium", "ileum"), ("sight", "site"), ("serious", "series"),
     ("a symmetric", "asymmetric"), ("mussel", "muscle"), ("Plural", "Pleural"),
     ("their", "there"), ("infract", "infarct")],
)  # fmt: skip
def test_words_that_sound_alike(heard: str, meant: str) -> None:
    assert meant in LEXICON.homophones(heard)


def test_homophones_are_words_and_not_the_word_itself() -> None:
    for word in ("sagittal", "there", "mass", "coronal"):
        found = LEXICON.homophones(word)
        assert word not in found
        assert all(part in LEXICON for other in found for part in other.split())


def test_phonetic_key_meets_and_parts() -> None:
    assert phonetic_key("ileum") == phonetic_key("ilium")
    assert phonetic_key("knows") == phonetic_key("nose")
    assert phonetic_key("left") != phonetic_key("right")


def test_case_is_kept() -> None:
    assert [like(w, "liver") for w in ("livre", "Livre", "LIVRE")] == ["liver", "Liver", "LIVER"]


def test_a_hospital_adds_its_words(tmp_path: Path) -> None:
    own = tmp_path / "vocabulary.tsv"
    own.write_text("# ours\nzorbograph\t40\nqwixel\n", "utf-8")
    lexicon = Lexicon.load([own])
    assert "Zorbograph" in lexicon and "qwixel" in lexicon
    assert lexicon.suggest("zorbogarph")[0].word == "zorbograph"
    assert lexicon.frequency("zorbograph") > lexicon.frequency("qwixel") > 0


@pytest.mark.parametrize("text", ["two words\t3\n", "word\tmany\n"])
def test_a_bad_vocabulary_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    own = tmp_path / "vocabulary.tsv"
    own.write_text("good\t1\n" + text)
    with pytest.raises(ValueError, match="line 2"):
        Lexicon.load([own])
    with pytest.raises(ValueError, match="cannot be read"):
        Lexicon.load([tmp_path / "none.tsv"])


@pytest.mark.parametrize(
    "name", ["medical_terms.txt", "general_terms.txt", "dicom_terms.txt", "shorthand.txt"]
)
def test_our_lists_are_in_order(name: str) -> None:
    words = files("imc_agents").joinpath("data", name).read_text("utf-8").splitlines()
    assert words == sorted(set(words))
    assert all(re.fullmatch("[a-z][a-z0-9]*", word) for word in words)
    assert len(words) > (1500 if name.startswith("medical") else 50)


def test_shorthand_is_no_word_of_the_lexicon() -> None:
    assert [word for word in sorted(shorthand()) if word in LEXICON] == []


@given(st.text(max_size=12), st.text(max_size=12))
def test_distances_are_symmetric_and_shape_is_never_more(first: str, second: str) -> None:
    plain = edit_distance(first, second, 30)
    assert plain == edit_distance(second, first, 30)
    assert shape_distance(first, second, 30) == shape_distance(second, first, 30) <= plain


def test_loading_and_searching_are_quick() -> None:
    start = time.perf_counter()
    lexicon = Lexicon.load()
    assert time.perf_counter() - start < 5  # 0.1 s on a free machine; wide for a busy one
    lexicon.suggest("warm")
    start = time.perf_counter()
    for _ in range(20):
        lexicon.suggest("consolidatoin")
    assert (time.perf_counter() - start) / 20 < 0.2  # 1 ms on a free machine


def test_real_questions_are_known() -> None:
    place = Path(os.environ.get("IMC_DATA", "none")) / "slake" / "train.json"
    if not place.is_file():
        pytest.skip("SLAKE is not here: set IMC_DATA to the folder that holds slake/")
    asked = [q["question"] for q in json.loads(place.read_text("utf-8")) if q["q_lang"] == "en"]
    words = [word for question in asked for word in re.findall(r"[^\W_]+", question)]
    assert sum(word in LEXICON for word in words) / len(words) > 0.99


@pytest.mark.parametrize(("word", "other"), [("case", "cause"), ("scan", "can")])
def test_a_familiar_word_is_re_heard_by_the_table_alone(word: str, other: str) -> None:
    """Phonetic keys leave out vowels; words that questions use resemble too many others so."""
    assert word in LEXICON.familiar
    assert other not in LEXICON.homophones(word)
    assert set(LEXICON.homophones(word)) <= set(LEXICON.taken_for(word))
