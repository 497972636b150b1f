"""Building a prototype bank: clean references, noisy draws, closed-form fits. No labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from imc_noise import CORE_IMAGE, get_noise
from vision.bank import PrototypeBank
from vision.cascade import Moments, TapMaps, fit_distance
from vision.draws import BEYOND, MIN_IMAGES, check_references
from vision.encoder import VisionEncoder
from vision.reading import MedicalImage
from vision.references import Drawn, FittedMap, References
from vision.report import CLEAN
from vision.restorer_fit import fit_restorer
from vision.second_sight import SecondSight

__all__ = ["MIN_IMAGES", "PrototypeBank", "build_bank", "calibration_taps"]

Progress = Callable[[str, int, int], None]
"""(what, done, of all)."""

DEFAULT_RANK = 48
"""Rank of each map: half-precision maps of a 128-dim, 5-tap tower then take about 14 MB."""

MORE_KINDS = ("speckle", "impulse", "gamma_up", "kspace_spike")
"""Kinds beside the core six that a bank knows, coarsely: those whose information survives and that
the core six do not cover."""

_COARSE = (2, 4)
_COARSE_SPREAD = 1.0
"""Grid points of those kinds, and how far around them strengths are drawn."""

_DEPTHS = (0.15, 0.3, 0.65)
"""Depths of the block taps as shares of the tower: blocks 0, 1 and 3 of five."""

_PLENTY = 192
"""References from which one draw per class is enough; fewer get two."""

_PROTOTYPE_DRAWS = 2
"""Draws of every class that the pixel stage's prototypes are taken from."""

_CAP = 1.0
"""Largest change of the standardised features, as a share of their norm."""


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
    severities: Sequence[int] = (1, 2, 3, 4, 5, BEYOND),
    more_kinds: Sequence[str] = MORE_KINDS,
    seed: int = 0,
    rank: int = DEFAULT_RANK,
    progress: Progress | None = None,
) -> PrototypeBank:
    """Build the bank of the encoder's model from clean, unlabelled `images` of its domain.

    `kinds` are known by every severity of the grid, `more_kinds` in two coarse steps. `progress` is
    told of every step begun. Raises BankRefused for fewer than 64 different images
    or near-duplicates of a few, and imc_noise.UnknownNoise for an unknown kind.
    """
    check_references(images)
    further = [kind for kind in more_kinds if kind not in kinds]
    for kind in (*kinds, *further):
        get_noise(kind)
    noisy = [(kind, severity) for kind in kinds for severity in severities]
    noisy += [(kind, severity) for kind in further for severity in _COARSE]
    classes = [(CLEAN, 0), *noisy]
    tell = progress or (lambda what, done, of: None)
    steps = Steps(tell, of=2 * len(noisy) + len(kinds) + len(further) + 3)
    draws = 1 if len(images) >= _PLENTY else 2
    with torch.inference_mode():
        references = References(encoder, list(images), calibration_taps(encoder), seed)
        references.spreads = dict.fromkeys(further, _COARSE_SPREAD)
        steps.next("clean references")
        references.look_at_clean()
        for label, (kind, severity) in enumerate(noisy, start=1):
            steps.next(f"perceive {kind} {severity}")
            references.look_at_noisy(kind, severity, label, draws)
        perceiver = references.rows.fit(classes, seed)
        restorer, folded = fit_restorer(
            references.clean_pictures,
            references.pictures,
            noisy,
            draws=_PROTOTYPE_DRAWS,
            seed=seed,
            tell=lambda kind: steps.next(f"restore {kind}"),
        )
        second = SecondSight(references, folded, perceiver)
        fits = _Fits(references, rank)
        for label, (kind, severity) in enumerate(noisy, start=1):
            steps.next(f"calibrate {kind} {severity}")
            drawn = second.restored_draws(kind, severity, label, draws)
            fits.add(kind, drawn)
        steps.next("mixtures")
        again = second.fit(kinds, [s for s in severities if s < BEYOND], classes, seed)
        maps = fits.maps()
    return PrototypeBank(
        fingerprint=encoder.fingerprint,
        kinds=(*kinds, *further),
        severities=tuple(severities),
        images=len({image.sha256 for image in images}),
        seed=seed,
        side=references.side,
        perception_tap=references.perception_tap,
        perceiver=perceiver,
        maps=maps,
        restored={"pixels": second.shares(), **fits.restored()},
        restorer=restorer,
        again=again,
    )


class Steps:
    """Counts the steps of a build aloud."""

    def __init__(self, tell: Progress, of: int) -> None:
        self.tell, self.of, self.done = tell, of, 0

    def next(self, what: str) -> None:
        """Another step begins."""
        self.tell(what, self.done, self.of)
        self.done += 1


class _Fits:
    """The maps of every tap, class after class, and the map pooled over all classes."""

    def __init__(self, references: References, rank: int) -> None:
        self.references = references
        self.rank = rank
        self.pooled: dict[str, Moments] = {}
        self.fitted: dict[str, list[FittedMap]] = {tap: [] for tap in references.taps}
        self.gains: dict[str, dict[str, list[float]]] = {tap: {} for tap in references.taps}

    def add(self, kind: str, drawn: Drawn) -> None:
        """Fit one class at every tap, each on features calibrated at the taps before it."""
        own: dict[str, FittedMap] = {}
        for tap in self.references.taps:
            moments = self.references.moments(drawn, tap, own)
            if moments is None:
                raise RuntimeError(f"no draw of {kind} has its reference's tokens at {tap}")
            left, right, gain = moments.solve(self.rank)
            own[tap] = (left, right)
            self.fitted[tap].append(own[tap])
            self.gains[tap].setdefault(kind, []).append(gain)
            if tap in self.pooled:
                self.pooled[tap].merge(moments)
            else:
                self.pooled[tap] = moments
        if own:
            self.references.finish(drawn, own)

    def maps(self) -> dict[str, TapMaps]:
        """Everything calibration needs, by tap."""
        return {tap: self._tap(tap) for tap in self.references.taps}

    def _tap(self, tap: str) -> TapMaps:
        left, right, _ = self.pooled[tap].solve(self.rank)
        every: list[tuple[Tensor, Tensor]] = [*self.fitted[tap], (left, right)]
        return TapMaps(
            standard=self.references.standards[tap],
            distance=fit_distance(
                torch.cat(self.references.clean_statistics[tap]),
                torch.cat(self.references.calibrated_statistics[tap]),
                self.references.means(tap),
            ),
            left=torch.stack([one for one, _ in every]),
            right=torch.stack([other for _, other in every]),
            cap=_CAP,
        )

    def restored(self) -> dict[str, dict[str, float]]:
        """By tap and kind: share of held-out residual explained, mean over severities."""
        return {
            tap: {kind: round(float(np.mean(gains)), 4) for kind, gains in by_kind.items()}
            for tap, by_kind in self.gains.items()
        }
