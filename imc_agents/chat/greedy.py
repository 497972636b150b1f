"""Greedy decoding of a batch that goes on from computed beginnings of its prompts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from imc_agents.chat.decoding import Generated, PieceStreamer, as_generated, ending_ids
from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.prefix_store import Prefix, cache_of

__all__ = ["greedy_answers"]


@torch.no_grad()
def greedy_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[EncodedPrompt],
    prefixes: Sequence[Prefix],
    longest: Sequence[int],
    *,
    streamer: PieceStreamer | None = None,
    cancelled: threading.Event | None = None,
) -> list[Generated]:
    """The most probable token after the other; a finished answer is removed from the batch.

    Args:
        model: the model.
        tokenizer: decodes the answers.
        prompts: the prompts, of any lengths.
        prefixes: the computed beginning of each, all of one length.
        longest: most tokens of each answer.
        streamer: receives the text while it is written (one prompt only).
        cancelled: set from outside to end early.

    Returns:
        One `Generated` per prompt, in order.

    Raises:
        ModelRefused: the model's scores are not finite.
    """
    common, endings = prefixes[0].length, ending_ids(model)
    cache = cache_of(prefixes)
    ids, mask = _suffixes(prompts, common)
    begins = mask.new_tensor([prefix.position for prefix in prefixes])[:, None]
    # padding gets the position before the first, which nothing attends to
    positions = begins + mask[:, common:].cumsum(1) - 1
    written: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    live = list(range(len(prompts)))
    if streamer is not None:
        streamer.put(prompts[0].ids)
    while True:
        logits = model(
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
        if streamer is not None:
            streamer.put(chosen)
        if cancelled is not None and cancelled.is_set():
            break
        going = [
            place
            for place, row in enumerate(live)
            if written[row][-1] not in endings and len(written[row]) < longest[row]
        ]
        if not going:
            break
        positions = positions[:, -1:] + 1
        if len(going) < len(live):
            kept = torch.tensor(going)  # on the CPU: layers may lie on several devices
            cache.batch_select_indices(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
            live = [live[place] for place in going]
        ids = chosen
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
    if streamer is not None:
        streamer.end()
    return [
        as_generated(tokenizer, prompt, tokens, values, endings)
        for prompt, tokens, values in zip(prompts, written, logprobs, strict=True)
    ]


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
