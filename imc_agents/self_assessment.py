"""The model's own judgement: how likely a text is to it, and what it says when it is asked.

An agent talks to the model only through here, so that calls are counted in one place, a model
without `score` and `choose` is asked instead, and rubbish has a name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from pydantic import BaseModel, ValidationError

from prompts import AskPrompt, RolePrompt

Reply = TypeVar("Reply", bound=BaseModel)


class Rubbish(ValueError):
    """A model's reply has not the agreed form, also after one repair."""


MODEL_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model may raise and an agent survives: out of memory, a refused length, a lost server, a
reply of the wrong form. An interrupt of the graph is none of these."""


class ScoreLike(Protocol):
    """Log-probability of a text, in nats."""

    @property
    def logprob(self) -> float: ...
    @property
    def per_char(self) -> float: ...


class ChoiceLike(Protocol):
    """Probabilities of fixed options, in their order."""

    @property
    def probabilities(self) -> Sequence[float]: ...


@runtime_checkable
class Scores(Protocol):
    """A chat model that tells how likely texts are."""

    def score_batch(
        self, items: Sequence[tuple[Sequence[BaseMessage], str]]
    ) -> Sequence[ScoreLike]: ...


@runtime_checkable
class Chooses(Protocol):
    """A chat model that weighs fixed options."""

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> ChoiceLike: ...


class SelfAssessment:
    """A chat model as the agents use it. Make one per agent run: `calls` counts its passes."""

    def __init__(self, chat: BaseChatModel) -> None:
        self.chat = chat
        self.calls = 0
        """Passes through the model so far; a batched pass counts once."""

    @property
    def can_score(self) -> bool:
        return isinstance(self.chat, Scores)

    @property
    def can_choose(self) -> bool:
        return isinstance(self.chat, Chooses)

    def log_likelihoods(self, prompt: RolePrompt, texts: Sequence[str]) -> list[ScoreLike]:
        """log p(text) under the prompt, for all texts in one batched pass."""
        chat = cast(Scores, self.chat)
        messages = convert_to_messages(prompt.messages())
        self.calls += 1
        scores = list(chat.score_batch([(messages, text) for text in texts]))
        if len(scores) != len(texts):
            raise Rubbish(f"{len(scores)} scores came back for {len(texts)} texts")
        return scores

    def agreement(self, prompt: RolePrompt, **fields: str) -> float:
        """Probability of the prompt's first option, the agreeing one."""
        chat = cast(Chooses, self.chat)
        self.calls += 1
        choice = chat.choose(convert_to_messages(prompt.messages(**fields)), list(prompt.options))
        probability = float(choice.probabilities[0])
        if not 0.0 <= probability <= 1.0:
            raise Rubbish("the probability of an option is not between 0 and 1")
        return probability

    def say(self, messages: Sequence[dict[str, str]]) -> str:
        """The model's reply as text, blanks at its ends cut off."""
        self.calls += 1
        return str(self.chat.invoke(convert_to_messages(messages)).text).strip()

    def ask(self, prompt: AskPrompt, form: type[Reply], **fields: str) -> Reply:
        """The model's reply as an object of the agreed form; one repair is asked for.

        Raises Rubbish when the repaired reply has not the form either.
        """
        messages = convert_to_messages(prompt.messages(**fields))
        for _ in range(2):
            self.calls += 1
            reply = self.chat.invoke(messages)
            try:
                return form.model_validate(first_object(str(reply.text)))
            except (Rubbish, ValidationError):
                schema = json.dumps(prompt.output)
                messages = [
                    *messages,
                    reply,
                    HumanMessage(f"Reply with one JSON object of this schema only: {schema}"),
                ]
        raise Rubbish(f"no {form.__name__} in the reply, also after one repair")


def first_object(text: str) -> Any:
    """The first JSON object in a reply, whatever stands around it; Rubbish if there is none."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            return decoder.raw_decode(text, start)[0]
        except json.JSONDecodeError:
            start = text.find("{", start + 1)
    raise Rubbish("the reply holds no JSON object")


def named(fault: Exception) -> str:
    """A fault for the trace: its kind alone, since a message may quote a patient's question."""
    return str(fault) if isinstance(fault, Rubbish) else type(fault).__name__
