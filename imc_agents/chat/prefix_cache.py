"""Answers to many prompts that begin alike: the beginning is computed once.

Prompts about one image are the same up to the image's end, and the image is most of them; those of
one agent are the same up to the question. That beginning goes through the model once (once for
each image of a batch); its keys and values are repeated for the prompts, and of each only the rest
is read. A finished answer leaves the batch.
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

_WORTH_SHARING = 256
"""Tokens saved; the beginnings' own pass costs about as much."""
_WORTH_LEAVING = 8
"""Prompts without an image from which it pays that finished answers leave, however short the
beginning that they share."""
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
"""Generation settings of a checkpoint that greedy decoding does not heed, or heeds here, too."""


class PrefixCacheGenerator:
    """Writes the answers of one model, sharing beginnings where it gives the same that way.

    Whether it does is tried once with images and once without, on the first prompts to gain by it.

    Args:
        model: takes `mm_encoder_outputs`.
        tokenizer: decodes the answers.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._ways = {"image": VerifiedFastPath(), "text": VerifiedFastPath()}

    def generate(
        self,
        prompts: Sequence[EncodedPrompt],
        settings: DecodingSettings,
        *,
        context_tokens: int | None = None,
    ) -> list[Generated]:
        """Write an answer to each prompt, as `generate_texts` does.

        Args:
            prompts: of one batch.
            settings: how to choose tokens; sampling, grammars, stop texts and time limits leave
                nothing to share.
            context_tokens: the model's limit; caps `max_new_tokens`.

        Returns:
            One `Generated` per prompt, in order.
        """
        found: dict[int, Generated] = {}
        if _is_greedy(settings):
            for begin, members in self._alike(prompts):
                some = [prompts[index] for index in members]
                if self._may_share(some, begin, settings, context_tokens):
                    answers = self._shared(some, begin, settings, context_tokens)
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

    def _alike(self, prompts: Sequence[EncodedPrompt]) -> list[tuple[int, list[int]]]:
        """Prompts that begin with the same tokens, by index, and how many tokens those are.

        Up to the image's end, or as far as those without an image agree; only where sharing saves
        more than it costs.
        """
        image_token = self._model.config.image_token_id
        groups: dict[tuple[int, ...], list[int]] = {}
        texts: list[int] = []
        for index, prompt in enumerate(prompts):
            if prompt.per_token:
                continue  # token types: what a token attends to may depend on the whole prompt
            if prompt.features is None:
                texts.append(index)
                continue
            places = (prompt.ids == image_token).nonzero()
            begin = int(places[-1]) + 1 if len(places) else 0
            if 0 < begin < len(prompt.ids):
                groups.setdefault(tuple(prompt.ids[:begin].tolist()), []).append(index)
        alike = [
            (len(beginning), members)
            for beginning, members in groups.items()
            if (len(members) - len({id(prompts[index].features) for index in members}))
            * len(beginning)
            >= _WORTH_SHARING
        ]
        if len(texts) >= _WORTH_LEAVING:
            begin = _in_common([prompts[index] for index in texts])
            if begin:
                alike.append((begin, texts))
        return alike

    def _may_share(
        self,
        prompts: Sequence[EncodedPrompt],
        begin: int,
        settings: DecodingSettings,
        context_tokens: int | None,
    ) -> bool:
        """Whether the answers to some of these prompts are those of whole passes."""
        way = self._ways["text" if prompts[0].features is None else "image"]
        if way.agrees is None and not self._may_agree():
            way.rule_out()
        some = _telling(prompts)
        return way.holds(
            lambda: _told(self._shared(some, begin, settings, context_tokens)),
            lambda: _told(
                generate_texts(
                    self._model, self._tokenizer, some, settings, context_tokens=context_tokens
                )
            ),
        )

    def _may_agree(self) -> bool:
        """Neither positions, attention nor decoding are more than the loop below knows."""
        config = self._model.config.get_text_config()
        own_settings = self._model.generation_config.to_diff_dict().keys()
        return (
            not hasattr(self._model.base_model, "rope_deltas")  # state of the prompt seen last
            and getattr(config, "sliding_window", None) is None
            and own_settings <= _PLAIN_GENERATION
        )

    @torch.no_grad()
    def _shared(
        self,
        prompts: Sequence[EncodedPrompt],
        begin: int,
        settings: DecodingSettings,
        context_tokens: int | None,
    ) -> list[Generated]:
        """Greedy answers to prompts whose first `begin` tokens are the same."""
        endings = ending_ids(self._model)
        room = [
            settings.max_new_tokens if context_tokens is None else context_tokens - len(prompt.ids)
            for prompt in prompts
        ]
        longest = [max(1, min(settings.max_new_tokens, one)) for one in room]
        cache = self._beginnings(prompts, begin)
        ids, mask = _rests(prompts, begin)
        positions = (mask.cumsum(1) - 1)[:, begin:]
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

    def _beginnings(self, prompts: Sequence[EncodedPrompt], begin: int) -> Any:
        """Keys and values of the first `begin` tokens of each prompt, computed once an image."""
        different = {
            id(prompt.features): replace(prompt, ids=prompt.ids[:begin]) for prompt in prompts
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
    """The most probable token is taken until the model ends or the answer is long enough."""
    return (
        settings.temperature <= 0
        and not settings.stop
        and not settings.processors
        and settings.max_seconds is None
    )


def _rests(prompts: Sequence[EncodedPrompt], begin: int) -> tuple[Tensor, Tensor]:
    """Token ids after the first `begin`, (batch, longest), padded on the left, so that all end
    together; and the mask over both, (batch, begin + longest)."""
    rests = [prompt.ids[begin:] for prompt in prompts]
    longest = max(len(rest) for rest in rests)
    ids = rests[0].new_zeros(len(rests), longest)
    mask = rests[0].new_ones(len(rests), begin + longest)
    for row, rest in enumerate(rests):
        ids[row, longest - len(rest) :] = rest
        mask[row, begin : begin + longest - len(rest)] = 0
    return ids, mask


def _telling(prompts: Sequence[EncodedPrompt]) -> list[EncodedPrompt]:
    """The shortest and the longest, and one about another image: padding and order both count."""
    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    first = by_length[0]
    other = next((p for p in prompts if p.features is not first.features), by_length[1])
    return [first, other, by_length[-1]]


def _in_common(prompts: Sequence[EncodedPrompt]) -> int:
    """How many tokens all of them begin with; one at least is left to each as its rest."""
    shortest = min(len(prompt.ids) for prompt in prompts) - 1
    beginnings = torch.stack([prompt.ids[:shortest] for prompt in prompts])
    return int((beginnings == beginnings[0]).all(dim=0).cumprod(dim=0).sum())


def _told(answers: Sequence[Generated]) -> Logprobs:
    """Each answer's tokens with what they were worth."""
    return {(row, answer.token_ids): answer.token_logprobs for row, answer in enumerate(answers)}
