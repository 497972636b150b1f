"""Methods of the chat model that score given texts and given options."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from imc_agents.chat.engine import Engine
from imc_agents.chat.prompt_tokens import ImageFeatures
from imc_agents.chat.scores import Choice, TextScore, make_choice
from imc_agents.errors import QuestionRefused

__all__ = ["ScoringMixin"]


class ScoringMixin:
    """`score` and `choose` of `ChatLocalMLLM`, singly and in batches."""

    _engine: Engine

    def score(
        self,
        messages: Sequence[BaseMessage],
        text: str,
        *,
        features: ImageFeatures | None = None,
    ) -> TextScore:
        """Log-probability of each token of `text` as the assistant's turn.

        Args:
            messages: the conversation before that turn.
            text: what to score; at least one character.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: empty text, or more than the model can read.
        """
        return self.score_batch([(messages, text)], features=[features])[0]

    def score_batch(
        self,
        items: Sequence[tuple[Sequence[BaseMessage], str]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
    ) -> list[TextScore]:
        """Score many texts at once; texts under one conversation share its computation.

        Args:
            items: (conversation, text) pairs.
            features: precomputed features for each; None for those without an image.

        Returns:
            One `TextScore` each, in order. Padding and sharing change a log-probability by
            rounding only.

        Raises:
            QuestionRefused: as for `score`.
        """
        return self._engine.score(items, features)

    def choose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        features: ImageFeatures | None = None,
    ) -> Choice:
        """Probabilities over fixed answers; no generation.

        Args:
            messages: the conversation.
            options: at least two different texts.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: fewer than two options, an empty or a repeated one.
        """
        return self.choose_batch([(messages, options)], features=[features])[0]

    def choose_batch(
        self,
        items: Sequence[tuple[Sequence[BaseMessage], Sequence[str]]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
    ) -> list[Choice]:
        """Choose for many conversations at once.

        Args:
            items: (conversation, options) pairs.
            features: precomputed features for each; None for those without an image.

        Returns:
            One `Choice` each, in order; see `imc_agents.chat.scores.make_choice` for the
            normalisation.

        Raises:
            QuestionRefused: as for `choose`.
        """
        for _, options in items:
            if len(options) < 2 or len(set(options)) < len(options):
                raise QuestionRefused(
                    f"{len(options)} options, {len(set(options))} of them different: "
                    "give at least two different ones"
                )
        given = features or [None] * len(items)
        if len(given) != len(items):
            raise QuestionRefused(f"{len(items)} choices and {len(given)} features: give one each")
        texts = [(messages, option) for messages, options in items for option in options]
        images = [one for one, (_, options) in zip(given, items, strict=True) for _ in options]
        scores = iter(self._engine.score(texts, images, ending=True))
        return [make_choice(options, [next(scores) for _ in options]) for _, options in items]
