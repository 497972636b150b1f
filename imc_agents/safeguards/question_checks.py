"""A question is checked once, where it enters; after that its text is data, whatever it says."""

from __future__ import annotations

import unicodedata

from imc_agents.errors import QuestionRefused

MAX_CHARACTERS = 2000
"""Above the longest question of the public VQA sets (about 250) by a wide margin; a limit at all
so that a pasted document is refused in a sentence, not by the model's context length."""

BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that make a text read in another order than it is stored (Unicode TR 9, TR 36)."""

ALLOWED_CONTROLS = frozenset("\t\n\r")


def check_question(text: object, *, max_characters: int = MAX_CHARACTERS) -> str:
    """The question, unchanged, if it can be asked.

    Marks of a model's chat template in it are no reason to refuse: the chat model spells them out
    as plain characters.

    Args:
        text: what came in.
        max_characters: the longest question allowed, in characters.

    Raises:
        QuestionRefused: in one line: what, why, the remedy. It never quotes the question.
    """
    if not isinstance(text, str):
        raise QuestionRefused(f"the question is {type(text).__name__}, not text; give one string")
    if not text.strip():
        raise QuestionRefused("the question is empty; write what you want to know of the image")
    if len(text) > max_characters:
        raise QuestionRefused(
            f"the question has {len(text)} characters, over the limit of {max_characters}; "
            "shorten it"
        )
    for position, character in enumerate(text):
        if character in BIDIRECTIONAL:
            raise QuestionRefused(
                f"the question holds the bidirectional control U+{ord(character):04X} at "
                f"position {position}, which hides the order of its words; remove it"
            )
        category = unicodedata.category(character)
        if category == "Cc" and character not in ALLOWED_CONTROLS:
            raise QuestionRefused(
                f"the question holds the control character U+{ord(character):04X} at position "
                f"{position}; remove it"
            )
        if category == "Cs":
            raise QuestionRefused(
                f"the question holds half a character (U+{ord(character):04X}) at position "
                f"{position}; send it as UTF-8"
            )
    return text
