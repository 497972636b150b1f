"""Whether a question is in the language that the lexicon and the safeguards know: English."""

from __future__ import annotations

from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.sentences import split_sentences
from imc_agents.language.words import words_of

_ENGLISH = frozenset(
    "a an the is are was were be been do does did has have had can could will would should may "
    "of in on at to from with by for and or not no what which where when who how why there this "
    "that these those it its any".split()
)
_OTHERS = (
    frozenset(
        # Spanish, French, Italian, Portuguese, German, Dutch, Swedish, Polish, Turkish: words that
        # questions are built with and that English has not
        "el la los las una un unos unas del al en es está están hay qué cuál dónde cómo que "
        "le les des du une est sont dans quel quelle quels quelles où comment combien avec cette "
        "il lo gli della nella sono dove quale quanti c'è nel di per con "
        "o os da das dos em há são onde qual quais uma não "
        "der die das den dem ein eine einer ist sind wo wie welche welcher welches gibt mit und "
        "het een zijn waar wat welke hoe van er "
        "är det den en ett finns var vad vilken hur i på "
        "jest czy gdzie jaki jaka są na w "
        "mi mı mu mü var nerede hangi bir bu".split()
    )
    - _ENGLISH
    - frozenset("i o la".split())
)

MAX_NON_ASCII = 0.3
"""Share of letters outside ASCII from which a text is taken for another script or language."""
MAX_UNKNOWN = 0.7
"""Share of unknown words from which a text of four words or more is not English, however corrupted:
the heaviest noise of the benchmark hits half of the words."""


def why_not_english(question: str, lexicon: LexiconLike) -> str | None:
    """Why the agents leave a question alone as not English; None for an English one."""
    letters = [character for character in question if character.isalpha()]
    if not letters:
        return "it has no letters"
    if sum(not character.isascii() for character in letters) > MAX_NON_ASCII * len(letters):
        return "not English: most of its letters are not those of English"
    if "¿" in question or "¡" in question:
        return "not English: its punctuation is another language's"
    words = [word.text.lower().replace("’", "'") for word in words_of(question)]
    english = sum(word in _ENGLISH for word in words)
    other = sum(word in _OTHERS for word in words)
    if other > english:
        return "not English: its function words are another language's"
    if english == 0 and any(not word.isascii() for word in words):
        return "not English: its letters and function words are another language's"
    if any(_is_foreign(sentence.text) for sentence in split_sentences(question)):
        return "one of its sentences is in another language"
    unknown = sum(word not in lexicon for word in words)
    if len(words) >= 4 and unknown > MAX_UNKNOWN * len(words):
        return "not English: almost none of its words is known"
    return None


def _is_foreign(sentence: str) -> bool:
    """Its small words are another language's: two at least, for a slip may make one of them."""
    words = [word.text.lower().replace("’", "'") for word in words_of(sentence)]
    other = sum(word in _OTHERS for word in words)
    return other >= 2 and other > sum(word in _ENGLISH for word in words)
