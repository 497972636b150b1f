"""Encoder passes over a bank's references: statistics for the classifiers, moments for the maps.

Features are not kept, only statistics, sufficient moments and small pictures. Clean features, the
targets of the maps, are cached up to a bounded size and computed again beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vision.build.draws import NATIVE_SIDES, clean_view, noisy_draw, resized
from vision.build.sample_cache import DrawCache, FeatureCache
from vision.build.statistics_rows import StatisticsRows
from vision.build.tap_statistics import BATCH, PreparedDraws, TapStatistics, apply_map
from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import FeatureScaler, channel_sums, fit_scaler
from vision.encoder.token_layout import TokenLayout, infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder
from vision.errors import BankRefused
from vision.perceive.image_statistics import ImageStatistics, compute_statistics
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import WorkingImage, at_size, grey_tensor

__all__ = ["CLEAN_VIEWS", "References", "StatisticsRows"]

CLEAN_VIEWS = 4
"""Views of each reference: itself, resized, and two turned and cropped ones."""

_SAMPLED_DRAWS = 32
"""Draws of each class whose features are kept until its map is fitted, to compute their statistics
after it."""

_DEFAULT_SIDE = 224
"""WorkingImage side of acquisition statistics where the model's input side varies by image."""

_CLEAN_STATISTICS = 2048
"""Most clean views whose statistics are kept per tap: the distance needs no more."""


class References:
    """The references of one bank, and every encoder pass over them and their noisy draws."""

    def __init__(
        self, encoder: VisionEncoder, images: list[MedicalImage], taps: tuple[str, ...], seed: int
    ) -> None:
        self.encoder = encoder
        self.seed = seed
        self.side = encoder.input_side or _DEFAULT_SIDE
        self.small = [resized(image, NATIVE_SIDES * self.side) for image in images]
        # Where the number of tiles or tokens follows the image's size, a reference and its draws
        # must have the same size to be compared token by token.
        self.fixed = encoder.has_fixed_tokens
        self.images = images if self.fixed else self.small
        self.workings = [WorkingImage.of(image, encoder) for image in self.images]
        self.clean_pictures = [working.grey for working in self.workings]
        self.taps = self._readable(taps)
        """Those of `taps` at which the encoder passes features that can be read as tokens."""
        self.spreads: dict[str, float] = {}
        """By kind: half width of the strengths around a grid point; 0.5 where it is missing."""
        self._draws = DrawCache()
        self._clean_features = FeatureCache()
        self.rows = StatisticsRows()
        self.scalers: dict[str, FeatureScaler] = {}
        self.clean_statistics: dict[str, Tensor] = {}
        """By tap: (n, s) token statistics of clean views."""

    @property
    def perception_tap(self) -> str:
        """The first tap, whose token statistics the noise classifiers use; `""` without taps."""
        return self.taps[0] if self.taps else ""

    def compute_clean(self) -> dict[str, Tensor]:
        """Statistics of clean views, and channel sums at every tap; arrays for `load_clean`.

        Raises BankRefused where the encoder's features of clean images are not finite.
        """
        rows = StatisticsRows()
        sums_by_tap: dict[str, Tensor] = {}
        statistics: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        every = -(-CLEAN_VIEWS * len(self.images) // _CLEAN_STATISTICS)
        for view in range(CLEAN_VIEWS):
            source = self.images if view == 0 else self.small
            for start in range(0, len(source), BATCH):
                part = source[start : start + BATCH]
                numbers = range(start, start + len(part))
                views = [clean_view(one, view, side=self.side, seed=self.seed) for one in part]
                rows.add(self.compute_statistics(views), 0, numbers)
                for positions, inputs in self.encoder.group(self.encoder.prepare_many(views)):
                    kept = [i for i, at in enumerate(positions) if numbers[at] % every == 0]
                    for tap, features in self._features(inputs, self.taps):
                        if not bool(torch.isfinite(features).all()):
                            raise BankRefused(
                                f"the encoder's features of clean images are not finite at {tap}: "
                                "this model cannot have a prototype bank"
                            )
                        layout = infer_layout(features.shape[2], inputs.aspect)
                        if kept:
                            statistics[tap].append(token_statistics(features[kept], layout))
                        if view == 0:
                            sums = channel_sums(features[:, :, layout.prefix :])
                            known = sums_by_tap.get(tap)
                            sums_by_tap[tap] = sums if known is None else sums + known
        tensors = {f"rows.{name}": tensor for name, tensor in rows.to_tensors().items()}
        tensors |= {f"power.{tap}": sums for tap, sums in sums_by_tap.items()}
        tensors |= {f"statistics.{tap}": torch.cat(parts) for tap, parts in statistics.items()}
        return tensors

    def load_clean(self, tensors: Mapping[str, Tensor]) -> None:
        """Use the result of `compute_clean`, computed now or loaded from a finished step."""
        self.rows.extend({name[5:]: tensors[name] for name in tensors if name.startswith("rows.")})
        self.scalers = {tap: fit_scaler(tensors[f"power.{tap}"]) for tap in self.taps}
        self.clean_statistics = {tap: tensors[f"statistics.{tap}"] for tap in self.taps}

    def noisy(
        self, kind: str, severity: int, draw: int, numbers: Sequence[int]
    ) -> list[MedicalImage]:
        """One draw of a noise on the references of these numbers."""
        return [
            self._draws.get(
                (kind, severity, draw, i), partial(self._noisy, kind, severity, draw, i)
            )
            for i in numbers
        ]

    def pictures(self, kind: str, severity: int, draw: int, numbers: Sequence[int]) -> list[Tensor]:
        """The draws of `noisy` as (H, W) brightness in [0, 1], at the sizes of `clean_pictures`."""
        drawn = self.noisy(kind, severity, draw, numbers)
        sizes = [self.workings[i].size for i in numbers]
        return [grey_tensor(at_size(image, size)) for image, size in zip(drawn, sizes, strict=True)]

    def compute_noisy(self, kind: str, severity: int, label: int, draws: int) -> dict[str, Tensor]:
        """Statistics of a class's draws; arrays for `self.rows.extend`."""
        rows = StatisticsRows()
        everyone = range(len(self.small))
        for draw in range(draws):
            for start in range(0, len(everyone), BATCH):
                numbers = everyone[start : start + BATCH]
                drawn = self.noisy(kind, severity, draw, numbers)
                rows.add(self.compute_statistics(drawn), label, numbers)
        return rows.to_tensors()

    def compute_statistics(self, images: Sequence[MedicalImage]) -> ImageStatistics:
        """Statistics of images for the noise classifiers."""
        return compute_statistics(self.encoder, images, side=self.side, tap=self.perception_tap)

    def prepared(self, images: Sequence[MedicalImage], numbers: Sequence[int]) -> PreparedDraws:
        """Versions of the references of these numbers, preprocessed for the encoder."""
        inputs: list[PixelInputs] = []
        for start in range(0, len(images), BATCH):
            inputs.extend(self.encoder.prepare_many(images[start : start + BATCH]))
        return PreparedDraws(list(numbers), inputs)

    def tap_statistics(
        self, drawn: PreparedDraws, fitted: Mapping[str, FittedMap], taps: Sequence[str]
    ) -> dict[str, TapStatistics]:
        """One encoder pass over draws with the maps `fitted` applied.

        Args:
            drawn: preprocessed draws.
            fitted: maps by tap.
            taps: where moments and samples are taken, all deeper than those of `fitted`.
        """
        statistics_by_tap = {tap: TapStatistics() for tap in taps}
        every = max(len(drawn.inputs) // _SAMPLED_DRAWS, 1)
        for positions, inputs in drawn.batches(self.encoder):
            numbers = [drawn.numbers[position] for position in positions]
            kept = [row for row, position in enumerate(positions) if position % every == 0]
            clean = self._clean(numbers, taps)
            for tap, features in self._features(inputs, taps, fitted):
                layout = infer_layout(features.shape[2], inputs.aspect)
                if kept:
                    statistics_by_tap[tap].sample.append((features[kept], layout))
                self._add(statistics_by_tap[tap], tap, features, layout, numbers, clean[tap])
        return statistics_by_tap

    # -- details --------------------------------------------------------------------------------

    def _noisy(self, kind: str, severity: int, draw: int, number: int) -> MedicalImage:
        side = self.side if self.fixed else None
        spread = self.spreads.get(kind, 0.5)
        return noisy_draw(
            self.small[number], kind, severity, draw, side=side, seed=self.seed, spread=spread
        )

    def _readable(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        readable: set[str] = set()

        def record(tap: str, features: Tensor) -> None:
            readable.add(tap)

        if taps:
            self.encoder.visit(self.encoder.prepare(self.images[0]), record, last_tap=taps[-1])
        return tuple(tap for tap in taps if tap in readable)

    def _features(
        self,
        inputs: PixelInputs,
        taps: Sequence[str],
        fitted: Mapping[str, FittedMap] | None = None,
    ) -> list[tuple[str, Tensor]]:
        """Features (images, tiles, tokens, dim) at `taps`, with the maps `fitted` applied."""
        found: list[tuple[str, Tensor]] = []

        def visit(tap: str, features: Tensor) -> Tensor | None:
            if fitted and tap in fitted and fitted[tap].rank:
                hidden = features.float().cpu()
                layout = infer_layout(hidden.shape[2], inputs.aspect)
                return apply_map(hidden, layout, self.scalers[tap], fitted[tap])
            if tap in taps:
                found.append((tap, features.float().cpu()))
            return None

        if taps:
            self.encoder.visit(inputs, visit, last_tap=taps[-1])
        return found

    def _clean(self, numbers: Sequence[int], taps: Sequence[str]) -> dict[str, dict[int, Tensor]]:
        """By tap and number: patches (tiles, patches, dim) of the clean references."""
        different = list(dict.fromkeys(numbers))
        found: dict[str, dict[int, Tensor]] = {}
        for tap in taps:
            kept = {number: self._clean_features.get(tap, number) for number in different}
            found[tap] = {number: one for number, one in kept.items() if one is not None}
        missing = [number for number in different if any(number not in found[tap] for tap in taps)]
        if not missing:
            return found
        images = [self.workings[number].image for number in missing]
        for positions, inputs in self.encoder.group(self.encoder.prepare_many(images)):
            for tap, features in self._features(inputs, taps):
                layout = infer_layout(features.shape[2], inputs.aspect)
                for i, patches in zip(positions, features[:, :, layout.prefix :], strict=True):
                    found[tap][missing[i]] = patches
                    self._clean_features.keep(tap, missing[i], patches)
        return found

    def _add(
        self,
        found: TapStatistics,
        tap: str,
        features: Tensor,
        layout: TokenLayout,
        numbers: Sequence[int],
        clean: Mapping[int, Tensor],
    ) -> None:
        """Add the draws that have as many tokens as their clean reference to the moments."""
        patches = features[:, :, layout.prefix :]
        rows = [
            row for row, number in enumerate(numbers) if clean[number].shape == patches[row].shape
        ]
        if not rows:
            return
        wanted = torch.stack([clean[numbers[row]] for row in rows])
        residual = (wanted - patches[rows]) / self.scalers[tap].scale
        context = self.scalers[tap].context(features[rows], layout)
        if found.moments is None:
            found.moments = Moments(context.size, residual.shape[-1])
        folds = torch.tensor([numbers[row] % 2 for row in rows])
        found.moments.add(context, residual, folds)
