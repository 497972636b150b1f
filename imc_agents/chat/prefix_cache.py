"""Generation from many prompts with a common prefix: its keys and values are computed once.

Prompts about one image are the same up to the image's end, which is most of their tokens; prompts
of one agent are the same up to the question. The prefix is computed once (once for each image of a
batch), its keys and values are repeated for the prompts, and only the suffix of each is computed
apart. A finished answer is removed from the batch. The prefix is held for later questions on the
image, and to the agent (`imc_agents.chat.prefix_store`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from imc_agents.chat.decoding import (
    DecodingSettings,
    Generated,
    PieceStreamer,
    generate_texts,
)
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.greedy import greedy_answers
from imc_agents.chat.prefix_store import Continuation, Prefix, PrefixStore, cache_of, positions_read
from imc_agents.chat.text_passes import log_probabilities
from imc_agents.chat.token_tree import is_windowed, supports_trees
from imc_agents.chat.verified_fast_path import Logprobs, VerifiedFastPath

__all__ = ["PrefixCacheGenerator"]

_MIN_TOKENS_SAVED = 256
"""Least number of tokens saved; the additional pass over the prefixes costs about as much."""
_MIN_TOKENS_HELD = 32
"""Least length of a beginning that is computed apart for prompts that may come later."""
_TOKENS_TRIED = 8
"""Tokens of a first answer that are computed again from the cache, to compare."""
_MIN_PROMPTS = 8
"""Least number of prompts without an image: from here on removing finished answers saves time,
however short the common prefix."""
_PLAIN_GENERATION = {
    "_from_model_config",
    "bos_token_id",
    "do_sample",
    "eos_token_id",
    "max_length",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "use_cache",
}
"""Generation settings of a checkpoint that greedy decoding ignores, or that are respected here."""


class PrefixCacheGenerator:
    """Generates answers with a shared prefix cache, where that gives the same results.

    That is verified once for prompts with an image and once for those without: in a batch, on the
    first prompts that would share one; for prompts that come alone, when the second with the same
    beginning comes: the first answer's first tokens are computed again from what is held.

    Args:
        model: takes `mm_encoder_outputs`.
        tokenizer: decodes the answers.
        prefixes: holds the beginnings of its prompts for those that come later.
    """

    def __init__(self, model: Any, tokenizer: Any, prefixes: PrefixStore | None = None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._prefixes = prefixes if prefixes is not None else PrefixStore(model)
        self._paths = {
            name: VerifiedFastPath() for name in ("image", "text", "image alone", "text alone")
        }

    def generate(
        self,
        prompts: Sequence[EncodedPrompt],
        settings: DecodingSettings,
        *,
        context_tokens: int | None = None,
        limits: Sequence[int] | None = None,
        streamer: PieceStreamer | None = None,
        cancelled: threading.Event | None = None,
    ) -> list[Generated]:
        """Generate an answer to each prompt, as `generate_texts` does.

        Args:
            prompts: of one batch.
            settings: how to choose tokens; no prefix is shared with sampling, grammars, stop
                texts or time limits.
            context_tokens: the model's limit; caps `max_new_tokens`.
            limits: longest answer to each prompt, where it is less than `max_new_tokens`.
            streamer: receives the text while it is written (one prompt only).
            cancelled: set from outside to end early.

        Returns:
            One `Generated` per prompt, in order.
        """
        most = limits if limits is not None else [settings.max_new_tokens] * len(prompts)
        found: dict[int, Generated] = {}
        work = _Work(settings, context_tokens, streamer, cancelled)
        if _is_greedy(settings):
            for common, members in self._groups(prompts):
                some = [prompts[index] for index in members]
                caps = [most[index] for index in members]
                if len(members) == 1:
                    found[members[0]] = self._single(some[0], common, caps[0], work)
                elif self._path_agrees(some, common, caps, work):
                    answers = self._shared(some, common, caps, work)
                    found.update(zip(members, answers, strict=True))
        left = [index for index in range(len(prompts)) if index not in found]
        if left:
            answers = self._plain(
                [prompts[index] for index in left], [most[index] for index in left], work
            )
            found.update(zip(left, answers, strict=True))
        return [found[index] for index in range(len(prompts))]

    def _plain(
        self,
        prompts: Sequence[EncodedPrompt],
        limits: Sequence[int],
        work: _Work,
        on_cache: Callable[[Any], None] | None = None,
    ) -> list[Generated]:
        return generate_texts(
            self._model,
            self._tokenizer,
            prompts,
            work.settings,
            context_tokens=work.context_tokens,
            streamer=work.streamer,
            cancelled=work.cancelled,
            limits=limits,
            on_cache=on_cache,
        )

    def _groups(self, prompts: Sequence[EncodedPrompt]) -> list[tuple[int, list[int]]]:
        """Groups of prompts with a common prefix: its length in tokens, and the prompts' indices.

        The prefix ends with the image or with what does not depend on the question; for prompts
        without an image in a batch, where they differ. Only groups for which sharing saves more
        than it costs, and single prompts whose beginning may serve a later one.
        """
        image_token = self._model.config.image_token_id
        groups: dict[tuple[int, ...], list[int]] = {}
        texts: list[int] = []
        for index, prompt in enumerate(prompts):
            common = prompt.split(image_token)
            if prompt.features is None and len(prompts) >= _MIN_PROMPTS:
                if common:
                    texts.append(index)
            elif common:
                groups.setdefault(tuple(prompt.ids[:common].tolist()), []).append(index)
        worthwhile = []
        for prefix, members in groups.items():
            different = len({id(prompts[index].features) for index in members})
            if len(prompts) == 1:
                gain = len(prefix) >= _MIN_TOKENS_HELD
            else:
                gain = (len(members) - different) * len(prefix) >= _MIN_TOKENS_SAVED
            if gain:
                worthwhile.append((len(prefix), members))
        if len(texts) >= _MIN_PROMPTS:
            common = _common_length([prompts[index] for index in texts])
            if common:
                worthwhile.append((common, texts))
        return worthwhile

    def _path_agrees(
        self, prompts: Sequence[EncodedPrompt], common: int, limits: Sequence[int], work: _Work
    ) -> bool:
        """Whether answers with a shared prefix are those of plain generation; verified once."""
        path = self._paths["text" if prompts[0].features is None else "image"]
        if not self._supports_sharing(path, prompts, limits):
            return False
        tried = _representative(prompts)
        some = [prompts[index] for index in tried]
        caps = [limits[index] for index in tried]
        return path.verify(
            lambda: _logprobs_by_answer(self._shared(some, common, caps, work)),
            lambda: _logprobs_by_answer(self._plain(some, caps, work)),
        )

    def _single(self, prompt: EncodedPrompt, common: int, limit: int, work: _Work) -> Generated:
        """The answer to a prompt that came alone.

        The first with its beginning is answered by plain generation, as by the bare model; what
        that has computed of the beginning is held for the next one.
        """
        path = self._paths["text alone" if prompt.features is None else "image alone"]
        if not self._supports_sharing(path, [prompt], [limit]):
            return self._plain([prompt], [limit], work)[0]
        beginning = prompt.beginning(common)
        held = self._prefixes.held(beginning)
        if held is not None and self._goes_on(path, *held):
            return self._shared([prompt], common, [limit], work)[0]
        kept: list[Any] = []
        with positions_read(self._model) as positions:
            (answer,) = self._plain([prompt], [limit], work, kept.append)
        tried = answer.token_ids[:_TOKENS_TRIED]
        after = (*prompt.ids[common:].tolist(), *tried)
        known = Continuation(after, len(tried), answer.token_logprobs[: len(tried)])
        self._prefixes.keep(beginning, kept[0], positions[0], known)
        return answer

    def _goes_on(self, path: VerifiedFastPath, prefix: Prefix, known: Continuation | None) -> bool:
        """Whether answers go on from what is held as they do in whole passes; verified once.

        Not before it is known how a whole pass has gone on.
        """
        if path.agrees is None and known is not None:
            return path.verify(lambda: {0: self._after(prefix, known)}, lambda: {0: known.logprobs})
        return bool(path.agrees)

    @torch.no_grad()
    def _after(self, prefix: Prefix, known: Continuation) -> list[float]:
        """Log-probabilities of an answer's first tokens, from its prompt's beginning."""
        ids = torch.tensor([known.ids[:-1]], device=self._model.device)
        logits = self._model(
            input_ids=ids,
            attention_mask=ids.new_ones(1, prefix.length + ids.shape[1]),
            position_ids=prefix.position + torch.arange(ids.shape[1], device=ids.device)[None],
            past_key_values=cache_of([prefix]),
            use_cache=True,
            logits_to_keep=known.written,
        ).logits[0]
        return log_probabilities(logits, known.ids[-known.written :])

    def _supports_sharing(
        self, path: VerifiedFastPath, prompts: Sequence[EncodedPrompt], limits: Sequence[int]
    ) -> bool:
        """Whether attention and decoding are of the kinds that `_shared` implements.

        A checkpoint's own decoding rules the path out for good, an attention window that is shorter
        than prompt and answer for these prompts alone.
        """
        if path.agrees is None:
            own_settings = self._model.generation_config.to_diff_dict().keys()
            if not own_settings <= _PLAIN_GENERATION:
                path.rule_out()
        longest = max(len(one.ids) + limit for one, limit in zip(prompts, limits, strict=True))
        return (
            path.agrees is not False
            and supports_trees(self._model, longest)
            and not is_windowed(self._model, longest)
        )

    def _shared(
        self,
        prompts: Sequence[EncodedPrompt],
        common: int,
        limits: Sequence[int],
        work: _Work,
    ) -> list[Generated]:
        """Greedy answers to prompts with the same first `common` tokens."""
        longest = [
            work.longest(prompt, limit) for prompt, limit in zip(prompts, limits, strict=True)
        ]
        return greedy_answers(
            self._model,
            self._tokenizer,
            prompts,
            self._prefix_cache(prompts, common),
            longest,
            streamer=work.streamer,
            cancelled=work.cancelled,
        )

    def _prefix_cache(self, prompts: Sequence[EncodedPrompt], common: int) -> list[Prefix]:
        """The first `common` tokens of each prompt, computed once for each different image."""
        return self._prefixes.get([prompt.beginning(common) for prompt in prompts])


@dataclass(frozen=True)
class _Work:
    """What the answers of one call have in common."""

    settings: DecodingSettings
    context_tokens: int | None
    streamer: PieceStreamer | None = None
    cancelled: threading.Event | None = None

    def longest(self, prompt: EncodedPrompt, limit: int) -> int:
        """Longest answer to a prompt, in tokens."""
        most = min(self.settings.max_new_tokens, limit)
        if self.context_tokens is not None:
            most = min(most, self.context_tokens - len(prompt.ids))
        return max(1, most)


def _is_greedy(settings: DecodingSettings) -> bool:
    """Whether decoding takes the most probable token until an ending token or the length limit."""
    return (
        settings.temperature <= 0
        and not settings.stop
        and not settings.processors
        and settings.max_seconds is None
    )


def _representative(prompts: Sequence[EncodedPrompt]) -> list[int]:
    """The shortest and the longest prompt and one with another image: padding and order matter."""
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
    first = prompts[by_length[0]].features
    others = (index for index in by_length if prompts[index].features is not first)
    return [by_length[0], next(others, by_length[1]), by_length[-1]]


def _common_length(prompts: Sequence[EncodedPrompt]) -> int:
    """Length of the common prefix in tokens; at least one token is left to each as its suffix."""
    shortest = min(len(prompt.ids) for prompt in prompts) - 1
    prefixes = torch.stack([prompt.ids[:shortest] for prompt in prompts])
    return int((prefixes == prefixes[0]).all(dim=0).cumprod(dim=0).sum())


def _logprobs_by_answer(answers: Sequence[Generated]) -> Logprobs:
    """Log-probabilities of each answer's tokens, by row and tokens."""
    return {(row, answer.token_ids): answer.token_logprobs for row, answer in enumerate(answers)}
