"""Passes of the encoder over a bank's references: what they feed perception and the maps.

Features are seen and forgotten: what stays is statistics, sufficient moments, and small pictures.
Clean features, which the maps aim at, are kept up to a bounded size; beyond it they are computed
anew beside the noisy ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vision.build.draws import NATIVE_SIDES, clean_view, noisy_draw, resized
from vision.build.sample_cache import KeptDraws, KeptFeatures
from vision.build.statistics_rows import WitnessRows
from vision.build.tap_statistics import BATCH, Drawn, Reached, apply_map
from vision.calibrate.moments import FittedMap, Moments
from vision.calibrate.token_context import Standard, standard_of, summed_power
from vision.encoder.token_layout import TokenLayout, infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.encoder.vision_encoder import PixelInputs, VisionEncoder
from vision.errors import BankRefused
from vision.perceive.image_statistics import Sight, look
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import Working, at_size, grey_tensor

__all__ = ["CLEAN_VIEWS", "References", "WitnessRows"]

CLEAN_VIEWS = 4
"""Each reference as it is, resized, and twice turned and cropped."""

_SAMPLED = 32
"""Draws of each class whose features are kept until its map is known, to see what it makes of
them."""

_DEFAULT_SIDE = 224
"""Working side of acquisition statistics where the model's input side varies by image."""

_CLEAN_STATISTICS = 2048
"""Most clean views whose statistics are kept per tap: a distance needs no more."""


class References:
    """The references of one bank, and every pass over them."""

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
        self.workings = [Working.of(image, encoder) for image in self.images]
        self.clean_pictures = [working.grey for working in self.workings]
        self.taps = self._shown(taps)
        """Those of `taps` at which the encoder shows features that vision can read."""
        self.spreads: dict[str, float] = {}
        """By kind: how far a draw's strength lies from its grid point; half a step, if missing."""
        self._draws = KeptDraws()
        self._clean_features = KeptFeatures()
        self.rows = WitnessRows()
        self.standards: dict[str, Standard] = {}
        self.clean_statistics: dict[str, Tensor] = {}
        """By tap: (n, s) of clean views."""

    @property
    def perception_tap(self) -> str:
        """The first tap: where the encoder's witness looks."""
        return self.taps[0] if self.taps else ""

    def look_at_clean(self) -> dict[str, Tensor]:
        """Clean views seen by both witnesses and at every tap, for `take_clean`.

        Raises BankRefused where the encoder's features of clean images are not finite.
        """
        rows = WitnessRows()
        powers: dict[str, Tensor] = {}
        statistics: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        every = -(-CLEAN_VIEWS * len(self.images) // _CLEAN_STATISTICS)
        for view in range(CLEAN_VIEWS):
            source = self.images if view == 0 else self.small
            for start in range(0, len(source), BATCH):
                part = source[start : start + BATCH]
                numbers = range(start, start + len(part))
                views = [clean_view(one, view, side=self.side, seed=self.seed) for one in part]
                rows.add(self.look(views), 0, numbers)
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
                            power = summed_power(features[:, :, layout.prefix :])
                            powers[tap] = power + powers[tap] if tap in powers else power
        tensors = {f"rows.{name}": tensor for name, tensor in rows.to_tensors().items()}
        tensors |= {f"power.{tap}": power for tap, power in powers.items()}
        tensors |= {f"statistics.{tap}": torch.cat(parts) for tap, parts in statistics.items()}
        return tensors

    def take_clean(self, tensors: Mapping[str, Tensor]) -> None:
        """Remember what `look_at_clean` found."""
        self.rows.extend({name[5:]: tensors[name] for name in tensors if name.startswith("rows.")})
        self.standards = {tap: standard_of(tensors[f"power.{tap}"]) for tap in self.taps}
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
        """The same as (H, W) brightness in [0, 1], at the sizes of `clean_pictures`."""
        drawn = self.noisy(kind, severity, draw, numbers)
        sizes = [self.workings[i].size for i in numbers]
        return [grey_tensor(at_size(image, size)) for image, size in zip(drawn, sizes, strict=True)]

    def look_at_noisy(self, kind: str, severity: int, label: int, draws: int) -> dict[str, Tensor]:
        """Statistics of a class's draws, for perception: rows for `self.rows.extend`."""
        rows = WitnessRows()
        everyone = range(len(self.small))
        for draw in range(draws):
            for start in range(0, len(everyone), BATCH):
                numbers = everyone[start : start + BATCH]
                rows.add(self.look(self.noisy(kind, severity, draw, numbers)), label, numbers)
        return rows.to_tensors()

    def look(self, images: Sequence[MedicalImage]) -> Sight:
        """What both witnesses see of images."""
        return look(self.encoder, images, side=self.side, tap=self.perception_tap)

    def prepared(self, images: Sequence[MedicalImage], numbers: Sequence[int]) -> Drawn:
        """Versions of the references of these numbers, prepared for the encoder."""
        inputs: list[PixelInputs] = []
        for start in range(0, len(images), BATCH):
            inputs.extend(self.encoder.prepare_many(images[start : start + BATCH]))
        return Drawn(list(numbers), inputs)

    def reach(
        self, drawn: Drawn, fitted: Mapping[str, FittedMap], taps: Sequence[str]
    ) -> dict[str, Reached]:
        """One pass over draws with the maps `fitted` in place: what it sees at `taps`, all of them
        deeper than the maps."""
        reached = {tap: Reached() for tap in taps}
        every = max(len(drawn.inputs) // _SAMPLED, 1)
        for positions, inputs in drawn.batches(self.encoder):
            numbers = [drawn.numbers[position] for position in positions]
            kept = [row for row, position in enumerate(positions) if position % every == 0]
            clean = self._clean(numbers, taps)
            for tap, features in self._features(inputs, taps, fitted):
                layout = infer_layout(features.shape[2], inputs.aspect)
                if kept:
                    reached[tap].sample.append((features[kept], layout))
                self._add(reached[tap], tap, features, layout, numbers, clean[tap])
        return reached

    # -- details --------------------------------------------------------------------------------

    def _noisy(self, kind: str, severity: int, draw: int, number: int) -> MedicalImage:
        side = self.side if self.fixed else None
        spread = self.spreads.get(kind, 0.5)
        return noisy_draw(
            self.small[number], kind, severity, draw, side=side, seed=self.seed, spread=spread
        )

    def _shown(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        shown: set[str] = set()

        def see(tap: str, features: Tensor) -> None:
            shown.add(tap)

        if taps:
            self.encoder.visit(self.encoder.prepare(self.images[0]), see, last_tap=taps[-1])
        return tuple(tap for tap in taps if tap in shown)

    def _features(
        self,
        inputs: PixelInputs,
        taps: Sequence[str],
        fitted: Mapping[str, FittedMap] | None = None,
    ) -> list[tuple[str, Tensor]]:
        """Features (images, tiles, tokens, dim) at `taps`, with the maps `fitted` before them."""
        seen: list[tuple[str, Tensor]] = []

        def see(tap: str, features: Tensor) -> Tensor | None:
            if fitted and tap in fitted and fitted[tap].rank:
                hidden = features.float().cpu()
                layout = infer_layout(hidden.shape[2], inputs.aspect)
                return apply_map(hidden, layout, self.standards[tap], fitted[tap])
            if tap in taps:
                seen.append((tap, features.float().cpu()))
            return None

        if taps:
            self.encoder.visit(inputs, see, last_tap=taps[-1])
        return seen

    def _clean(self, numbers: Sequence[int], taps: Sequence[str]) -> dict[str, dict[int, Tensor]]:
        """By tap and number: patches (tiles, patches, dim) of clean references."""
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
        reached: Reached,
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
        residual = (wanted - patches[rows]) / self.standards[tap].scale
        context = self.standards[tap].context(features[rows], layout)
        if reached.moments is None:
            reached.moments = Moments(context.size, residual.shape[-1])
        folds = torch.tensor([numbers[row] % 2 for row in rows])
        reached.moments.add(context, residual, folds)
