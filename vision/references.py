"""Passes of the encoder over a bank's references: what they feed perception and the maps.

Features are seen and forgotten: what stays is statistics, sufficient moments, and (for targets)
the clean references' features at the taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.cascade import Moments, Standard
from vision.draws import NATIVE_SIDES, clean_view, noisy_draw, resized
from vision.encoder import PixelInputs, VisionEncoder
from vision.layout import TokenLayout, infer_layout
from vision.perception import Perceiver, fit_perceiver
from vision.reading import MedicalImage
from vision.restorer import Working, at_size, grey_tensor
from vision.sight import Sight, look
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
    """(n, s) each; none where the tower cannot be tapped."""
    pixels: list[NDArray[np.float64]] = field(default_factory=list)
    """(n, p) each."""
    labels: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)

    def add(self, sight: Sight, label: int | Sequence[int], numbers: Sequence[int]) -> None:
        """Add what was seen of versions of the references of these numbers."""
        self.pixels.append(sight.pixels)
        if sight.tokens is not None:
            self.encoder.append(sight.tokens.double().numpy())
        self.labels.extend([label] * len(numbers) if isinstance(label, int) else label)
        self.references.extend(numbers)

    def fit(self, classes: Sequence[tuple[str, int]], seed: int) -> Perceiver:
        """The perceiver of everything that was added."""
        statistics = {"pixels": np.concatenate(self.pixels)}
        if self.encoder:
            statistics = {"encoder": np.concatenate(self.encoder), **statistics}
        return fit_perceiver(
            statistics,
            np.array(self.labels, dtype=np.int64),
            np.array(self.references, dtype=np.int64),
            classes,
            np.random.default_rng(seed),
        )


@dataclass(frozen=True)
class Drawn:
    """Prepared versions of references."""

    numbers: list[int]
    """Which reference each is a version of."""
    inputs: list[PixelInputs]

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
        self.workings = [Working.of(image, encoder) for image in self.images]
        self.clean_pictures = [working.grey for working in self.workings]
        self.spreads: dict[str, float] = {}
        """By kind: how far a draw's strength lies from its grid point; half a step, if missing."""
        self.rows = WitnessRows()
        self.noisy_sums: list[tuple[Tensor, int]] = []
        """(sum of statistics at the perception tap, images) of each noisy class, as drawn."""
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
            for start in range(0, len(views), _BATCH):
                numbers = range(start, min(start + _BATCH, len(views)))
                self.rows.add(self.look(views[start : start + _BATCH]), 0, numbers)
            drawn = self.prepared(views, range(len(views)))
            for positions, inputs in drawn.batches(self.encoder):
                for tap, features in self._features(inputs):
                    layout = infer_layout(features.shape[2], inputs.aspect)
                    self.clean_statistics[tap].append(token_statistics(features, layout))
                    if view == 0:
                        patches = features[:, :, layout.prefix :]
                        self.clean[tap].update(zip(positions, patches, strict=True))
                        power[tap].append(_power(patches))
        self.standards = {tap: _standard(torch.stack(parts)) for tap, parts in power.items()}

    def noisy(
        self, kind: str, severity: int, draw: int, numbers: Sequence[int]
    ) -> list[MedicalImage]:
        """One draw of a noise on the references of these numbers."""
        side = self.side if self.fixed else None
        spread = self.spreads.get(kind, 0.5)
        return [
            noisy_draw(
                self.small[i], kind, severity, draw, side=side, seed=self.seed, spread=spread
            )
            for i in numbers
        ]

    def pictures(self, kind: str, severity: int, draw: int, numbers: Sequence[int]) -> list[Tensor]:
        """The same as (H, W) brightness in [0, 1], at the sizes of `clean_pictures`."""
        drawn = self.noisy(kind, severity, draw, numbers)
        sizes = [self.workings[i].size for i in numbers]
        return [grey_tensor(at_size(image, size)) for image, size in zip(drawn, sizes, strict=True)]

    def look_at_noisy(self, kind: str, severity: int, label: int, draws: int) -> None:
        """Statistics of a class's draws, for perception."""
        everyone = range(len(self.small))
        for draw in range(draws):
            for start in range(0, len(everyone), _BATCH):
                numbers = everyone[start : start + _BATCH]
                sight = self.look(self.noisy(kind, severity, draw, numbers))
                self.rows.add(sight, label, numbers)
                if sight.tokens is not None:
                    self._noisy_sums(sight.tokens, first=start == 0 and draw == 0)

    def look(self, images: Sequence[MedicalImage]) -> Sight:
        """What both witnesses see of images."""
        return look(self.encoder, images, side=self.side, tap=self.perception_tap)

    def prepared(self, images: Sequence[MedicalImage], numbers: Sequence[int]) -> Drawn:
        """Versions of the references of these numbers, prepared for the encoder."""
        inputs: list[PixelInputs] = []
        for start in range(0, len(images), _BATCH):
            inputs.extend(self.encoder.prepare_many(images[start : start + _BATCH]))
        return Drawn(list(numbers), inputs)

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

    def means(self, tap: str) -> Tensor:
        """(classes, s) mean statistics of noisy classes; at the first tap as drawn and restored."""
        found = list(self.noisy_means[tap])
        if tap == self.perception_tap:
            found += [total / max(count, 1) for total, count in self.noisy_sums]
        return torch.stack(found)

    def finish(self, drawn: Drawn, fitted: dict[str, FittedMap]) -> None:
        """A last pass, for what the last tap looks like when it has been calibrated."""
        for positions, inputs in drawn.batches(self.encoder):
            self._calibrated(inputs, "", fitted, drawn, positions)

    # -- details --------------------------------------------------------------------------------

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

    def _noisy_sums(self, tokens: Tensor, *, first: bool) -> None:
        """Add to the mean statistics of the class at hand, or begin the next class."""
        sums = self.noisy_sums
        if first:
            sums.append((torch.zeros(tokens.shape[1], dtype=torch.float64), 0))
        total, count = sums[-1]
        sums[-1] = (total + tokens.double().sum(0), count + len(tokens))


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
