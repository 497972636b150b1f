"""Text skills the agents need: the likelihood of a question, correcting one, comparing two.

The noise here is deliberately not the benchmark's: letters are drawn uniformly from the alphabet,
without keyboards, glyphs or sounds, so that the benchmark's text noises stay unseen in training.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np

WRITE = "write a question"
CORRECT = "correct: {question}"
SAME = "same question? {original} => {candidate}"
"""The prompts of the `reference` profile (`prompts/reference`); a test keeps the two alike."""

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

TEMPLATES = (
    "Is there {a} {term}?",
    "Is the {term} visible?",
    "Is there evidence of {term}?",
    "Does the image show {a} {term}?",
    "Where is the {term}?",
    "Where is the {term} located?",
    "What is the size of the {term}?",
    "Is the {term} normal?",
    "Is the {term} enlarged?",
    "Are there signs of {term}?",
    "Can you see the {term} in this image?",
    "What is the abnormality near the {term}?",
    "Is {term} present on the left or the right?",
    "Which side is the {term} on?",
    "Is this {a} {term} or {a2} {term2}?",
    "What lies between the {term} and the {term2}?",
    "How many {term} lesions are seen?",
    "Does the patient have {term}?",
    "Is the {term} in the {term2}?",
    "Is {term} seen in the right lower lobe?",
)


@lru_cache(maxsize=1)
def clinical_terms() -> tuple[str, ...]:
    """Our own list of radiology words, one per space."""
    file = files("imc_reference") / "data" / "clinical_terms.txt"
    return tuple(file.read_text(encoding="utf-8").split())


def templated_question(rng: np.random.Generator) -> str:
    """A question from a template and clinical terms."""
    terms = clinical_terms()
    term, term2 = (terms[int(i)] for i in rng.integers(len(terms), size=2))

    def article(word: str) -> str:
        return "an" if word[0] in "aeiou" else "a"

    return str(rng.choice(TEMPLATES)).format(
        term=term, term2=term2, a=article(term), a2=article(term2)
    )


def scramble(text: str, rng: np.random.Generator, edits: int) -> str:
    """`edits` random letter edits: substitution, deletion, insertion, swap, lost space."""
    letters = list(text)
    for _ in range(edits):
        if len(letters) < 4:
            break
        at = int(rng.integers(len(letters) - 1))
        operation = rng.integers(5)
        letter = ALPHABET[int(rng.integers(26))]
        if operation == 0:
            letters[at] = letter
        elif operation == 1:
            del letters[at]
        elif operation == 2:
            letters.insert(at, letter)
        elif operation == 3:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            spaces = [i for i, c in enumerate(letters) if c == " "]
            if spaces:
                del letters[int(rng.choice(spaces))]
    return "".join(letters)


def different_question(question: str, others: list[str], rng: np.random.Generator) -> str:
    """Another question: a random one, or this one with one word replaced by a clinical term."""
    words = question.split()
    if len(words) < 3 or rng.random() < 0.4:
        return others[int(rng.integers(len(others)))]
    at = int(rng.integers(len(words)))
    swaps = {"left": "right", "right": "left", "no": "any", "there": "not", "large": "small"}
    terms = clinical_terms()
    bare = words[at].strip("?.,").lower()
    new = swaps.get(bare, terms[int(rng.integers(len(terms)))])
    words[at] = new + ("?" if words[at].endswith("?") else "")
    return " ".join(words)


def text_exercise(questions: list[str], rng: np.random.Generator) -> tuple[str, str]:
    """One (prompt, target) pair: 55 % writing, 25 % correcting, 20 % comparing."""
    question = (
        templated_question(rng)
        if rng.random() < 0.3
        else questions[int(rng.integers(len(questions)))]
    )
    if rng.random() < 0.25:
        question = question.lower()
    draw = rng.random()
    if draw < 0.55:
        return WRITE, question
    edits = int(rng.integers(0, 4))
    noisy = scramble(question, rng, edits)
    if draw < 0.8:
        return CORRECT.format(question=noisy), question
    if rng.random() < 0.5:
        return SAME.format(original=noisy, candidate=question), "yes"
    other = different_question(question, questions, rng)
    same = other.lower().strip() == question.lower().strip()
    return SAME.format(original=noisy, candidate=other), "yes" if same else "no"
