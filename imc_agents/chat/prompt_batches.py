"""Prompts of different lengths as one batch of model inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from imc_agents.chat.encoded_prompt import EncodedPrompt

__all__ = ["merge_features", "stack_prompts"]


def merge_features(outputs: Sequence[Any]) -> Any:
    """Join encoder outputs of several prompts, in the container type their model uses.

    Args:
        outputs: `BaseModelOutputWithPooling`s; `pooler_output` a tensor (images, tokens, dim) or a
            list of (tokens, dim); `deepstack_features`, where present, one such entry a layer.

    Returns:
        One output for the whole batch; the very object when there is only one.
    """
    if len(outputs) == 1:
        return outputs[0]

    def join(parts: Sequence[Any]) -> Any:
        if all(isinstance(part, Tensor) for part in parts):
            return torch.cat(list(parts), dim=0)
        return [image for part in parts for image in part]

    merged = {"pooler_output": join([output.pooler_output for output in outputs])}
    layers = getattr(outputs[0], "deepstack_features", None)
    if layers is not None:
        merged["deepstack_features"] = [
            join([output.deepstack_features[layer] for output in outputs])
            for layer in range(len(layers))
        ]
    return type(outputs[0])(**merged)


def stack_prompts(
    prompts: Sequence[EncodedPrompt],
    tails: Sequence[Tensor] | None = None,
    *,
    pad_id: int,
    side: Literal["left", "right"],
) -> dict[str, Any]:
    """Pad prompts, each followed by its tail, into one batch of model inputs.

    Args:
        prompts: the prompts.
        tails: token ids to append to each, shape (tail tokens,); None for none.
        pad_id: id written into the padding.
        side: where the padding goes; left to generate, right to score.

    Returns:
        `input_ids` and `attention_mask`, (batch, tokens), and the prompts' further inputs;
        `mm_encoder_outputs` holds the images of the whole batch, in reading order.
    """
    rows = [p.ids if tails is None else torch.cat([p.ids, tails[i]]) for i, p in enumerate(prompts)]
    longest = max(len(row) for row in rows)

    def padded(row: Tensor, fill: int) -> Tensor:
        padding = row.new_full((longest - len(row),), fill)
        return torch.cat([padding, row] if side == "left" else [row, padding])

    inputs: dict[str, Any] = {
        "input_ids": torch.stack([padded(row, pad_id) for row in rows]),
        "attention_mask": torch.stack([padded(torch.ones_like(row), 0) for row in rows]),
    }
    for name in {name for prompt in prompts for name in prompt.per_token}:
        values = []
        for prompt, row in zip(prompts, rows, strict=True):
            value = prompt.per_token.get(name, torch.zeros_like(prompt.ids))
            after = value.new_full((len(row) - len(value),), prompt.written.get(name, 0))
            values.append(padded(torch.cat([value, after]), 0))
        inputs[name] = torch.stack(values)
    for name in {name for prompt in prompts for name in prompt.per_image}:
        inputs[name] = torch.cat([p.per_image[name] for p in prompts if name in p.per_image])
    outputs = [prompt.features for prompt in prompts if prompt.features is not None]
    if outputs:
        inputs["mm_encoder_outputs"] = {"image": merge_features(outputs)}
    return inputs
