"""The tokens that a processor puts into a prompt for an image, recorded once for each image size.

A processor resizes and normalises an image to produce them. With precomputed features the pixels
are not used, and the tokens depend on the image's size alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from imc_agents.chat.encoded_prompt import EncodedPrompt

__all__ = ["ImageSlots"]

_SIZES_HELD = 256
Size = tuple[int, int]
"""(height, width) of an image in pixels."""


@dataclass(frozen=True)
class _Slot:
    """The tokens of an image of one size, from one prompt, and whether a second confirmed them."""

    placeholder: int
    """Id of the image token in an unexpanded prompt."""
    tokens: torch.Tensor
    """Tokens that replace it, shape (tokens,)."""
    example: EncodedPrompt
    """A prompt with such an image; its inputs per image hold for every prompt of that size."""
    confirmed: bool


class ImageSlots:
    """Expands image tokens as the processor does, for sizes that two prompts have confirmed."""

    def __init__(self) -> None:
        self._slots: OrderedDict[Size, _Slot] = OrderedDict()

    def filled(self, ids: Sequence[int], size: Size) -> EncodedPrompt | None:
        """The prompt of these tokens with its image token expanded; None for an unconfirmed size.

        Args:
            ids: tokens of the prompt, with a placeholder for its only image.
            size: of the image.
        """
        slot = self._slots.get(size)
        if slot is None or not slot.confirmed or ids.count(slot.placeholder) != 1:
            return None
        self._slots.move_to_end(size)
        return replace(slot.example, ids=_filled(ids, slot))

    def record(
        self, ids: Sequence[int], placeholder: int | None, size: Size, prompt: EncodedPrompt
    ) -> None:
        """Record the processor's expansion.

        Args:
            ids: tokens of the prompt, with a placeholder for its only image.
            placeholder: id of that.
            size: of the image.
            prompt: the same prompt from the processor. Where it has values for every token, they
                are unknown for other prompts, and nothing is recorded.
        """
        if placeholder is None or ids.count(placeholder) != 1 or prompt.per_token:
            return
        known = self._slots.get(size)
        if known is not None:
            same = torch.equal(_filled(ids, known), prompt.ids)
            if not same:
                del self._slots[size]
            else:
                self._slots[size] = replace(known, confirmed=True)
            return
        before = ids.index(placeholder)
        after = len(ids) - before - 1
        end = len(prompt.ids) - after
        if end > before:
            self._slots[size] = _Slot(placeholder, prompt.ids[before:end], prompt, confirmed=False)
            if len(self._slots) > _SIZES_HELD:
                self._slots.popitem(last=False)


def _filled(ids: Sequence[int], slot: _Slot) -> torch.Tensor:
    place = ids.index(slot.placeholder)
    before, after = (slot.tokens.new_tensor(part) for part in (ids[:place], ids[place + 1 :]))
    return torch.cat([before, slot.tokens, after])
