"""Runs the model: one lock, one prompt encoder, answers and scores in batches.

`ChatLocalMLLM` implements LangChain's interface and delegates to this.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage

from imc_agents.chat.decoding import DecodingSettings, Generated, PieceStreamer
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.loglikelihood import TextScorer
from imc_agents.chat.prefix_cache import PrefixCacheGenerator
from imc_agents.chat.prefix_store import PREFIX_BYTES, PrefixStore
from imc_agents.chat.prompt_tokens import ImageFeatures, PromptEncoder
from imc_agents.chat.scores import TextScore
from imc_agents.chat.structured import Grammar
from imc_agents.errors import ModelRefused, QuestionRefused
from imc_agents.requests import PassCounts
from imc_core.memory import MemoryBound, OutOfMemory, flattened, is_out_of_memory

__all__ = ["Engine"]

WITHOUT_IMAGE = 4
"""Prompts without an image that count as one with an image: an image is about a hundred tokens, a
question about a dozen."""

Messages = Sequence[BaseMessage]
GivenFeatures = Sequence[ImageFeatures | None] | None
_Asked = tuple[EncodedPrompt, int | None]
"""A prompt and its own limit of tokens: of one call, all have one or none has."""


class Engine:
    """Runs one model for any number of threads, one at a time.

    Args:
        model: an image-text-to-text model in eval mode.
        processor: its processor.
        allow_remote_images: whether http(s) image URLs in messages are fetched.
        batch_size: most prompts with an image in one `generate`; of those without, which are much
            shorter, `WITHOUT_IMAGE` times as many.
        prefix_bytes: memory of what is held between calls; see `PrefixStore`.

    Attributes:
        encoder: messages to tokens.
        prefixes: beginnings of prompts that are held between calls.
        generations: batched `generate` calls made so far.

    Raises:
        ModelRefused: the model takes no precomputed image features.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        allow_remote_images: bool,
        batch_size: int,
        prefix_bytes: int = PREFIX_BYTES,
    ) -> None:
        self.encoder = PromptEncoder(model, processor, allow_remote_images)
        self.generations = 0
        self._model = model
        self._tokenizer = processor.tokenizer
        self._batch_size = batch_size
        self.prefixes = PrefixStore(model, prefix_bytes)
        self._scorer = TextScorer(self.encoder, self.prefixes)
        self._generator = PrefixCacheGenerator(model, processor.tokenizer, self.prefixes)
        self._memory = {kind: MemoryBound(self.prefixes.release) for kind in ("image", "text")}
        self._grammar: Grammar | None = None
        self._lock = threading.RLock()

    @property
    def calls(self) -> int:
        """Model runs so far: each batched `generate` and each batched scoring pass is one."""
        return self.generations + self._scorer.passes

    @contextmanager
    def counting(self) -> Iterator[PassCounts]:
        """Count the passes of the block, in which no other thread runs the model.

        For scoring alone: a streamed generation runs in a thread of its own and would wait for
        the block.
        """
        counts = PassCounts()
        with self._lock:
            passes, reused = self.calls, self._scorer.reused_tokens
            try:
                yield counts
            finally:
                counts.passes = self.calls - passes
                counts.reused_tokens = self._scorer.reused_tokens - reused

    def encode(self, messages: Sequence[Messages], features: GivenFeatures) -> list[EncodedPrompt]:
        """Prompts of many conversations; see `PromptEncoder.encode`.

        One conversation object that is given repeatedly is encoded once.

        Raises:
            QuestionRefused: not as many features as conversations, or a refused conversation.
        """
        given = features or [None] * len(messages)
        if len(given) != len(messages):
            raise QuestionRefused(
                f"{len(messages)} conversations and {len(given)} features: give one for each"
            )
        known: dict[tuple[int, int], EncodedPrompt] = {}
        prompts = []
        with self._lock:
            for one, image in zip(messages, given, strict=True):
                key = (id(one), id(image))
                if key not in known:
                    known[key] = self.encoder.encode(one, image)
                prompts.append(known[key])
        return prompts

    def generate(
        self,
        prompts: Sequence[EncodedPrompt],
        decoding: DecodingSettings,
        schema: dict[str, Any] | None = None,
        limits: Sequence[int] | None = None,
    ) -> list[Generated]:
        """Answer prompts, a batch at a time.

        Args:
            prompts: what `encode` made.
            decoding: how to choose tokens.
            schema: JSON schema that the answers follow where xgrammar is installed.
            limits: longest answer to each prompt in tokens, where it is less than `decoding` says.

        A batch that does not fit into memory is halved, and the size that did is remembered; what
        is held of earlier prompts is dropped first.

        Raises:
            ModelRefused: not even one prompt fits.
        """
        answers: list[Generated] = []

        caps: Sequence[int | None] = [None] * len(prompts) if limits is None else limits
        asked = list(zip(prompts, caps, strict=True))

        def answered(batch: Sequence[_Asked]) -> list[Generated]:
            self.generations += 1
            return self._generator.generate(
                [prompt for prompt, _ in batch],
                self._constrained(decoding, schema),
                context_tokens=self.encoder.context_tokens,
                limits=[limit for _, limit in batch if limit is not None] or None,
            )

        with self._lock:
            most, memory = self._batch_size, self._memory["image"]
            if all(prompt.features is None for prompt in prompts):
                most *= WITHOUT_IMAGE
                memory = self._memory["text"]
            with refusing_shortage():
                for first in range(0, len(asked), most):
                    parts = memory.run(asked[first : first + most], answered, size=_padded_tokens)
                    answers += flattened(parts)
        return answers

    def stream(
        self,
        messages: Messages,
        features: ImageFeatures | None,
        decoding: DecodingSettings,
        schema: dict[str, Any] | None = None,
    ) -> Iterator[str | Generated]:
        """Answer one conversation piece by piece.

        Yields:
            Pieces of text as they are written, then the whole answer.

        Raises:
            QuestionRefused, ModelRefused: as `encode`; too little memory.
        """
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        left = threading.Event()

        def write() -> Generated:
            try:
                with self._lock, refusing_shortage():
                    prompt = self.encoder.encode(messages, features)
                    self.generations += 1
                    return self._generator.generate(
                        [prompt],
                        self._constrained(decoding, schema),
                        context_tokens=self.encoder.context_tokens,
                        streamer=PieceStreamer(self._tokenizer, decoding.stop, pieces.put),
                        cancelled=left,
                    )[0]
            finally:
                pieces.put(None)

        with ThreadPoolExecutor(max_workers=1) as worker:
            writing = worker.submit(write)
            try:
                while (piece := pieces.get()) is not None:
                    yield piece
                yield writing.result()
            finally:
                left.set()  # the caller may have stopped reading: stop generation

    def score(
        self,
        items: Sequence[tuple[Messages, str]],
        features: GivenFeatures,
        *,
        ending: bool = False,
    ) -> list[TextScore]:
        """Score texts as assistant turns; see `TextScorer.score`."""
        with self._lock, refusing_shortage():
            prompts = self.encode([messages for messages, _ in items], features)
            texts = [text for _, text in items]
            return self._scorer.score(list(zip(prompts, texts, strict=True)), ending=ending)

    def _constrained(
        self, decoding: DecodingSettings, schema: dict[str, Any] | None
    ) -> DecodingSettings:
        """Add a fresh grammar processor, where there is a schema and xgrammar."""
        if schema is None or not Grammar.available():
            return decoding
        if self._grammar is None:
            vocabulary = self._model.config.get_text_config().vocab_size
            self._grammar = Grammar(self._tokenizer, vocabulary)
        grammar = self._grammar.processor(schema)
        return replace(decoding, processors=(*decoding.processors, grammar))


@contextmanager
def refusing_shortage() -> Iterator[None]:
    """Turn a shortage of memory that no smaller batch remedies into a refusal.

    Raises:
        ModelRefused: in one line, without what the library says: it may name what was asked.
    """
    try:
        yield
    except (MemoryError, OutOfMemory, RuntimeError) as error:
        if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
            raise
        raise ModelRefused(
            "the model does not fit into memory with this question and image, one at a time: free "
            "memory, or use another device, bfloat16, a device map or a smaller image"
        ) from error


def _padded_tokens(batch: Sequence[_Asked]) -> int:
    return len(batch) * max(len(prompt.ids) for prompt, _ in batch)
