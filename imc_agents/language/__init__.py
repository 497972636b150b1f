"""Words and sentences of questions: lexicon, phonetics, distances, the noisy channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_agents.language.lexicon import Lexicon, Suggestion
    from imc_agents.language.noisy_channel import Slip, slip
    from imc_agents.language.sentences import Sentence, split_sentences
    from imc_agents.language.words import Word, words_of

__all__ = [
    "Lexicon",
    "Sentence",
    "Slip",
    "Suggestion",
    "Word",
    "slip",
    "split_sentences",
    "words_of",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_agents.language.lexicon": ("Lexicon", "Suggestion"),
        "imc_agents.language.noisy_channel": ("Slip", "slip"),
        "imc_agents.language.sentences": ("Sentence", "split_sentences"),
        "imc_agents.language.words": ("Word", "words_of"),
    },
)
