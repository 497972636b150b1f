"""The feature-only family: what a map adds to features, at one layer or at several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ablations.layer_maps import nearest, with_context, with_one
from vision.encoder.token_layout import TokenLayout, infer_layout
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.reading.medical_image import MedicalImage

Change = Callable[[Tensor, Tensor | None, TokenLayout, Tensor], Tensor]
"""(standardised patches (images, tiles, patches, dim), CLS or None, layout, weights (images,
classes)) -> what to add to the patches."""


@dataclass(frozen=True)
class Standard:
    """Channel-wise standardisation of a tap's patches."""

    centre: Tensor
    """(dim,)."""
    scale: Tensor
    """(dim,)."""

    @classmethod
    def of(cls, patches: Tensor) -> Standard:
        """From clean patches (images, tiles, patches, dim)."""
        flat = patches.flatten(0, 2)
        scale = flat.std(0)
        # a channel that hardly moves would be blown up
        return cls(flat.mean(0), scale.clamp_min(0.01 * float(scale.median())))

    def __call__(self, features: Tensor, layout: TokenLayout) -> tuple[Tensor, Tensor | None]:
        """Standardised patches, and CLS where there is one."""
        exact = (features.float() - self.centre) / self.scale
        return exact[:, :, layout.prefix :], exact[:, :, :1] if layout.prefix else None

    def changed(
        self, features: Tensor, layout: TokenLayout, change: Change, weights: Tensor
    ) -> Tensor:
        """Features with a change added to their patches."""
        patches, first = self(features, layout)
        added = features.clone()
        added[:, :, layout.prefix :] += self.scale * change(patches, first, layout, weights)
        return added


@dataclass(frozen=True)
class Layers:
    """Maps at one tap or several, applied one after the other on the way."""

    maps: Mapping[str, tuple[Standard, Change]]
    """By tap."""

    def encode(
        self, encoder: VisionEncoder, images: Sequence[MedicalImage], weights: Tensor
    ) -> list[EncodedImage]:
        """Encode images with what the maps add under `weights` (images, noisy classes and unknown);
        with weights of zero the features are the plain encoder's."""
        encoded: dict[int, EncodedImage] = {}
        for positions, inputs in encoder.group(encoder.prepare_many(images)):
            asked = [images[i] for i in positions]
            intervene = self.intervention(weights[positions], inputs.aspect)
            outputs = encoder.encode_inputs(inputs, asked, intervene=intervene)
            encoded.update(zip(positions, outputs, strict=True))
        return [encoded[i] for i in range(len(images))]

    def intervention(
        self, weights: Tensor, aspect: tuple[int, int] | None
    ) -> Callable[[str, Tensor], Tensor | None]:
        """What the encoder is to be shown instead of its features."""

        def intervene(tap: str, features: Tensor) -> Tensor | None:
            if tap not in self.maps or not bool(weights.any()):
                return None
            standard, change = self.maps[tap]
            layout = infer_layout(features.shape[2], aspect)
            return standard.changed(features, layout, change, weights)

        return intervene


def linear(maps: Tensor, *, context: bool) -> Change:
    """By maps (classes, phi, dim), of the token in its context or alone."""

    def change(
        patches: Tensor, first: Tensor | None, layout: TokenLayout, weights: Tensor
    ) -> Tensor:
        phi = with_context(patches, first, layout) if context else with_one(patches)
        mixed = torch.einsum("nk,kpd->npd", weights, maps)
        return torch.einsum("ntjp,npd->ntjd", phi, mixed)

    return change


def codebook(codes: Tensor) -> Change:
    """The nearest of clean tokens (m, dim) takes each token's place."""

    def change(
        patches: Tensor, first: Tensor | None, layout: TokenLayout, weights: Tensor
    ) -> Tensor:
        added = torch.zeros_like(patches)
        for image, share in enumerate(weights.sum(dim=1).tolist()):
            tokens = patches[image].flatten(0, 1)
            if share > 0.0:
                replacement = codes[nearest(tokens, codes)] - tokens
                added[image] = share * replacement.reshape(added[image].shape)
        return added

    return change


def keyed(keys: Tensor, residuals: Tensor) -> Change:
    """The residual to clean of the nearest noisy token of the class is added; both (classes, m,
    dim)."""

    def change(
        patches: Tensor, first: Tensor | None, layout: TokenLayout, weights: Tensor
    ) -> Tensor:
        added = torch.zeros_like(patches)
        for image, k in weights.nonzero().tolist():
            found = nearest(patches[image].flatten(0, 1), keys[k])
            added[image] += weights[image, k] * residuals[k][found].reshape(added[image].shape)
        return added

    return change
