"""A prompt as inputs of the language model."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        lasting: tokens before the last message's text: prompts that ask something else of the same
            image or of the same agent begin with them. 0 where that is not known.
    """

    ids: Tensor
    per_token: dict[str, Tensor]
    written: dict[str, int]
    per_image: dict[str, Tensor]
    features: Any
    key: tuple[str, str]
    lasting: int = 0

    def beginning(self, tokens: int) -> EncodedPrompt:
        """The prompt cut off after its first `tokens` tokens, which hold all of its images."""
        if tokens == len(self.ids):
            return self
        per_token = {name: values[:tokens] for name, values in self.per_token.items()}
        return replace(self, ids=self.ids[:tokens], per_token=per_token)

    def split(self, image_token: int) -> int:
        """After how many tokens the prompt may be divided: what is before is computed once.

        At the end of what is lasting, or of the images where they come later. 0 where there is no
        such place: the tokens after it must be of the type that written tokens are of (the others
        may attend to what follows them, so that a pass over the beginning alone is another one).

        Args:
            image_token: id of the tokens that images fill.
        """
        at = self.lasting
        if self.features is not None:
            places = (self.ids == image_token).nonzero()
            at = max(at, int(places[-1]) + 1 if len(places) else 0)
        plain = all(
            bool((values[at:] == self.written.get(name, 0)).all())
            for name, values in self.per_token.items()
        )
        return at if plain and at < len(self.ids) else 0
