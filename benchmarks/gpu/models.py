"""Models of the sizes that people bring, with random weights, made on the device from their
configuration; tokenizer and processor are those of `tests.tiny_models`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import AutoModelForImageTextToText

Size = Literal["7b", "tiny"]
IMAGE_SIDE: Mapping[Size, int] = {"7b": 336, "tiny": 112}
"""Pixels along each side of the pictures that are asked about."""
_QWEN_TOKENS = 1280
"""Most tokens of an image of Qwen2.5-VL, as a user would set `max_pixels`."""


@dataclass(frozen=True)
class Recipe:
    """One family, and what of its tiny model's configuration is enlarged."""

    family: str
    """Of `tests.tiny_models`."""
    name: str
    vision: Mapping[str, Any]
    text: Mapping[str, Any]


LLAVA = Recipe(
    "llava_576",
    "LLaVA",
    {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "initializer_range": 0.02,
    },
    {
        "vocab_size": 32_064,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 4096,
        "initializer_range": 0.02,
    },
)
"""CLIP-L at 336 pixels (24 blocks of 1,024 channels) before 32 layers of 4,096."""
QWEN = Recipe(
    "qwen2_5_vl",
    "Qwen2.5-VL",
    {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "out_hidden_size": 3584,
        "initializer_range": 0.02,
    },
    {
        "vocab_size": 152_064,
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "max_position_embeddings": 32_768,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [16, 24, 24],
            "rope_theta": 1_000_000.0,
        },
        "initializer_range": 0.02,
    },
)
"""32 blocks of 1,280 channels before 28 layers of 3,584."""


def build(
    recipe: Recipe, size: Size, device: torch.device, seed: int, *, language: bool = True
) -> tuple[Any, Any]:
    """A model and its processor; no answer ends before its limit of tokens.

    Args:
        recipe: the family.
        size: `7b`, in bfloat16, or `tiny`, in float32.
        device: where the weights are drawn.
        seed: of the weights; a CPU and a GPU draw other ones.
        language: False: LLaVA's language model stays tiny, to measure the vision tower alone.
    """
    from tests.tiny_models import build_tiny

    tiny = build_tiny(recipe.family)
    values, processor = tiny.model.config.to_dict(), copy.deepcopy(tiny.processor)
    if size == "7b":
        values["vision_config"] |= recipe.vision
        if language:
            values["text_config"].pop("layer_types", None)  # of two layers
            values["text_config"] |= recipe.text
        if recipe is QWEN:
            area = processor.image_processor.size["shortest_edge"]
            processor.image_processor.size = {
                "shortest_edge": area,
                "longest_edge": _QWEN_TOKENS * area,
            }
    torch.manual_seed(seed)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(
            type(tiny.model.config).from_dict(values),
            dtype=torch.bfloat16 if size == "7b" else torch.float32,
        )
    model.generation_config = copy.deepcopy(tiny.model.generation_config)
    model.generation_config.eos_token_id = None
    return model.eval(), processor


def weight_bytes(model: Any) -> int:
    """Memory of a model's weights and buffers."""
    held = [*model.parameters(), *model.buffers()]
    return sum(one.numel() * one.element_size() for one in held)
