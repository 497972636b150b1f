"""What an agent asks of the model, as values: it yields requests and is sent the replies.

An agent written so does no input or output of its own, so that one conversation and
many in lock step go through the same code (`imc_agents.chat.run_requests` answers either).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

Messages = tuple[BaseMessage, ...]

UNTEMPLATED = "untemplated"
"""Role of a single message that is the whole prompt as it stands: no chat template is put round it.
Texts are scored after it; see `prompts.RolePrompt.prefix`."""


def untemplated(text: str) -> Messages:
    """The prompt that is this text as it stands."""
    return (ChatMessage(role=UNTEMPLATED, content=text),)


@dataclass(frozen=True)
class Loglikelihood:
    """How likely is each text after these messages? Replied to with one `ScoreLike` a text."""

    messages: Messages
    texts: tuple[str, ...]


@dataclass(frozen=True)
class MultipleChoice:
    """How probable is each option after these messages? Replied to with one `ChoiceLike`."""

    messages: Messages
    options: tuple[str, ...]


@dataclass(frozen=True)
class Generate:
    """What comes after these messages? Replied to with one message."""

    messages: Messages
    like: str | None = None
    """A text of about the reply's length: a model that counts tokens (`SupportsReplyLimit`) is
    stopped where it writes much more. None: the model's own limit."""


Request = Loglikelihood | MultipleChoice | Generate

Result = TypeVar("Result")
RequestSteps = Generator[Request, Any, Result]
"""Yields requests, is sent each one's reply (or thrown the fault of the model that failed at it),
and returns its result."""


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
class SupportsLoglikelihood(Protocol):
    """A chat model that computes the log-likelihood of texts."""

    def score_batch(
        self, items: Sequence[tuple[Sequence[BaseMessage], str]]
    ) -> Sequence[ScoreLike]: ...


@runtime_checkable
class SupportsMultipleChoice(Protocol):
    """A chat model that computes the probabilities of fixed options."""

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> ChoiceLike: ...


@runtime_checkable
class SupportsMultipleChoiceBatch(Protocol):
    """A chat model that computes the options' probabilities of many conversations in one pass."""

    def choose_batch(
        self, items: Sequence[tuple[Sequence[BaseMessage], Sequence[str]]]
    ) -> Sequence[ChoiceLike]: ...


@runtime_checkable
class SupportsGenerateBatch(Protocol):
    """A chat model that answers many conversations in one pass."""

    def generate_batch(
        self, messages: Sequence[Sequence[BaseMessage]], **settings: Any
    ) -> Sequence[AIMessage]: ...


@runtime_checkable
class SupportsReplyLimit(Protocol):
    """A chat model that says after how many tokens a reply like a text is cut off.

    Its `invoke` takes `max_tokens`, its `generate_batch` one for each conversation.
    """

    def reply_limit(self, text: str) -> int: ...


@dataclass(frozen=True)
class RenderedPrompt:
    """A conversation after the model's chat template."""

    text: str
    """What the tokenizer read, control tokens included; an image is one placeholder."""
    tokens: int
    """Length in tokens, those of the image included."""


@dataclass
class PassCounts:
    """What one request cost the model; complete when the block that counts has ended."""

    passes: int = 0
    """Batched forward passes."""
    reused_tokens: int = 0
    """Tokens of prompts and texts that one computation served several texts for."""


@runtime_checkable
class SupportsInspection(Protocol):
    """A chat model that shows its prompts as it reads them, and counts its passes."""

    def rendered_prompt(
        self, messages: Sequence[BaseMessage], *, features: Any = None
    ) -> RenderedPrompt: ...

    def counting(self) -> AbstractContextManager[PassCounts]: ...


class RequestObserver(Protocol):
    """Is present at each request; `answer` computes the reply, which is returned unchanged."""

    def record(self, chat: Any, request: Request, answer: Callable[[], Any]) -> Any: ...
