"""Exact match by teacher forcing: greedy decoding is right exactly when every step's argmax is."""

from collections.abc import Sequence

import torch
from transformers import LlavaForConditionalGeneration

from imc_reference.losses import answer_logits, normalise, patch_features
from imc_reference.packing import IGNORE, RowEncoder, pack
from imc_reference.questions import Pair


def exact_matches(
    model: LlavaForConditionalGeneration,
    encoder: RowEncoder,
    pixels: torch.Tensor,
    pairs: Sequence[Sequence[Pair]],
    rows_at_once: int = 16,
) -> list[list[bool]]:
    """Per image and pair, whether greedy decoding gives the answer; `pixels` (n, 3, S, S) uint8."""
    results: list[list[bool]] = []
    with torch.inference_mode():
        for start in range(0, len(pairs), rows_at_once):
            chunk = pairs[start : start + rows_at_once]
            batch = pack(
                [(True, [encoder.question(p.question, p.answer) for p in row]) for row in chunk],
                encoder,
            ).to(model.device)
            patches = patch_features(
                model,
                normalise(pixels[start : start + rows_at_once].float() / 255).to(model.device),
            )
            projected = model.model.multi_modal_projector(patches)
            logits = answer_logits(model, batch, projected, encoder)
            labelled = batch.labels != IGNORE
            right = torch.zeros_like(labelled)
            right[labelled] = logits.argmax(-1) == batch.labels[labelled]
            for row, asked in enumerate(chunk):
                results.append(
                    [
                        bool(right[row][labelled[row] & (batch.segments[row] == number)].all())
                        for number in range(1, len(asked) + 1)
                    ]
                )
    return results
