"""Passes of the encoder over a bank's references: what they feed perception and the maps.

Features are seen and forgotten: what stays is statistics, sufficient moments, and (for targets)
the clean references' features at the taps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition import acquisition_statistics, grey_image
from vision.cascade import Moments, Standard
from vision.draws import NATIVE_SIDES, clean_view, noisy_draw, resized
from vision.encoder import PixelInputs, VisionEncoder
from vision.layout import TokenLayout, infer_layout
from vision.reading import MedicalImage
from vision.token_statistics import token_statistics

CLEAN_VIEWS = 4
"""Each reference as it is, resized, and twice turned and cropped."""

_BATCH = 32
_DEFAULT_SIDE = 224
"""Working side of acquisition statistics where the model's input side varies by image."""

_KEPT_STATISTICS = 2048
"""Rows of calibrated statistics kept per tap, spread over the classes, to bound memory."""

FittedMap = tuple[Tensor, Tensor]
"""(left (context, rank), right (rank, dim))."""


@dataclass
class WitnessRows:
    """Statistics for perception, one row per image seen."""

    encoder: list[NDArray[np.float64]] = field(default_factory=list)
    pixels: list[NDArray[np.float64]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Drawn:
    """Prepared versions of the references, in their order, and where their rows begin."""

    numbers: list[int]
    """Which reference each is a version of."""
    inputs: list[PixelInputs]
    first_row: int
    """Row of the first one in `WitnessRows`."""

    def batches(self, encoder: VisionEncoder) -> Iterator[tuple[list[int], PixelInputs]]:
        """(positions, stacked inputs), at most a batch at a time."""
        for start in range(0, len(self.inputs), _BATCH):
            for positions, inputs in encoder.group(self.inputs[start : start + _BATCH]):
                yield [start + position for position in positions], inputs


class References:
    """The references of one bank, and every pass over them."""

    def __init__(
        self, encoder: VisionEncoder, images: list[MedicalImage], taps: tuple[str, ...], seed: int
    ) -> None:
        self.encoder = encoder
        self.taps = taps
        self.seed = seed
        self.side = encoder.input_side or _DEFAULT_SIDE
        self.small = [resized(image, NATIVE_SIDES * self.side) for image in images]
        # Where the number of tiles or tokens follows the image's size, a reference and its draws
        # must have the same size to be compared token by token.
        self.fixed = encoder.has_fixed_tokens
        self.images = images if self.fixed else self.small
        self.rows = WitnessRows()
        self.clean: dict[str, dict[int, Tensor]] = {tap: {} for tap in taps}
        self.standards: dict[str, Standard] = {}
        self.clean_statistics: dict[str, list[Tensor]] = {tap: [] for tap in taps}
        self.calibrated_statistics: dict[str, list[Tensor]] = {tap: [] for tap in taps}
        self.noisy_means: dict[str, list[Tensor]] = {tap: [] for tap in taps}

    @property
    def perception_tap(self) -> str:
        """The first tap: where the encoder's witness looks."""
        return self.taps[0] if self.taps else ""

    def look_at_clean(self) -> None:
        """Clean features at every tap (targets), their standardisation and statistics."""
        power: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        for view in range(CLEAN_VIEWS):
            source = self.images if view == 0 else self.small
            views = [clean_view(image, view, side=self.side, seed=self.seed) for image in source]
            drawn = self._prepare(views, 0)
            for positions, inputs in drawn.batches(self.encoder):
                for tap, features in self._features(inputs):
                    layout = infer_layout(features.shape[2], inputs.aspect)
                    found = token_statistics(features, layout)
                    self.clean_statistics[tap].append(found)
                    if tap == self.perception_tap:
                        self._note(found, positions, drawn.first_row)
                    if view == 0:
                        patches = features[:, :, layout.prefix :]
                        self.clean[tap].update(zip(positions, patches, strict=True))
                        power[tap].append(_power(patches))
        self.standards = {tap: _standard(torch.stack(parts)) for tap, parts in power.items()}

    def draw(self, kind: str, severity: int, label: int, draws: int) -> Drawn:
        """`draws` noisy versions of every reference, prepared."""
        side = self.side if self.fixed else None
        versions = [
            noisy_draw(image, kind, severity, draw, side=side, seed=self.seed)
            for draw in range(draws)
            for image in self.small
        ]
        return self._prepare(versions, label)

    def moments(self, drawn: Drawn, tap: str, fitted: dict[str, FittedMap]) -> Moments | None:
        """The moments of the map at `tap` on features calibrated at the taps before it.

        None where no draw has the tokens of its reference.
        """
        moments: Moments | None = None
        total, count = torch.zeros(0), 0
        for positions, inputs in drawn.batches(self.encoder):
            features = self._calibrated(inputs, tap, fitted, drawn, positions)
            if features is None:
                continue
            layout = infer_layout(features.shape[2], inputs.aspect)
            found = token_statistics(features, layout)
            total = found.double().sum(0) + (total if count else 0.0)
            count += len(found)
            if tap == self.perception_tap:
                self._note(found, positions, drawn.first_row)
            numbers = [drawn.numbers[position] for position in positions]
            pairs = self._pairs(tap, features, layout, numbers)
            if pairs is None:
                continue
            context, residual, folds = pairs
            if moments is None:
                moments = Moments(context.shape[-1], residual.shape[-1])
            moments.add(context, residual, folds)
        if count:
            self.noisy_means[tap].append(total / count)
        return moments

    def finish(self, drawn: Drawn, fitted: dict[str, FittedMap]) -> None:
        """A last pass, for what the last tap looks like when it has been calibrated."""
        for positions, inputs in drawn.batches(self.encoder):
            self._calibrated(inputs, "", fitted, drawn, positions)

    # -- details --------------------------------------------------------------------------------

    def _prepare(self, images: list[MedicalImage], label: int) -> Drawn:
        first_row = len(self.rows.labels)
        inputs: list[PixelInputs] = []
        numbers = [position % len(self.small) for position in range(len(images))]
        for start in range(0, len(images), _BATCH):
            inputs.extend(self.encoder.prepare_many(images[start : start + _BATCH]))
        for number, image in zip(numbers, images, strict=True):
            grey = grey_image(image.rgb, self.side)
            self.rows.pixels.append(acquisition_statistics(grey))
            self.rows.labels.append(label)
            self.rows.references.append(number)
        return Drawn(numbers, inputs, first_row)

    def _features(self, inputs: PixelInputs) -> list[tuple[str, Tensor]]:
        seen: list[tuple[str, Tensor]] = []

        def see(tap: str, features: Tensor) -> None:
            if tap in self.taps:
                seen.append((tap, features.float().cpu()))

        self.encoder.visit(inputs, see, last_tap=self.taps[-1])
        return seen

    def _calibrated(
        self,
        inputs: PixelInputs,
        stop: str,
        fitted: dict[str, FittedMap],
        drawn: Drawn,
        positions: list[int],
    ) -> Tensor | None:
        """Features at `stop` after the maps before it; what they did is noted in passing.

        The statistics of calibrated features are kept at the last tap that is passed, and at all
        of them when there is no stop.
        """
        last = self.taps[self.taps.index(stop) - 1] if stop in self.taps[1:] else ""
        reached: list[Tensor] = []
        classes = max(len(self.noisy_means[self.taps[0]]), 1)
        keep_every = max(classes * len(drawn.inputs) // _KEPT_STATISTICS, 1)
        rows = [i for i, position in enumerate(positions) if position % keep_every == 0]

        def see(tap: str, features: Tensor) -> Tensor | None:
            if tap not in self.taps:
                return None
            hidden = features.float().cpu()
            if tap == stop:
                reached.append(hidden)
                return None
            layout = infer_layout(hidden.shape[2], inputs.aspect)
            changed = apply_map(hidden, layout, self.standards[tap], fitted[tap])
            if rows and (tap == last or (not stop and tap == self.taps[-1])):
                self.calibrated_statistics[tap].append(token_statistics(changed[rows], layout))
            return changed

        self.encoder.visit(inputs, see, last_tap=stop or self.taps[-1])
        return reached[0] if reached else None

    def _pairs(
        self, tap: str, features: Tensor, layout: TokenLayout, numbers: list[int]
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """(context, standardised residual to clean, folds) of those with their clean tokens."""
        patches = features[:, :, layout.prefix :]
        rows = [
            row
            for row, number in enumerate(numbers)
            if self.clean[tap][number].shape == patches[row].shape
        ]
        if not rows:
            return None
        clean = torch.stack([self.clean[tap][numbers[row]] for row in rows])
        residual = (clean - patches[rows]) / self.standards[tap].scale
        context = self.standards[tap].context(features[rows], layout)
        folds = torch.tensor([numbers[row] % 2 for row in rows])
        return context, residual.reshape(len(rows), -1, residual.shape[-1]), folds

    def _note(self, found: Tensor, positions: list[int], first_row: int) -> None:
        """Put rows of encoder statistics where the pixels' rows of the same images are."""
        rows = self.rows.encoder
        for row, position in enumerate(positions):
            while len(rows) <= first_row + position:
                rows.append(np.zeros(0))
            rows[first_row + position] = found[row].double().numpy()


def apply_map(
    features: Tensor, layout: TokenLayout, standard: Standard, fitted: FittedMap
) -> Tensor:
    """Features (images, tiles, tokens, dim) with one map's change added to the patches."""
    left, right = fitted
    change = ((standard.context(features, layout) @ left) @ right) * standard.scale
    changed = features.clone()
    patches = changed[:, :, layout.prefix :]
    patches += change.reshape(patches.shape)
    return changed


def _power(patches: Tensor) -> Tensor:
    """Sum, sum of squares and count over all patches, (3, dim)."""
    flat = patches.reshape(-1, patches.shape[-1]).double()
    count = torch.full((flat.shape[1],), float(len(flat)), dtype=torch.float64)
    return torch.stack([flat.sum(0), flat.square().sum(0), count])


def _standard(power: Tensor) -> Standard:
    first, second, count = power.sum(0)
    centre = first / count
    scale = (second / count - centre.square()).clamp_min(1e-12).sqrt()
    # Channels that hardly move would be blown up: floor at a hundredth of the typical spread.
    floor = float(0.01 * scale.median())
    return Standard(centre.float(), scale.clamp_min(max(floor, 1e-6)).float())
