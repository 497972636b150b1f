"""Passes of the encoder over references and draws of them, as far as the deepest tap read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.build.feature_store import FeatureStore
from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.precision import in_single_precision
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout, infer_layout
from vision.encoder.token_spectrum import TokenSpectrum, second_moments
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage

BATCH = 16


@dataclass
class EncoderPasses:
    """An encoder, the taps that are read, and what is known of its features there."""

    encoder: VisionEncoder
    taps: tuple[str, ...]
    """In order of depth."""
    store: FeatureStore
    spectra: dict[str, TokenSpectrum] = field(default_factory=dict)
    """By tap; needed by `statistics`."""
    scalers: dict[str, FeatureScaler] = field(default_factory=dict)
    """By tap; needed by `moments`."""
    references: int = 0
    """How many references there are: few do not determine what is constant over an image."""

    def readable_taps(self, image: MedicalImage) -> tuple[str, ...]:
        """Those of the taps at which the encoder passes features that can be read as tokens."""
        if not self.taps:
            return ()
        found = {tap for _, _, at in self._run([image], self.taps) for tap, _ in at}
        return tuple(tap for tap in self.taps if tap in found)

    def second_moments(self, images: Sequence[MedicalImage]) -> dict[str, Tensor]:
        """By tap: (dim + 1, dim + 1) moments of all patches of `images`."""
        return self._moments_of(self._run(images, self.taps))

    def clean_moments(self, images: Sequence[MedicalImage]) -> dict[str, Tensor]:
        """The same of the clean references, whose patches are kept by their number.

        Raises BankRefused where features are not finite.
        """

        def kept() -> Iterator[tuple[list[int], tuple[int, int] | None, list[tuple[str, Tensor]]]]:
            for positions, aspect, at in self._run(images, self.taps):
                for tap, features in at:
                    if not bool(torch.isfinite(features).all()):
                        raise BankRefused(
                            f"the encoder's features of clean images are not finite at {tap}: this "
                            "model cannot have a model half"
                        )
                    layout = infer_layout(features.shape[2], aspect)
                    for position, patches in zip(
                        positions, features[:, :, layout.prefix :], strict=True
                    ):
                        self.store.keep(tap, position, patches)
                yield positions, aspect, at

        self.references = len(images)
        return self._moments_of(kept())

    def statistics(self, images: Sequence[MedicalImage]) -> dict[str, Tensor]:
        """By tap: (n, s) statistics of n images."""
        found: dict[str, dict[int, Tensor]] = {tap: {} for tap in self.taps}
        for positions, aspect, at in self._run(images, self.taps):
            for tap, features in at:
                layout = infer_layout(features.shape[2], aspect)
                rows = self.spectra[tap].statistics(features, layout).cpu()
                found[tap].update(zip(positions, rows, strict=True))
        return {
            tap: torch.stack([rows[i] for i in range(len(images))]) for tap, rows in found.items()
        }

    def moments(
        self,
        images: Sequence[MedicalImage],
        numbers: Sequence[int],
        fitted: Mapping[str, FittedMap],
        taps: Sequence[str],
    ) -> dict[str, Moments]:
        """By tap: moments of a calibration map, with the maps `fitted` at earlier taps applied.

        Args:
            images: draws of references.
            numbers: of the references; even ones are one fold, odd ones the other.
            fitted: maps by tap.
            taps: where moments are taken, all deeper than those of `fitted`.
        """
        found: dict[str, Moments] = {}
        for positions, aspect, at in self._run(images, taps, fitted):
            of = [numbers[position] for position in positions]
            for tap, features in at:
                layout = infer_layout(features.shape[2], aspect)
                self._add(found, tap, features, layout, of)
        return found

    # -- details --------------------------------------------------------------------------------

    def _add(
        self,
        found: dict[str, Moments],
        tap: str,
        features: Tensor,
        layout: TokenLayout,
        numbers: Sequence[int],
    ) -> None:
        """Add the draws that have as many tokens as their clean reference."""
        patches = features[:, :, layout.prefix :]
        clean = [self.store.get(tap, number) for number in numbers]
        rows = [i for i, one in enumerate(clean) if one.shape == patches[i].shape]
        if not rows:
            return
        wanted = torch.stack([clean[i] for i in rows]).to(patches)
        scaler = self.scalers[tap].to(features.device)
        dim = patches.shape[-1]
        varying = 2 * dim + POSITION_FEATURES if self.references < dim else None
        context = scaler.context(features[rows], layout, size=varying)
        if tap not in found:
            found[tap] = Moments(context.size, dim, device=features.device)
        folds = torch.tensor([numbers[i] % 2 for i in rows], device=features.device)
        found[tap].add(context, (wanted - patches[rows]) / scaler.scale, folds)

    def _moments_of(
        self,
        passes: Iterator[tuple[list[int], tuple[int, int] | None, list[tuple[str, Tensor]]]],
    ) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for _, aspect, at in passes:
            for tap, features in at:
                layout = infer_layout(features.shape[2], aspect)
                moments = second_moments(features[:, :, layout.prefix :])
                found[tap] = found[tap] + moments if tap in found else moments
        return found

    def _run(
        self,
        images: Sequence[MedicalImage],
        taps: Sequence[str],
        fitted: Mapping[str, FittedMap] | None = None,
    ) -> Iterator[tuple[list[int], tuple[int, int] | None, list[tuple[str, Tensor]]]]:
        """(positions, aspect, features (images, tiles, tokens, dim) by tap) of each batch."""
        known = fitted or {}

        def one_pass(
            _: list[int], inputs: PixelInputs
        ) -> tuple[tuple[int, int] | None, list[tuple[str, Tensor]]]:
            at: list[tuple[str, Tensor]] = []

            def visit(tap: str, features: Tensor) -> Tensor | None:
                if tap in known and known[tap].rank:
                    hidden = in_single_precision(features)
                    layout = infer_layout(hidden.shape[2], inputs.aspect)
                    scaler = self.scalers[tap].to(hidden.device)
                    return apply_map(hidden, layout, scaler, known[tap].to(hidden.device))
                if tap in taps:
                    at.append((tap, in_single_precision(features)))
                return None

            self.encoder.visit(inputs, visit, last_tap=taps[-1])
            return inputs.aspect, at

        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            for positions, (aspect, at) in self.encoder.in_passes(part, one_pass):
                yield [start + position for position in positions], aspect, at


def apply_map(
    features: Tensor, layout: TokenLayout, scaler: FeatureScaler, fitted: FittedMap
) -> Tensor:
    """Features (images, tiles, tokens, dim) with the map's change added to the patches."""
    if not fitted.rank:
        return features
    context = scaler.context(features, layout, size=len(fitted.left))
    change = ((context @ fitted.left) @ fitted.right) * scaler.scale
    changed = features.clone()
    changed[:, :, layout.prefix :] += change
    return changed
