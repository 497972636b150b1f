"""One request to the model and its reply, as a value to show, to stream and to store.

It holds the question's text: it is made only where somebody listens, and kept only on demand.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from imc_agents.state import Plain, TokenScores

__all__ = ["Exchange", "ExchangeMessage", "OptionProbability", "RequestKind", "ScoredText"]

RequestKind = Literal["loglikelihood", "multiple_choice", "generate"]
"""The requests of `imc_agents.requests`."""


class _Value(Plain):
    # A log-probability may be -inf: a string in JSON, which has no such number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ExchangeMessage(_Value):
    """One message of the conversation, before the chat template."""

    role: str
    """LangChain's name of its type: `system`, `human`, `ai`; `untemplated`: the prompt as it
    stands."""
    text: str


class ScoredText(_Value):
    """A text and its log-probability after the prompt."""

    text: str
    logprob: float
    """In nats, of the whole text."""
    tokens: TokenScores | None = None
    """Token by token; None where the model gives the sum alone."""


class OptionProbability(_Value):
    """One of the fixed options and its probability; those of an exchange add up to 1."""

    option: str
    probability: float


class Exchange(_Value):
    """One request of a node to the model, and the reply."""

    type: Literal["exchange"] = "exchange"
    """Names the value in a stream that carries others too."""
    node: str
    """The graph's node that requested it."""
    request: RequestKind
    model: str
    """Name of the model, or of its class."""
    messages: tuple[ExchangeMessage, ...]
    prompt: str | None = None
    """The conversation after the chat template, control tokens included; None: not known."""
    image: str | None = None
    """SHA-256 of the image whose precomputed features were part of the prompt."""
    texts: tuple[ScoredText, ...] = ()
    """Reply to `loglikelihood`."""
    options: tuple[OptionProbability, ...] = ()
    """Reply to `multiple_choice`."""
    reply: str | None = None
    """Reply to `generate`, as it came."""
    reply_logprobs: tuple[float, ...] = ()
    """Log-probability of each token of `reply`, in nats; empty: not known."""
    finish_reason: str | None = None
    """Why a generation ended: `stop` or `length`."""
    reply_limit: int | None = None
    """Tokens after which a generation was to be cut off; None: the model's own limit."""
    prompt_tokens: int | None = None
    """Length of the prompt in tokens, those of the image included; None: not known."""
    reply_tokens: int | None = None
    """Tokens generated, or scored after the prompt; None: not known."""
    passes: int | None = None
    """Batched forward passes, a generation being one; None: not known."""
    reused_tokens: int | None = None
    """Tokens taken from a cache: computed once for several texts; None: not known."""
    failure: str | None = None
    """Kind of error that the model raised; None where it replied."""
    ms: float
    """Wall time in milliseconds."""
