"""Greedy answers to several questions about one image at once: one row, one pass over its prefix.

Each question is decoded behind the shared prefix and itself alone, as in `imc_reference.packing`,
so that its answer is the one that it would be given alone, at a fraction of the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlavaForConditionalGeneration

from imc_reference.evaluation import Answerer, EvaluateConfig
from imc_reference.packing import IGNORE, RowEncoder, pack

_FORBIDDEN = -1e9
"""What is added to the attention of a token that may not be seen."""


@torch.inference_mode()
def packed_answers(
    model: LlavaForConditionalGeneration,
    encoder: RowEncoder,
    projected: torch.Tensor,
    questions: Sequence[Sequence[str]],
    *,
    most_tokens: int,
) -> list[list[str]]:
    """Greedy answers, a row for each image.

    Args:
        model: a LLaVA over a Llama.
        encoder: writes its prompts.
        projected: (rows, image tokens, width) features after the projector.
        questions: those asked of each row's image.
        most_tokens: after which an answer is cut off.
    """
    language, end = model.model.language_model, encoder.tokenizer.eos_token_id
    asked = [(True, [encoder.question(q, "") for q in row]) for row in questions]
    batch = pack(asked, encoder).to(model.device)
    rows, length = batch.ids.shape
    most = max(len(row) for row in questions)
    numbers = torch.arange(1, most + 1, device=model.device)
    # the label, an ending alone, stands at each prompt's last token; the ending itself comes next
    last = torch.zeros((rows, most), dtype=torch.long, device=model.device)
    for row, place in (batch.labels != IGNORE).nonzero().tolist():
        last[row, int(batch.segments[row, place]) - 1] = place
    there = numbers[None] <= torch.tensor([[len(row)] for row in questions], device=model.device)
    own = batch.segments[:, None, :] == numbers[None, :, None]
    shared = (batch.segments == 0)[:, None, :]
    ending = torch.arange(length, device=model.device)[None, None, :] == last[..., None] + 1
    seen = (own | shared) & ~ending
    positions = batch.positions.gather(1, last)

    embeds = language.embed_tokens(batch.ids)
    slots = (batch.ids == encoder.image)[..., None].expand_as(embeds)
    embeds = embeds.masked_scatter(slots, projected.to(embeds.dtype))
    state = language(
        inputs_embeds=embeds,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=True,
    )
    index = last[..., None].expand(-1, -1, embeds.shape[-1])
    hidden = state.last_hidden_state.gather(1, index)
    written: list[torch.Tensor] = []
    done = ~there
    alone = torch.eye(most, dtype=torch.bool, device=model.device)[None].expand(rows, -1, -1)
    for _ in range(most_tokens):
        following = model.lm_head(hidden).argmax(-1).masked_fill(done, end)
        written.append(following)
        done = done | (following == end)
        if bool(done.all()):
            break
        positions = positions + 1
        seen = torch.cat([seen, alone], dim=-1)
        mask = torch.zeros((rows, 1, *seen.shape[1:]), dtype=embeds.dtype, device=model.device)
        state = language(
            inputs_embeds=language.embed_tokens(following),
            attention_mask=mask.masked_fill_(~seen[:, None], _FORBIDDEN),
            position_ids=positions,
            past_key_values=state.past_key_values,
            use_cache=True,
        )
        hidden = state.last_hidden_state
    tokens = torch.stack(written, dim=-1).tolist()
    return [
        [_text(encoder.tokenizer, tokens[row][place]) for place in range(len(questions[row]))]
        for row in range(rows)
    ]


def _text(tokenizer: Any, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()


class PackedAnswerer(Answerer):
    """The same answers as `Answerer`'s, the questions about an image computed together."""

    def __init__(self, config: EvaluateConfig, encoder: RowEncoder, *, questions: int) -> None:
        """`questions` of one image share a row at most."""
        super().__init__(config)
        self.encoder, self.questions = encoder, questions

    def answers(
        self, images: Sequence[NDArray[np.uint8]], questions: Sequence[tuple[int, str]]
    ) -> list[str]:
        """Greedy answers; each question names its image by index."""
        features = self._features(images)
        by_image: dict[int, list[int]] = {}
        for place, (image, _) in enumerate(questions):
            by_image.setdefault(image, []).append(place)
        rows = [
            (image, places[start : start + self.questions])
            for image, places in by_image.items()
            for start in range(0, len(places), self.questions)
        ]
        rows.sort(key=lambda row: len(row[1]))
        at_once = max(1, self.config.batch // self.questions)
        found = [""] * len(questions)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            answered = packed_answers(
                self.model,
                self.encoder,
                torch.stack([features[image] for image, _ in some]),
                [[questions[place][1] for place in places] for _, places in some],
                most_tokens=self.config.max_new_tokens,
            )
            for (_, places), answers in zip(some, answered, strict=True):
                for place, answer in zip(places, answers, strict=True):
                    found[place] = answer
        return found
