"""What a rewritten question changed, as edits of the original that can be weighed one by one."""

from __future__ import annotations

from difflib import SequenceMatcher

from imc_agents.corrections.correction_candidates import (
    another_form,
    meant_as_written,
    word_class,
)
from imc_agents.corrections.irrelevant_sentences import without
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.noisy_channel import slip, sounds_alike_cost
from imc_agents.language.sentences import split_sentences, stating_spans
from imc_agents.language.words import Word, like_case, may_be_judged, words_of
from imc_agents.policy import Policy
from imc_agents.state import Edit

MAX_SLIPS_PER_LETTER = 0.5
"""A word whose every second letter differs is another word, not a repaired one."""


def edits_between(
    original: str, rewritten: str, lexicon: LexiconLike, policy: Policy
) -> list[Edit]:
    """The word for word repairs and sentence cuts in a rewriting; all else in it is left out.

    A repair replaces one word by one of the lexicon that is near it or sounds like it. Words put
    in, left out or rephrased are not repairs, so a model that chatters, answers or obeys the
    question proposes nothing.
    """
    before, after = words_of(original), words_of(rewritten)
    matcher = SequenceMatcher(
        None,
        [word.text.lower() for word in before],
        [word.text.lower() for word in after],
        autojunk=False,
    )
    stated = stating_spans(split_sentences(original))
    edits: list[Edit] = []
    dropped: set[int] = set()
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "replace" and i2 - i1 == j2 - j1:
            pairs = zip(before[i1:i2], after[j1:j2], strict=True)
            repairs = [
                _repair(word, meant.text, lexicon, policy)
                for word, meant in pairs
                if word_class(word.text, lexicon) == "out_of_lexicon"
                or not word.begins_within(stated)
            ]
            edits += [edit for edit in repairs if edit is not None]
        elif tag == "delete":
            dropped.update(range(i1, i2))
    edits += _cuts(original, before, dropped)
    return edits


def _repair(word: Word, meant: str, lexicon: LexiconLike, policy: Policy) -> Edit | None:
    if not may_be_judged(word) or meant not in lexicon:
        return None
    explained = slip(meant, word.text)
    alike = any(meant.lower() == other.lower() for other in lexicon.homophones(word.text))
    if explained.slips > max(1.0, MAX_SLIPS_PER_LETTER * len(word.text)) and not alike:
        return None
    kind = word_class(word.text, lexicon)
    homophone = alike and kind != "out_of_lexicon"
    margin = policy.margin(kind, homophone=homophone)
    known = kind != "out_of_lexicon"
    if margin is None or (known and another_form(meant.lower(), word.text.lower())):
        return None
    return Edit(
        start=word.start,
        end=word.end,
        before=word.text,
        after=like_case(meant, word.text, begins=word.begins),
        kind="homophone" if homophone else explained.kind,
        cost=(sounds_alike_cost(meant, word.text) if homophone else explained.cost)
        + meant_as_written(word.text),
        margin=margin,
    )


def _cuts(original: str, words: list[Word], dropped: set[int]) -> list[Edit]:
    """Cuts of the sentences all of whose words were dropped; never of one that asks."""
    cuts = []
    asked = False
    for sentence in split_sentences(original):
        asked = asked or sentence.asks
        inside = {i for i, word in enumerate(words) if sentence.holds(word)}
        if inside and inside <= dropped and not sentence.asks:
            start, end = without(original, sentence, leading=asked)
            cuts.append(
                Edit(
                    start=start,
                    end=end,
                    before=original[start:end],
                    after="",
                    kind="distractor",
                    cost=0.0,
                )
            )
    return cuts
