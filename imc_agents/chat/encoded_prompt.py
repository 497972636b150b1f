"""A prompt as inputs of the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["EncodedPrompt"]


@dataclass(frozen=True)
class EncodedPrompt:
    """One prompt, ready for the language model.

    Attributes:
        ids: token ids, shape (tokens,).
        per_token: further inputs with one value a token (`token_type_ids`, ...), shape (tokens,).
        written: for each of `per_token`, the value that tokens written after the prompt take.
        per_image: further inputs with one row an image (`image_grid_thw`, `image_sizes`, ...).
        features: the encoder's output for the prompt's images; None without images.
        key: equal for equal prompts; says which items share a prefix.
    """

    ids: Tensor
    per_token: dict[str, Tensor]
    written: dict[str, int]
    per_image: dict[str, Tensor]
    features: Any
    key: tuple[str, str]
