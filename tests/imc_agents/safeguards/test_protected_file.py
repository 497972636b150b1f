"""A hospital's own protected words: read and merged, or refused with the line of the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc_agents.errors import ProtectedWordsRefused
from imc_agents.safeguards.protected import find_protected, load_protected, protected_violations
from imc_agents.safeguards.protected_file import MAX_BYTES, read_protected_file

EXAMPLE = Path(__file__).parents[3] / "examples" / "protected_words.yaml"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


def test_the_example_is_read_and_protects_its_words() -> None:
    table = load_protected(EXAMPLE)
    found = {token.normal for token in find_protected("MRSA, apap qid, adalimumab, bed 4b", table)}
    assert found == {"mrsa", "paracetamol", "qid", "adalimumab", "bed 4b"}
    assert protected_violations("MRSA in the lung?", "MRI in the lung?", table=table)


def test_an_example_word_makes_its_sentence_context() -> None:
    shipped, own = load_protected(), load_protected(EXAMPLE)
    assert own.context_in("On ECMO.") == "ecmo" and shipped.context_in("On ECMO.") is None
    assert own.context_in("MRSA ward.") == "microbe mrsa"


def test_a_list_of_words_is_each_word_as_itself(own: Path) -> None:
    own.write_text("categories: {tracer: {words: [psma, dotatate]}}")
    assert read_protected_file(own).categories["tracer"].words == {
        "psma": ["psma"],
        "dotatate": ["dotatate"],
    }


def test_two_files_are_merged(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    own.write_text("categories: {tracer: {words: [psma]}}")
    other.write_text("categories: {tracer: {words: [dotatate]}}")
    table = load_protected(own, other)
    assert len(find_protected("psma dotatate", table)) == 2
    assert table.own_digest and not load_protected().own_digest


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "empty"),
        ("categories: [", 1, "YAML"),
        ("categories:\n  a: {words: [b]}\n  c: {wrods: [b]}\n", 3, "wrods"),
        ("categories:\n  a:\n    words:\n      b: [c, 12]\n", 4, "string"),
        ("categories:\n  a:\n    words: [no]\n", 3, "words"),
        ("categories:\n  a:\n    repairable: perhaps\n", 3, "boolean"),
        ("categories:\n  a:\n    patterns:\n      - (x)\n      - '('\n", 3, "pattern"),
        ("categories:\n  a:\n    patterns: [x]\n", 3, "group"),
        ("categories:\n  a: {words: [b]}\n  a: {words: [c]}\n", 3, "twice"),
        ("words: [a]\n", 1, "words"),
        ("- a\n", 1, "file"),
        ("context:\n  words: 5\n", 2, "list"),
        ("a: &a [*a]\n", 1, ""),
        ("[" * 400_000, 1, "nested"),
    ],
)
def test_a_wrong_form_is_refused_with_its_line(own: Path, text: str, line: int, why: str) -> None:
    own.write_text(text)
    with pytest.raises(ProtectedWordsRefused, match=f"own.yaml, line {line}: ") as refused:
        load_protected(own)
    assert why in str(refused.value) and "\n" not in str(refused.value)
    assert "examples/protected_words.yaml" in str(refused.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"#" * (MAX_BYTES + 1)])
def test_what_cannot_be_read_is_refused(own: Path, content: bytes | None) -> None:
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(ProtectedWordsRefused, match=r"own\.yaml"):
        load_protected(own)


def test_an_accent_matches_in_either_form(own: Path) -> None:
    own.write_text("categories: {sign: {words: [möbius]}}", encoding="utf-8")
    table = load_protected(own)
    for text in ("a M\u00f6bius sign", "a Mo\u0308bius sign"):
        (token,) = find_protected(text, table)
        assert text[token.start : token.end].lower().endswith("bius")
        assert text[token.start] == "M"
