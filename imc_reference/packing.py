"""Rows of several questions about one image, packed behind a block-diagonal mask.

Each question sees the shared image prefix and itself, with the positions it would have alone, so a
packed question has exactly the logits it has unpacked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from transformers import PreTrainedTokenizerFast

from imc_reference.architecture import IMAGE_TOKENS
from imc_reference.tokenizer import ASSISTANT, BOS, EOS, IMAGE, USER

IGNORE = -100


@dataclass(frozen=True)
class Segment:
    """One tokenised exercise behind the prefix: prompt ids, target ids (with end), loss weight."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Packed:
    """A batch: all (rows, length) but `mask`, which is (rows, 1, length, length) and additive."""

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    segments: torch.Tensor
    mask: torch.Tensor

    def to(self, device: torch.device | str) -> "Packed":
        """The same batch on a device."""
        return Packed(**{one.name: getattr(self, one.name).to(device) for one in fields(self)})


class RowEncoder(Protocol):
    """What turns questions into `Segment`s behind one image prefix."""

    tokenizer: Any
    image: int
    """Id of the tokens that an image's features fill."""
    image_prefix: tuple[int, ...]
    """Everything before a question, the image's tokens included."""

    def question(self, question: str, answer: str, weight: float = 1.0) -> Segment:
        """A question behind the image prefix, and its answer."""
        ...


class Encoder:
    """Turns prompts and answers into `Segment`s, remembering what it has seen."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        to_id = tokenizer.convert_tokens_to_ids
        self.bos, self.eos, self.user = to_id(BOS), to_id(EOS), to_id(USER)
        self.assistant, self.image = to_id(ASSISTANT), to_id(IMAGE)
        self.image_prefix = (self.bos, self.user, *([self.image] * IMAGE_TOKENS))
        self._seen: dict[str, tuple[int, ...]] = {}

    def ids(self, text: str) -> tuple[int, ...]:
        """Token ids of plain text."""
        if text not in self._seen:
            if len(self._seen) > 200_000:
                self._seen.clear()
            self._seen[text] = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._seen[text]

    def question(self, question: str, answer: str, weight: float = 1.0) -> Segment:
        """A question behind an image prefix."""
        return Segment((*self.ids(question), self.assistant), (*self.ids(answer), self.eos), weight)

    def text(self, prompt: str, target: str, weight: float = 1.0) -> Segment:
        """A text-only exercise: it carries its own start, since its row has no image."""
        head = (self.bos, self.user, *self.ids(prompt), self.assistant)
        return Segment(head, (*self.ids(target), self.eos), weight)


def pack(rows: Sequence[tuple[bool, Sequence[Segment]]], encoder: RowEncoder) -> Packed:
    """Pack rows of (has image, segments)."""
    built = []
    for has_image, segments in rows:
        ids = list(encoder.image_prefix) if has_image else []
        prefix = len(ids)
        positions, labels = list(range(prefix)), [IGNORE] * prefix
        weights, groups = [0.0] * prefix, [0] * prefix
        for number, segment in enumerate(segments, start=1):
            length = len(segment.prompt) + len(segment.target)
            ids += [*segment.prompt, *segment.target]
            positions += range(prefix, prefix + length)
            # the logit at a position predicts the token after it
            labels += [IGNORE] * (len(segment.prompt) - 1) + list(segment.target) + [IGNORE]
            weights += [segment.weight / len(segment.target) ** 0.5] * length
            groups += [number] * length
        built.append((ids, positions, labels, weights, groups))
    length = max(len(row[0]) for row in built)
    count = len(built)
    ids_t = torch.full((count, length), encoder.tokenizer.pad_token_id)
    positions_t = torch.zeros((count, length), dtype=torch.long)
    labels_t = torch.full((count, length), IGNORE)
    weights_t = torch.zeros((count, length))
    groups_t = torch.full((count, length), -1)
    for row, (ids, positions, labels, weights, groups) in enumerate(built):
        n = len(ids)
        ids_t[row, :n] = torch.tensor(ids)
        positions_t[row, :n] = torch.tensor(positions)
        labels_t[row, :n] = torch.tensor(labels)
        weights_t[row, :n] = torch.tensor(weights)
        groups_t[row, :n] = torch.tensor(groups)
    same = groups_t[:, :, None] == groups_t[:, None, :]
    prefix_key = groups_t[:, None, :] == 0
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = (same | prefix_key) & causal
    mask = torch.zeros((count, 1, length, length)).masked_fill_(~allowed[:, None], -1e9)
    return Packed(ids_t, positions_t, labels_t, weights_t, groups_t, mask)
