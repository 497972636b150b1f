"""Generation from many prompts with a common prefix: its keys and values are computed once.

Prompts about one image are the same up to the image's end, which is most of their tokens; prompts
of one agent are the same up to the question. The prefix is computed once (once for each image of a
batch), its keys and values are repeated for the prompts, and only the suffix of each is computed
apart. A finished answer is removed from the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from imc_agents.chat.decoding import (
    DecodingSettings,
    Generated,
    as_generated,
    ending_ids,
    generate_texts,
)
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prompt_batches import stack_prompts
from imc_agents.chat.verified_fast_path import Logprobs, VerifiedFastPath

__all__ = ["PrefixCacheGenerator"]

_MIN_TOKENS_SAVED = 256
"""Least number of tokens saved; the additional pass over the prefixes costs about as much."""
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

    That is verified once with images and once without, on the first prompts that would share one.

    Args:
        model: takes `mm_encoder_outputs`.
        tokenizer: decodes the answers.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._paths = {"image": VerifiedFastPath(), "text": VerifiedFastPath()}

    def generate(
        self,
        prompts: Sequence[EncodedPrompt],
        settings: DecodingSettings,
        *,
        context_tokens: int | None = None,
    ) -> list[Generated]:
        """Generate an answer to each prompt, as `generate_texts` does.

        Args:
            prompts: of one batch.
            settings: how to choose tokens; no prefix is shared with sampling, grammars, stop
                texts or time limits.
            context_tokens: the model's limit; caps `max_new_tokens`.

        Returns:
            One `Generated` per prompt, in order.
        """
        found: dict[int, Generated] = {}
        if _is_greedy(settings):
            for common, members in self._groups(prompts):
                some = [prompts[index] for index in members]
                if self._path_agrees(some, common, settings, context_tokens):
                    answers = self._shared(some, common, settings, context_tokens)
                    found.update(zip(members, answers, strict=True))
        left = [index for index in range(len(prompts)) if index not in found]
        if left:
            answers = generate_texts(
                self._model,
                self._tokenizer,
                [prompts[index] for index in left],
                settings,
                context_tokens=context_tokens,
            )
            found.update(zip(left, answers, strict=True))
        return [found[index] for index in range(len(prompts))]

    def _groups(self, prompts: Sequence[EncodedPrompt]) -> list[tuple[int, list[int]]]:
        """Groups of prompts with a common prefix: its length in tokens, and the prompts' indices.

        The prefix ends with the image, or where prompts without an image differ. Only groups for
        which sharing saves more than it costs.
        """
        image_token = self._model.config.image_token_id
        groups: dict[tuple[int, ...], list[int]] = {}
        texts: list[int] = []
        for index, prompt in enumerate(prompts):
            if prompt.per_token:
                continue  # token types: attention may depend on the whole prompt
            if prompt.features is None:
                texts.append(index)
                continue
            places = (prompt.ids == image_token).nonzero()
            common = int(places[-1]) + 1 if len(places) else 0
            if 0 < common < len(prompt.ids):
                groups.setdefault(tuple(prompt.ids[:common].tolist()), []).append(index)
        worthwhile = [
            (len(prefix), members)
            for prefix, members in groups.items()
            if (len(members) - len({id(prompts[index].features) for index in members}))
            * len(prefix)
            >= _MIN_TOKENS_SAVED
        ]
        if len(texts) >= _MIN_PROMPTS:
            common = _common_length([prompts[index] for index in texts])
            if common:
                worthwhile.append((common, texts))
        return worthwhile

    def _path_agrees(
        self,
        prompts: Sequence[EncodedPrompt],
        common: int,
        settings: DecodingSettings,
        context_tokens: int | None,
    ) -> bool:
        """Whether answers with a shared prefix are those of plain generation; verified once."""
        path = self._paths["text" if prompts[0].features is None else "image"]
        if path.agrees is None and not self._supports_sharing():
            path.rule_out()
        some = _representative(prompts)
        return path.verify(
            lambda: _logprobs_by_answer(self._shared(some, common, settings, context_tokens)),
            lambda: _logprobs_by_answer(
                generate_texts(
                    self._model, self._tokenizer, some, settings, context_tokens=context_tokens
                )
            ),
        )

    def _supports_sharing(self) -> bool:
        """Whether positions, attention and decoding are of the kinds that `_shared` implements."""
        config = self._model.config.get_text_config()
        own_settings = self._model.generation_config.to_diff_dict().keys()
        return (
            not hasattr(self._model.base_model, "rope_deltas")  # positions of the last prompt
            and getattr(config, "sliding_window", None) is None
            and own_settings <= _PLAIN_GENERATION
        )

    @torch.no_grad()
    def _shared(
        self,
        prompts: Sequence[EncodedPrompt],
        common: int,
        settings: DecodingSettings,
        context_tokens: int | None,
    ) -> list[Generated]:
        """Greedy answers to prompts with the same first `common` tokens."""
        endings = ending_ids(self._model)
        room = [
            settings.max_new_tokens if context_tokens is None else context_tokens - len(prompt.ids)
            for prompt in prompts
        ]
        longest = [max(1, min(settings.max_new_tokens, one)) for one in room]
        cache = self._prefix_cache(prompts, common)
        ids, mask = _suffixes(prompts, common)
        positions = (mask.cumsum(1) - 1)[:, common:]
        written: list[list[int]] = [[] for _ in prompts]
        logprobs: list[list[float]] = [[] for _ in prompts]
        live = list(range(len(prompts)))
        while True:
            logits = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = logits.float().argmax(dim=-1, keepdim=True)
            values = torch.log_softmax(logits.float(), dim=-1).gather(1, chosen)
            for row, token, value in zip(
                live, chosen[:, 0].tolist(), values[:, 0].tolist(), strict=True
            ):
                written[row].append(token)
                logprobs[row].append(value)
            going = [
                place
                for place, row in enumerate(live)
                if written[row][-1] not in endings and len(written[row]) < longest[row]
            ]
            if not going:
                break
            positions = positions[:, -1:] + 1
            if len(going) < len(live):
                kept = torch.tensor(going, device=ids.device)
                cache.batch_select_indices(kept)
                chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
                live = [live[place] for place in going]
            ids = chosen
            mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        return [
            as_generated(self._tokenizer, prompt, tokens, values, endings)
            for prompt, tokens, values in zip(prompts, written, logprobs, strict=True)
        ]

    def _prefix_cache(self, prompts: Sequence[EncodedPrompt], common: int) -> Any:
        """Keys and values of the first `common` tokens, one row a prompt.

        Computed once for each different image.
        """
        different = {
            id(prompt.features): replace(prompt, ids=prompt.ids[:common]) for prompt in prompts
        }
        cache = self._model(
            **stack_prompts(list(different.values()), pad_id=0, side="right"),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        place = {image: number for number, image in enumerate(different)}
        rows = [place[id(prompt.features)] for prompt in prompts]
        cache.batch_select_indices(torch.tensor(rows, device=self._model.device))
        return cache


def _is_greedy(settings: DecodingSettings) -> bool:
    """Whether decoding takes the most probable token until an ending token or the length limit."""
    return (
        settings.temperature <= 0
        and not settings.stop
        and not settings.processors
        and settings.max_seconds is None
    )


def _suffixes(prompts: Sequence[EncodedPrompt], common: int) -> tuple[Tensor, Tensor]:
    """Token ids after the prefix, left-padded, and the attention mask over prefix and suffix.

    Shapes (batch, longest) and (batch, common + longest).
    """
    suffixes = [prompt.ids[common:] for prompt in prompts]
    longest = max(len(suffix) for suffix in suffixes)
    ids = suffixes[0].new_zeros(len(suffixes), longest)
    mask = suffixes[0].new_ones(len(suffixes), common + longest)
    for row, suffix in enumerate(suffixes):
        ids[row, longest - len(suffix) :] = suffix
        mask[row, common : common + longest - len(suffix)] = 0
    return ids, mask


def _representative(prompts: Sequence[EncodedPrompt]) -> list[EncodedPrompt]:
    """The shortest and the longest prompt and one with another image: padding and order matter."""
    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    first = by_length[0]
    other = next((p for p in prompts if p.features is not first.features), by_length[1])
    return [first, other, by_length[-1]]


def _common_length(prompts: Sequence[EncodedPrompt]) -> int:
    """Length of the common prefix in tokens; at least one token is left to each as its suffix."""
    shortest = min(len(prompt.ids) for prompt in prompts) - 1
    prefixes = torch.stack([prompt.ids[:shortest] for prompt in prompts])
    return int((prefixes == prefixes[0]).all(dim=0).cumprod(dim=0).sum())


def _logprobs_by_answer(answers: Sequence[Generated]) -> Logprobs:
    """Log-probabilities of each answer's tokens, by row and tokens."""
    return {(row, answer.token_ids): answer.token_logprobs for row, answer in enumerate(answers)}
