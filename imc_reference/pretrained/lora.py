"""Low-rank changes of the query and value projections (Hu et al., LoRA, ICLR 2022).

y = W x + (ALPHA / rank) * B A x, with W frozen; A drawn, B zero at the start, so that training
begins at the pretrained model itself. They are merged into the weights at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

ALPHA = 32.0
"""Scale of the change at rank 1; the update's size then does not depend on the rank much."""
CHANGED = ("q_proj", "v_proj")
Tensors = dict[str, torch.Tensor]


class LowRankLinear(nn.Module):
    """A frozen linear layer with a trainable change of low rank."""

    def __init__(self, base: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.scale = ALPHA / rank
        drawn = torch.randn(rank, base.in_features, generator=generator) / base.in_features**0.5
        self.down = nn.Parameter(drawn)
        """A, (rank, inputs)."""
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        """B, (outputs, rank)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        low = nn.functional.linear(inputs, self.down)
        changed: torch.Tensor = self.base(inputs) + self.scale * nn.functional.linear(low, self.up)
        return changed


def add_low_rank(model: LlavaForConditionalGeneration, rank: int, seed: int) -> None:
    """Freeze the model but its projector, and put a change into every layer's `CHANGED`."""
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    for _, layer, name in _places(model):
        setattr(layer, name, LowRankLinear(getattr(layer, name), rank, generator))


def merge_low_rank(model: LlavaForConditionalGeneration, parts: Tensors, rank: int) -> None:
    """Add the changes of `parts` to the weights of a model without them, and set its projector.

    Args:
        model: plain, as `assembled` makes it.
        parts: of `trained_parts`, of any floating format; used in float32.
        rank: of the changes.

    Raises:
        KeyError, RuntimeError: they are not of this model.
    """
    projector = {
        name.removeprefix("projector."): value.float()
        for name, value in parts.items()
        if name.startswith("projector.")
    }
    model.model.multi_modal_projector.load_state_dict(projector)
    with torch.no_grad():
        for number, layer, name in _places(model):
            up, down = (parts[f"layers.{number}.{name}.{side}"] for side in ("up", "down"))
            weight = getattr(layer, name).weight
            weight += (ALPHA / rank) * (up.float() @ down.float()).to(weight)


def trainable(model: LlavaForConditionalGeneration) -> Tensors:
    """The parameters that are trained, by the names of the parts' file; the model's own tensors."""
    projector = model.model.multi_modal_projector.named_parameters()
    found = {f"projector.{name}": value for name, value in projector}
    for number, layer, name in _places(model):
        change = getattr(layer, name)
        found[f"layers.{number}.{name}.down"] = change.down
        found[f"layers.{number}.{name}.up"] = change.up
    return found


def _places(model: LlavaForConditionalGeneration) -> Iterator[tuple[int, nn.Module, str]]:
    """Layer number, the attention that holds the projection, and the projection's name."""
    for number, layer in enumerate(model.model.language_model.layers):
        for name in CHANGED:
            yield number, layer.self_attn, name
