"""The model's own assessment: how likely a text is, and what the model replies when it is asked.

An agent uses the model only through here, so that calls are counted in one place, a model without
`score` and `choose` is asked instead, and a malformed reply has a type. Nothing here calls the
model: each method yields requests (see `imc_agents.requests`), and its caller uses `yield from`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from pydantic import BaseModel, ValidationError

from imc_agents.requests import (
    Generate,
    Loglikelihood,
    MultipleChoice,
    RequestSteps,
    ScoreLike,
    SupportsLoglikelihood,
    SupportsMultipleChoice,
    untemplated,
)
from prompts import AskPrompt, RolePrompt

Reply = TypeVar("Reply", bound=BaseModel)


class MalformedReply(ValueError):
    """A model's reply has not the agreed form, also after one repair."""


class SelfAssessment:
    """A chat model as the agents use it. Make one per agent run: `calls` counts its passes."""

    def __init__(self, chat: BaseChatModel) -> None:
        self.chat = chat
        self.calls = 0
        """Passes through the model so far; a batched pass counts once."""

    @property
    def can_score(self) -> bool:
        return isinstance(self.chat, SupportsLoglikelihood)

    @property
    def can_choose(self) -> bool:
        return isinstance(self.chat, SupportsMultipleChoice)

    def log_likelihoods(
        self, prompt: RolePrompt, texts: Sequence[str]
    ) -> RequestSteps[list[ScoreLike]]:
        """log p(text) under the prompt, for all texts in one batched pass."""
        self.calls += 1
        plain = prompt.prefix is not None
        messages = untemplated(prompt.prefix or "") if plain else _messages(prompt.messages())
        scores = list((yield Loglikelihood(messages, tuple(texts))))
        if len(scores) != len(texts):
            raise MalformedReply(f"{len(scores)} scores came back for {len(texts)} texts")
        return scores

    def agreement(self, prompt: RolePrompt, **fields: str) -> RequestSteps[float]:
        """Probability of the prompt's first option, the agreeing one."""
        return (yield from self.choice(prompt.messages(**fields), prompt.options))

    def choice(
        self, messages: Sequence[dict[str, str]], options: Sequence[str]
    ) -> RequestSteps[float]:
        """Probability of the first of the options as the reply."""
        self.calls += 1
        choice = yield MultipleChoice(_messages(messages), tuple(options))
        probability = float(choice.probabilities[0])
        if not 0.0 <= probability <= 1.0:
            raise MalformedReply("the probability of an option is not between 0 and 1")
        return probability

    def say(
        self, messages: Sequence[dict[str, str]], *, like: str | None = None
    ) -> RequestSteps[str]:
        """The model's reply as text, blanks at its ends cut off.

        Args:
            messages: the conversation.
            like: a text of about the reply's length; see `Generate`.
        """
        self.calls += 1
        reply = yield Generate(_messages(messages), like)
        return str(reply.text).strip()

    def ask(self, prompt: AskPrompt, form: type[Reply], **fields: str) -> RequestSteps[Reply]:
        """The model's reply as an object of the agreed form; one repair is asked for.

        Raises MalformedReply when the repaired reply has not the form either.
        """
        messages = _messages(prompt.messages(**fields))
        schema = json.dumps(prompt.output)
        like = " ".join((*fields.values(), schema))  # it quotes the fields in the schema's form
        for _ in range(2):
            self.calls += 1
            reply = yield Generate(messages, like)
            try:
                return form.model_validate(first_object(str(reply.text)))
            except (MalformedReply, ValidationError):
                messages = (
                    *messages,
                    reply,
                    HumanMessage(f"Reply with one JSON object of this schema only: {schema}"),
                )
        raise MalformedReply(f"no {form.__name__} in the reply, also after one repair")


def _messages(said: Sequence[dict[str, str]]) -> tuple[BaseMessage, ...]:
    return tuple(convert_to_messages(said))


def first_object(text: str) -> Any:
    """The first JSON object in a reply, whatever is around it; MalformedReply if there is none."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            return decoder.raw_decode(text, start)[0]
        except json.JSONDecodeError:
            start = text.find("{", start + 1)
    raise MalformedReply("the reply holds no JSON object")


def named(fault: Exception) -> str:
    """A fault for the trace: its kind alone, since a message may quote a patient's question."""
    return str(fault) if isinstance(fault, MalformedReply) else type(fault).__name__
