"""What a processor puts into a prompt in the place of an image, learned once for each size.

To know it, a processor sizes and normalises an image. With precomputed features the pixels are
never looked at, and the tokens depend on the image's size alone.
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
    """The tokens of an image of one size, seen in one prompt and perhaps in a second one."""

    placeholder: int
    """Id that stands for it in a prompt that no processor expanded."""
    tokens: torch.Tensor
    """What takes its place, shape (tokens,)."""
    example: EncodedPrompt
    """A prompt with such an image: its inputs for each image are those of any other."""
    confirmed: bool


class ImageSlots:
    """Fills images' places as the processor does; two prompts of a size have shown it how."""

    def __init__(self) -> None:
        self._slots: OrderedDict[Size, _Slot] = OrderedDict()

    def filled(self, ids: Sequence[int], size: Size) -> EncodedPrompt | None:
        """The prompt of these tokens with its image's place filled; None where it is not known how.

        Args:
            ids: tokens of the prompt, with a placeholder for its only image.
            size: of the image.
        """
        slot = self._slots.get(size)
        if slot is None or not slot.confirmed or ids.count(slot.placeholder) != 1:
            return None
        self._slots.move_to_end(size)
        return replace(slot.example, ids=_filled(ids, slot))

    def learn(
        self, ids: Sequence[int], placeholder: int | None, size: Size, prompt: EncodedPrompt
    ) -> None:
        """Take note of what the processor made.

        Args:
            ids: tokens of the prompt, with a placeholder for its only image.
            placeholder: id of that.
            size: of the image.
            prompt: the same prompt from the processor. Where it has values for every token, they
                cannot be known for other prompts, and nothing is learned.
        """
        if placeholder is None or ids.count(placeholder) != 1 or prompt.per_token:
            return
        known = self._slots.get(size)
        if known is not None:
            alike = torch.equal(_filled(ids, known), prompt.ids)
            if not alike:
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
