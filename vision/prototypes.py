"""Building a prototype bank: clean references, noisy draws, closed-form fits. No labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imc_noise import CORE_IMAGE, get_noise
from vision.acquisition import acquisition_statistics, grey_image
from vision.bank import MIN_IMAGES, PrototypeBank
from vision.cascade import Moments, Standard, TapMaps, fit_distance
from vision.draws import check_references, clean_view, noisy_draw
from vision.encoder import PixelInputs, VisionEncoder
from vision.layout import TokenLayout, infer_layout
from vision.perception import Perceiver, fit_perceiver
from vision.reading import MedicalImage
from vision.report import CLEAN
from vision.token_statistics import token_statistics

__all__ = ["MIN_IMAGES", "PrototypeBank", "build_bank"]

Progress = Callable[[str, int, int], None]
"""(what, done, of all)."""

DEFAULT_RANK = 48
"""Rank of each map: half-precision maps of a 128-dim, 5-tap tower then take about 10 MB."""

_DEPTHS = (0.15, 0.3, 0.65)
"""Depths of the block taps as shares of the tower: blocks 0, 1 and 3 of five."""

_DEFAULT_SIDE = 224
"""Working side of acquisition statistics where the model's input side varies by image."""

_CLEAN_VIEWS = 4
_BATCH = 32
_PLENTY = 192
"""References from which one draw per class is enough; fewer get two."""


def calibration_taps(encoder: VisionEncoder) -> tuple[str, ...]:
    """The taps of the cascade: the embedding, three blocks at set depths, the projector."""
    blocks = sum(tap.startswith("block.") for tap in encoder.taps)
    chosen = {f"block.{min(int(depth * blocks), blocks - 1)}" for depth in _DEPTHS if blocks}
    return tuple(tap for tap in encoder.taps if tap in chosen or tap in ("embed", "projector"))


def build_bank(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    *,
    kinds: Sequence[str] = CORE_IMAGE,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    seed: int = 0,
    rank: int = DEFAULT_RANK,
    progress: Progress | None = None,
) -> PrototypeBank:
    """Build the bank of the encoder's model from clean, unlabelled `images` of its domain.

    Raises BankRefused for fewer than 64 different images or near-duplicates of a few, and
    imc_noise.UnknownNoise for an unknown kind.
    """
    check_references(images)
    for kind in kinds:
        get_noise(kind)
    builder = _Builder(encoder, list(images), seed, progress or (lambda what, done, of: None))
    with torch.inference_mode():
        return builder.build(tuple(kinds), tuple(severities), rank)


@dataclass
class _Statistics:
    """Statistics collected for perception, row by row."""

    encoder: list[NDArray[np.float64]] = field(default_factory=list)
    pixels: list[NDArray[np.float64]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)


class _Builder:
    """The state of one build."""

    def __init__(
        self,
        encoder: VisionEncoder,
        images: list[MedicalImage],
        seed: int,
        progress: Progress,
    ) -> None:
        self.encoder = encoder
        self.images = images
        self.seed = seed
        self.progress = progress
        self.taps = calibration_taps(encoder)
        self.perception_tap = self.taps[0] if self.taps else ""
        self.side = encoder.input_side or _DEFAULT_SIDE
        self.draws = 1 if len(images) >= _PLENTY else 2
        self.statistics = _Statistics()
        self.clean: dict[str, dict[int, Tensor]] = {tap: {} for tap in self.taps}
        self.tap_statistics: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        self.noisy_means: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        self.standards: dict[str, Standard] = {}
        self.layouts: dict[tuple[str, int], TokenLayout] = {}

    def build(
        self, kinds: tuple[str, ...], severities: tuple[int, ...], rank: int
    ) -> PrototypeBank:
        classes = [(CLEAN, 0), *((kind, severity) for kind in kinds for severity in severities)]
        self._look_at_clean()
        pooled: dict[str, Moments] = {}
        left: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        right: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        gains: dict[str, dict[str, list[float]]] = {tap: {} for tap in self.taps}
        for number, (kind, severity) in enumerate(classes[1:], start=1):
            self.progress(f"{kind} {severity}", number, len(classes) - 1)
            draws = self._noisy(kind, severity, number)
            fitted: dict[str, tuple[Tensor, Tensor]] = {}
            for tap in self.taps:
                moments = self._accumulate(draws, tap, fitted)
                one, other, gain = moments.solve(rank)
                fitted[tap] = (one, other)
                left[tap].append(one)
                right[tap].append(other)
                gains[tap].setdefault(kind, []).append(gain)
                if tap in pooled:
                    pooled[tap].merge(moments)
                else:
                    pooled[tap] = moments
        maps: dict[str, TapMaps] = {}
        for tap in self.taps:
            one, other, _ = pooled[tap].solve(rank)
            maps[tap] = TapMaps(
                standard=self.standards[tap],
                distance=fit_distance(
                    torch.cat(self.tap_statistics[tap]), torch.stack(self.noisy_means[tap])
                ),
                left=torch.stack([*left[tap], one]),
                right=torch.stack([*right[tap], other]),
                cap=1.0,
            )
        return PrototypeBank(
            fingerprint=self.encoder.fingerprint,
            kinds=kinds,
            severities=severities,
            images=len({image.sha256 for image in self.images}),
            seed=self.seed,
            side=self.side,
            perception_tap=self.perception_tap,
            perceiver=self._perceiver(classes),
            maps=maps,
            restored={
                tap: {kind: round(float(np.mean(v)), 4) for kind, v in by_kind.items()}
                for tap, by_kind in gains.items()
            },
        )

    # -- passes over the references -------------------------------------------------------------

    def _look_at_clean(self) -> None:
        """Clean features at every tap (targets), their standardisation, clean statistics."""
        self.progress("clean", 0, 1)
        sums: dict[str, list[Tensor]] = {}
        for view in range(_CLEAN_VIEWS):
            prepared = [
                self._prepare(clean_view(image, view, side=self.side, seed=self.seed), 0, number)
                for number, image in enumerate(self.images)
            ]
            for positions, inputs in self._batches(prepared):

                def see(
                    tap: str,
                    features: Tensor,
                    view: int = view,
                    at: list[int] = positions,
                    aspect: tuple[int, int] | None = inputs.aspect,
                ) -> None:
                    if tap not in self.taps:
                        return
                    layout = infer_layout(features.shape[2], aspect)
                    found = token_statistics(features, layout).cpu()
                    if tap == self.perception_tap:
                        self._note(found, at, view * len(self.images))
                    self.tap_statistics[tap].append(found)
                    if view == 0:
                        patches = features[:, :, layout.prefix :].float().cpu()
                        for row, number in enumerate(at):
                            self.clean[tap][number] = patches[row]
                        flat = patches.reshape(-1, patches.shape[-1]).double()
                        total = torch.stack([flat.sum(0), flat.square().sum(0)])
                        count = torch.full((1, flat.shape[1]), float(len(flat)))
                        sums.setdefault(tap, []).append(torch.cat([total, count.double()]))

                self.encoder.visit(inputs, see, last_tap=self.taps[-1])
        for tap, parts in sums.items():
            first, second, count = torch.stack(parts).sum(0)
            centre = first / count
            scale = (second / count - centre.square()).clamp_min(1e-12).sqrt()
            # Channels that hardly move would be blown up: floor at a hundredth of the typical.
            floor = 0.01 * scale.median()
            self.standards[tap] = Standard(centre.float(), scale.clamp_min(floor).float())

    def _noisy(self, kind: str, severity: int, label: int) -> list[tuple[int, PixelInputs]]:
        """Noisy draws of every reference, prepared, with their perception statistics noted."""
        draws: list[tuple[int, PixelInputs]] = []
        for draw in range(self.draws):
            for number, image in enumerate(self.images):
                # Half of the references at input resolution, half at native; two draws: both.
                spoilt = noisy_draw(
                    image, kind, severity, draw + number, side=self.side, seed=self.seed
                )
                draws.append((number, self._prepare(spoilt, label, number)))
        return draws

    def _prepare(self, image: MedicalImage, label: int, number: int) -> PixelInputs:
        grey = grey_image(image.rgb, self.side)
        self.statistics.pixels.append(acquisition_statistics(grey))
        self.statistics.labels.append(label)
        self.statistics.references.append(number)
        return self.encoder.prepare(image)

    def _note(self, found: Tensor, positions: list[int], offset: int) -> None:
        rows = self.statistics.encoder
        for row, position in enumerate(positions):
            wanted = offset + position
            while len(rows) <= wanted:
                rows.append(np.zeros(0))
            rows[wanted] = found[row].double().numpy()

    def _batches(self, prepared: list[PixelInputs]) -> list[tuple[list[int], PixelInputs]]:
        batches = []
        for start in range(0, len(prepared), _BATCH):
            part = prepared[start : start + _BATCH]
            for positions, inputs in self.encoder.group(part):
                batches.append(([start + position for position in positions], inputs))
        return batches

    def _accumulate(
        self,
        draws: list[tuple[int, PixelInputs]],
        tap: str,
        fitted: dict[str, tuple[Tensor, Tensor]],
    ) -> Moments:
        """One pass up to `tap` over calibrated features: the moments of its map."""
        moments: list[Moments] = []
        seen: list[Tensor] = []
        offset = len(self.statistics.labels) - len(draws)
        for positions, inputs in self._batches([inputs for _, inputs in draws]):
            numbers = [draws[position][0] for position in positions]

            def see(
                name: str,
                features: Tensor,
                numbers: list[int] = numbers,
                at: list[int] = positions,
                aspect: tuple[int, int] | None = inputs.aspect,
            ) -> Tensor | None:
                if name not in self.taps:
                    return None
                layout = infer_layout(features.shape[2], aspect)
                standard = self.standards[name]
                features = features.float().cpu()
                if name == self.perception_tap and name == tap:
                    self._note(token_statistics(features, layout), at, offset)
                if name != tap:
                    if name not in fitted:
                        return None
                    context = standard.context(features, layout)
                    one, other = fitted[name]
                    change = ((context @ one) @ other) * standard.scale
                    changed = features.clone()
                    changed[:, :, layout.prefix :] += change.reshape(
                        changed[:, :, layout.prefix :].shape
                    )
                    return changed
                seen.append(token_statistics(features, layout))
                patches = features[:, :, layout.prefix :]
                keep = [
                    row
                    for row, number in enumerate(numbers)
                    if self.clean[name][number].shape == patches[row].shape
                ]
                if not keep:
                    return None
                clean = torch.stack([self.clean[name][numbers[row]] for row in keep])
                residual = (clean - patches[keep]) / standard.scale
                context = standard.context(features[keep], layout)
                if not moments:
                    moments.append(Moments(context.shape[-1], patches.shape[-1]))
                folds = torch.tensor([numbers[row] % 2 for row in keep])
                moments[0].add(context, residual.reshape(len(keep), -1, patches.shape[-1]), folds)
                return None

            self.encoder.visit(inputs, see, last_tap=tap)
        self.noisy_means[tap].append(torch.cat(seen).double().mean(0))
        return moments[0]

    def _perceiver(self, classes: list[tuple[str, int]]) -> Perceiver:
        rows = self.statistics
        statistics = {"pixels": np.stack(rows.pixels)}
        if rows.encoder:
            statistics = {"encoder": np.stack(rows.encoder), **statistics}
        return fit_perceiver(
            statistics,
            np.array(rows.labels, dtype=np.int64),
            np.array(rows.references, dtype=np.int64),
            classes,
            np.random.default_rng(self.seed),
        )
