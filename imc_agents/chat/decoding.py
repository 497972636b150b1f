"""Generation: greedy by default, batched, with stop texts, streaming and token probabilities."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_batches import stack_prompts
from imc_agents.errors import ModelRefused

__all__ = [
    "NOT_FINITE",
    "DecodingSettings",
    "Generated",
    "PieceStreamer",
    "as_generated",
    "ending_ids",
    "generate_texts",
]


NOT_FINITE = (
    "the model's scores are not finite: load it in bfloat16 or float32 (dtype), or copy its "
    "weights again"
)
"""What is said of scores that are no numbers, as float16 gives where it overflows."""


@dataclass(frozen=True)
class DecodingSettings:
    """How to choose tokens.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        temperature: 0 for greedy; above, tokens are sampled at this temperature.
        seed: of the sampling; None: not seeded.
        stop: texts that end the answer; they are not part of it.
        max_seconds: generation ends after this time; None for never.
        processors: further logits processors, such as a grammar's; fresh ones for each call.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    max_seconds: float | None = None
    processors: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Generated:
    """One answer.

    Attributes:
        text: the answer, special tokens and stop text left out.
        token_ids: the generated tokens, with the ending token if there was one.
        token_logprobs: natural log-probability of each of `token_ids` under the model itself (not
            renormalised by a grammar).
        finish_reason: "stop" when it ended by itself or at a stop text, "length" when cut off.
        prompt_tokens: length of its prompt.
        confidence: geometric mean probability of the answer's tokens, 0..1, without the ending
            token (with it alone, when the answer is empty).
    """

    text: str
    token_ids: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    finish_reason: str
    prompt_tokens: int
    confidence: float


class _TokenLogprobs(LogitsProcessor):  # type: ignore[misc]
    """Records the log-probability of each chosen token; holds one step's scores at a time."""

    def __init__(self) -> None:
        self._step: Tensor | None = None
        self._chosen: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._collect(input_ids)
        self._step = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _collect(self, sequences: Tensor) -> None:
        if self._step is not None:
            self._chosen.append(self._step.gather(1, sequences[:, -1:]))

    def finish(self, sequences: Tensor) -> Tensor:
        """Log-probabilities (batch, written tokens), once `sequences` are complete."""
        self._collect(sequences)
        self._step = None
        if not self._chosen:
            return torch.zeros(sequences.shape[0], 0)
        return torch.cat(self._chosen, dim=1)


class _StopAtText(StoppingCriteria):  # type: ignore[misc]
    """Ends a row when its answer contains one of the stop texts, or when cancelled."""

    def __init__(
        self, tokenizer: Any, prompt_tokens: int, stop: tuple[str, ...], cancelled: threading.Event
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._stop = stop
        self._cancelled = cancelled
        self.ended_at: dict[int, int] = {}

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        written = input_ids[:, self._prompt_tokens :]
        done = torch.full((len(written),), self._cancelled.is_set(), device=input_ids.device)
        if self._stop:
            for row, ids in enumerate(written):
                if row not in self.ended_at:
                    text = _decode(self._tokenizer, ids.tolist())
                    if any(stop in text for stop in self._stop):
                        self.ended_at[row] = len(ids)
                done[row] |= row in self.ended_at
        return done


@dataclass
class PieceStreamer(BaseStreamer):  # type: ignore[misc]
    """Streams an answer in pieces while it is generated (batch of one).

    A piece is delayed while it ends inside a character or may begin a stop text.

    Attributes:
        tokenizer: decodes the tokens.
        stop: stop texts.
        emit: called with every new piece.
    """

    tokenizer: Any
    stop: tuple[str, ...]
    emit: Callable[[str], None]
    _ids: list[int] = field(default_factory=list)
    _sent: int = 0
    _prompt_received: bool = False

    def put(self, value: Tensor) -> None:
        """Receive the prompt (first call), then each new token."""
        if not self._prompt_received:
            self._prompt_received = True
            return
        self._ids.extend(value.reshape(-1).tolist())
        text = _decode(self.tokenizer, self._ids)
        if not text.endswith("\ufffd"):
            self._send(text, final=False)

    def end(self) -> None:
        """Send the rest of the text."""
        self._send(_decode(self.tokenizer, self._ids), final=True)

    def _send(self, text: str, *, final: bool) -> None:
        text, stopped = _cut(text, self.stop)
        upto = len(text)
        if not (final or stopped):
            upto -= max((_overlap(text, stop) for stop in self.stop), default=0)
        if upto > self._sent:
            self.emit(text[self._sent : upto])
            self._sent = upto


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    return next((n for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n])), 0)


def _cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """`text` up to the first stop text, and whether there was one."""
    places = [place for place in (text.find(s) for s in stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )


def _seeded(settings: DecodingSettings, device: torch.device) -> AbstractContextManager[Any]:
    if settings.temperature <= 0 or settings.seed is None:
        return nullcontext()
    devices = [device] if device.type == "cuda" else []
    return torch.random.fork_rng(devices=devices)


def ending_ids(model: Any) -> set[int]:
    """Ids that end an answer, from the model's generation settings."""
    ids = model.generation_config.eos_token_id
    return set(ids if isinstance(ids, list) else [] if ids is None else [ids])


def generate_texts(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[EncodedPrompt],
    settings: DecodingSettings,
    *,
    context_tokens: int | None = None,
    streamer: PieceStreamer | None = None,
    cancelled: threading.Event | None = None,
    limits: Sequence[int] | None = None,
    on_cache: Callable[[Any], None] | None = None,
) -> list[Generated]:
    """Generate an answer to each prompt in one batched `generate`.

    Args:
        model: takes `mm_encoder_outputs`.
        tokenizer: decodes the answers.
        prompts: left-padded into one batch; a batch of one is not padded at all.
        settings: how to choose tokens.
        context_tokens: the model's limit; caps `max_new_tokens`.
        streamer: receives the text while it is written (one prompt only).
        cancelled: set from outside to end early.
        limits: longest answer to each prompt, where it is less than `max_new_tokens`.
        on_cache: is given the keys and values of prompts and answers, without the last tokens'.

    Returns:
        One `Generated` per prompt, in order.

    Raises:
        ModelRefused: the model's scores are not finite.
    """
    endings = ending_ids(model)
    pad_id = tokenizer.pad_token_id
    if pad_id is None:
        pad_id = next(iter(sorted(endings)), 0)
    inputs = stack_prompts(prompts, pad_id=pad_id, side="left")
    width = inputs["input_ids"].shape[1]
    longest = settings.max_new_tokens
    if limits is not None:
        longest = min(longest, max(limits))
    room = longest if context_tokens is None else context_tokens - width
    stopping = _StopAtText(tokenizer, width, settings.stop, cancelled or threading.Event())
    logprobs = _TokenLogprobs()
    # Neutral values, not None: the checkpoint's own sampling defaults must not apply.
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 50, "do_sample": False}
    if settings.temperature > 0:
        sampling = {"temperature": settings.temperature, "do_sample": True, "top_k": 0}
    with torch.no_grad(), _seeded(settings, model.device):
        if settings.temperature > 0 and settings.seed is not None:
            torch.manual_seed(settings.seed)
        output = model.generate(
            **inputs,
            **sampling,
            max_new_tokens=max(1, min(longest, room)),
            max_time=settings.max_seconds,
            pad_token_id=pad_id,
            num_beams=1,
            logits_processor=[logprobs, *settings.processors],
            stopping_criteria=[stopping],
            streamer=streamer,
            return_dict_in_generate=True,
        )
    if on_cache is not None:
        on_cache(output.get("past_key_values"))
    sequences = output.sequences
    written = sequences[:, width:].tolist()
    values = logprobs.finish(sequences).tolist()
    if limits is not None:
        written = [ids[:limit] for ids, limit in zip(written, limits, strict=True)]
        values = [row[:limit] for row, limit in zip(values, limits, strict=True)]
    return [
        as_generated(
            tokenizer,
            prompt,
            written[row],
            values[row],
            endings,
            stop=settings.stop,
            stopped_at=stopping.ended_at.get(row),
        )
        for row, prompt in enumerate(prompts)
    ]


def as_generated(
    tokenizer: Any,
    prompt: EncodedPrompt,
    ids: Sequence[int],
    logprobs: Sequence[float],
    endings: set[int],
    *,
    stop: Sequence[str] = (),
    stopped_at: int | None = None,
) -> Generated:
    """One answer, from the tokens generated after its prompt.

    Args:
        tokenizer: decodes it.
        prompt: the prompt.
        ids: generated tokens; those after the first ending token are padding.
        logprobs: natural log-probability of each of `ids`.
        endings: ids that end an answer.
        stop: texts that end an answer.
        stopped_at: number of tokens with which one of them was complete; None for never.

    Raises:
        ModelRefused: the model's scores are not finite.
    """
    end = next((i + 1 for i, token in enumerate(ids) if token in endings), len(ids))
    if stopped_at is not None:
        end = min(end, stopped_at)
    if any(math.isnan(value) for value in logprobs[:end]):
        raise ModelRefused(NOT_FINITE)
    by_itself = bool(end) and ids[end - 1] in endings
    text, _ = _cut(_decode(tokenizer, ids[:end]), stop)
    own = logprobs[: end - 1] if end > 1 and by_itself else logprobs[:end]
    return Generated(
        text=text,
        token_ids=tuple(ids[:end]),
        token_logprobs=tuple(logprobs[:end]),
        finish_reason="stop" if by_itself or stopped_at is not None else "length",
        prompt_tokens=len(prompt.ids),
        confidence=math.exp(sum(own) / len(own)) if own else 0.0,
    )
