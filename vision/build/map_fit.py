"""Fits the calibration maps of one stage: class by class at every tap, and one of all classes.

A map is fitted on features that the maps at earlier taps have changed. Where most taps get a map,
each tap has a pass of its own, which ends there. Where most maps explain too little and are left
out, one pass fits every tap as if no earlier tap had a map, which is exact up to the first tap that
gets one; only the taps after it need another pass, with that map applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vision.build.encoder_passes import EncoderPasses
from vision.calibrate.class_maps import ClassMaps
from vision.calibrate.moments import FittedMap, Moments
from vision.reading.medical_image import MedicalImage

CAP = 1.0
"""Largest change of the standardised features, as a share of their norm (`ClassMaps.cap`)."""

_POOLED = ("gram", "cross", "power")


class MapFit:
    """Maps of every class and tap of one stage."""

    def __init__(
        self, passes: EncoderPasses, *, rank: int, min_gain: float, expect_maps: bool
    ) -> None:
        """Begin without a class.

        Args:
            passes: of the encoder.
            rank: largest rank of a map.
            min_gain: share of the residual of left-out references that a map must explain.
            expect_maps: whether most taps will get a map; decides what passes cost, not what is
                fitted.
        """
        self.passes = passes
        self.rank = rank
        self.min_gain = min_gain
        self.expect_maps = expect_maps
        self.pooled: dict[str, Moments] = {}
        self.fitted: dict[str, list[FittedMap | None]] = {tap: [] for tap in passes.taps}
        """By tap: of each class; None where no draw has its reference's tokens."""
        self.gains: dict[str, dict[str, list[float]]] = {tap: {} for tap in passes.taps}

    def fit(self, images: Sequence[MedicalImage], numbers: Sequence[int]) -> dict[str, Tensor]:
        """Fit one class on draws of the references of these numbers.

        Adds its moments to those of all classes. Returns arrays by name, for `load`.
        """
        found: dict[str, Tensor] = {}
        fitted: dict[str, FittedMap] = {}
        left = list(self.passes.taps)
        while left:
            now = left[:1] if self.expect_maps else list(left)
            moments = self.passes.moments(images, numbers, fitted, now)
            for tap in now:
                left.remove(tap)
                if tap not in moments:  # no draw has its reference's tokens there
                    continue
                one = fitted[tap] = moments[tap].solve(self.rank, min_gain=self.min_gain)
                if tap in self.pooled:
                    self.pooled[tap].merge(moments[tap])
                else:
                    self.pooled[tap] = moments[tap]
                found |= {f"left.{tap}": one.left, f"right.{tap}": one.right}
                found[f"gain.{tap}"] = torch.tensor(one.gain, dtype=torch.float64)
                if one.rank:
                    break
        return found

    def load(self, kind: str, found: Mapping[str, Tensor]) -> None:
        """Add the result of `fit` for a class of this kind, computed now or by an earlier run."""
        for tap in self.passes.taps:
            one = None
            if f"gain.{tap}" in found:
                gain = float(found[f"gain.{tap}"])
                one = FittedMap(found[f"left.{tap}"], found[f"right.{tap}"], gain)
            self.fitted[tap].append(one)
            self.gains[tap].setdefault(kind, []).append(one.gain if one and one.rank else 0.0)

    def maps(self) -> dict[str, ClassMaps]:
        """The fitted maps by tap, in order of depth; taps without a map are left out."""
        found: dict[str, ClassMaps] = {}
        for tap, moments in self.pooled.items():
            pooled = moments.solve(self.rank, min_gain=self.min_gain)
            none = FittedMap(pooled.left[:, :0], pooled.right[:0], 0.0)
            every = [*(one or none for one in self.fitted[tap]), pooled]
            maps = ClassMaps.of_maps(self.passes.scalers[tap], every, CAP)
            if not maps.is_empty:
                found[tap] = maps
        return {tap: found[tap] for tap in self.passes.taps if tap in found}

    def mean_gains(self) -> dict[str, dict[str, float]]:
        """By tap and kind: share of the left-out residual explained, mean over severities."""
        return {
            tap: {kind: round(sum(gains) / len(gains), 4) for kind, gains in by_kind.items()}
            for tap, by_kind in self.gains.items()
        }

    def pooled_tensors(self) -> dict[str, Tensor]:
        """The moments of all classes so far by name, for `load_pooled`."""
        return {
            f"{name}.{tap}": tensor.cpu()
            for tap, moments in self.pooled.items()
            for name, tensor in moments.to_tensors().items()
        }

    def load_pooled(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the moments of the classes that were fitted by an earlier run."""
        for tap in {name.partition(".")[2] for name in tensors}:
            self.pooled[tap] = Moments.from_tensors(
                {name: tensors[f"{name}.{tap}"] for name in _POOLED}
            )
