"""Scores as values: of a token, of a text, of some options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Choice", "TextScore", "TokenScore", "make_choice"]


@dataclass(frozen=True)
class TokenScore:
    """One token of a scored text.

    Attributes:
        text: the characters it covers, `text[start:end]` of the scored text.
        start: first character.
        end: one past the last. Tokens that each carry a part of one character (an emoji's bytes)
            all cover that character.
        logprob: natural log-probability given everything before it.
    """

    text: str
    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class TextScore:
    """The model's score of one text.

    Attributes:
        text: what was scored.
        spans: first character, and one past the last, of each of its tokens, in order.
        logprobs: natural log-probability of each of them.
        ending_logprob: log-probability that the turn ends right after; None when it was not asked.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    logprobs: tuple[float, ...]
    ending_logprob: float | None = None

    @property
    def logprob(self) -> float:
        """Natural log-probability of the whole text (the end of the turn not counted)."""
        return math.fsum(self.logprobs)

    @property
    def tokens(self) -> tuple[TokenScore, ...]:
        """Its tokens with their places, in order."""
        return tuple(
            TokenScore(self.text[start:end], start, end, value)
            for (start, end), value in zip(self.spans, self.logprobs, strict=True)
        )

    @property
    def per_char(self) -> float:
        """`logprob` per character of the text, in nats."""
        return self.logprob / len(self.text)


@dataclass(frozen=True)
class Choice:
    """A probability for each of some fixed options; they add up to 1.

    Attributes:
        options: as they were given.
        probabilities: softmax over the options' log-probabilities, in the same order.
    """

    options: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def best(self) -> str:
        """The most probable option; the first of equals."""
        return self.options[self.probabilities.index(max(self.probabilities))]

    @property
    def probability(self) -> float:
        """The probability of `best`."""
        return max(self.probabilities)


def make_choice(options: Sequence[str], scores: Sequence[TextScore]) -> Choice:
    """Normalise the scores of options to probabilities.

    Each option counts as log p(option, end of turn): a complete answer's probability, so that
    neither a short option nor one that begins another ("no", "normal") has the advantage. No
    length normalisation on top.

    Args:
        options: the options.
        scores: their scores, in the same order.
    """
    totals = torch.tensor(
        [score.logprob + (score.ending_logprob or 0.0) for score in scores], dtype=torch.float64
    )
    return Choice(tuple(options), tuple(torch.softmax(totals, dim=0).tolist()))
