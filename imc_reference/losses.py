"""What training minimises: throw-away heads on the tower, and answers behind packed questions."""

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from imc_reference.architecture import IMAGE_TOKENS, PIXEL_MEAN, PIXEL_STD
from imc_reference.corpus import PhantomCorpus, RealCorpus
from imc_reference.packing import IGNORE, Packed, RowEncoder
from imc_reference.phantoms import MODALITIES


class Heads(nn.Module):
    """Throw-away heads on the tower's patch features; they are not part of the saved model."""

    def __init__(self, real: RealCorpus, width: int) -> None:
        super().__init__()
        self.phantom = nn.ModuleDict(
            {
                "modality": nn.Linear(width, len(MODALITIES)),
                "count": nn.Linear(width, 4),
                "side": nn.Linear(width, 2),
                "extent": nn.Linear(width, 2),
            }
        )
        self.patch = nn.Linear(width, 1)
        self.modality = nn.Linear(width, len(real.modalities))
        self.location = nn.Linear(width, len(real.locations))
        self.organs = nn.Linear(width, len(real.organ_names))
        self.position = nn.Parameter(torch.zeros(IMAGE_TOKENS, width))
        # where a lesion lies is lost by a plain mean over patches, so side has its own pooling
        self.gate = nn.Linear(width, 1)

    def pooled(self, patches: torch.Tensor) -> torch.Tensor:
        """Mean over patches plus a gated, position-aware mean: (n, width)."""
        gate = torch.sigmoid(self.gate(patches))
        placed = (gate * (patches + self.position)).mean(1)
        return patches.mean(1) + placed


def masked_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy over rows whose target is not -1; 0 when there is none."""
    known = target >= 0
    if not bool(known.any()):
        return logits.sum() * 0
    return nn.functional.cross_entropy(logits[known], target[known])


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Standardise (n, 3, S, S) in 0..1 as the processor does."""
    mean = torch.tensor(PIXEL_MEAN)[None, :, None, None]
    std = torch.tensor(PIXEL_STD)[None, :, None, None]
    return (pixels - mean) / std


def patch_features(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """(n, patches, width) tower output at the projector's input, as LLaVA selects it."""
    out = model.model.vision_tower(pixels, output_hidden_states=True)
    features: torch.Tensor = out.hidden_states[-1][:, 1:]
    return features


def tower_losses(
    heads: Heads,
    patches: torch.Tensor,
    real: RealCorpus,
    real_rows: torch.Tensor,
    phantoms: PhantomCorpus,
    phantom_rows: torch.Tensor,
) -> torch.Tensor:
    """Auxiliary loss; `patches` holds the real rows first, then the phantom rows."""
    n = len(real_rows)
    pooled = heads.pooled(patches)
    loss = masked_cross_entropy(heads.modality(pooled[:n]), real.modality[real_rows])
    loss = loss + masked_cross_entropy(heads.location(pooled[:n]), real.location[real_rows])
    organs = real.organs[real_rows]
    known = organs >= 0
    if bool(known.any()):
        logits = heads.organs(pooled[:n])
        loss = loss + nn.functional.binary_cross_entropy_with_logits(logits[known], organs[known])
    if len(phantom_rows):
        ph = pooled[n:]
        for name, target in (
            ("modality", phantoms.modality),
            ("count", phantoms.count),
            ("side", phantoms.side),
            ("extent", phantoms.extent),
        ):
            loss = loss + masked_cross_entropy(heads.phantom[name](ph), target[phantom_rows])
        share = heads.patch(patches[n:])[..., 0]
        loss = loss + 4 * nn.functional.binary_cross_entropy_with_logits(
            share, phantoms.fraction[phantom_rows]
        )
    return loss


def answer_logits(
    model: LlavaForConditionalGeneration,
    batch: Packed,
    projected: torch.Tensor | None,
    encoder: RowEncoder,
    token_drop: float = 0.0,
) -> torch.Tensor:
    """Logits at the labelled positions, (labelled, vocabulary)."""
    language = model.model.language_model
    embeds = language.embed_tokens(batch.ids)
    if projected is not None:
        if token_drop:
            keep = torch.rand(projected.shape[:2], device=projected.device) > token_drop
            projected = projected * keep[..., None]
        slots = (batch.ids == encoder.image)[..., None].expand_as(embeds)
        embeds = embeds.masked_scatter(slots, projected.to(embeds.dtype))
    hidden = language(
        inputs_embeds=embeds,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state
    logits: torch.Tensor = model.lm_head(hidden[batch.labels != IGNORE])
    return logits
