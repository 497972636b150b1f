"""Fits the calibration maps: of each class, tap after tap, and one map of all classes per tap.

A map is fitted on features that the maps at earlier taps have changed. Most maps explain too little
and are left out. So one pass fits every tap as if no earlier tap had a map, which is exact up to
the first tap that gets one; only the taps after it need another pass, with that map applied.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vision.build.references import References
from vision.build.tap_statistics import PreparedDraws
from vision.calibrate.cascade import TapMaps, fit_distance
from vision.calibrate.moments import FittedMap, Moments

_CAP = 1.0
"""Largest change of the standardised features, as a share of their norm (`TapMaps.cap`)."""


class CascadeFit:
    """Fits the maps of every tap, class after class, and the map of all classes."""

    def __init__(self, references: References, rank: int) -> None:
        self.references = references
        self.rank = rank
        self.pooled: dict[str, Moments] = {}
        self.fitted: dict[str, list[FittedMap]] = {tap: [] for tap in references.taps}
        self.gains: dict[str, dict[str, list[float]]] = {tap: {} for tap in references.taps}
        self.noisy_means: dict[str, list[Tensor]] = {tap: [] for tap in references.taps}
        self.calibrated: dict[str, list[Tensor]] = {tap: [] for tap in references.taps}

    def fit(self, kind: str, drawn: PreparedDraws) -> dict[str, Tensor]:
        """Fit one class at every tap.

        Adds its moments to those of all classes. Returns arrays by name, for `load_step`.

        Raises RuntimeError where no draw has as many tokens as its reference.
        """
        found: dict[str, Tensor] = {}
        fitted: dict[str, FittedMap] = {}
        left = list(self.references.taps)
        while left:
            statistics = self.references.tap_statistics(drawn, fitted, left)
            for tap in tuple(left):
                moments = statistics[tap].moments
                if moments is None:
                    raise RuntimeError(f"no draw of {kind} has its reference's tokens at {tap}")
                one = fitted[tap] = moments.solve(self.rank)
                self._pool(tap, moments)
                scaler = self.references.scalers[tap]
                found |= {
                    f"left.{tap}": one.left,
                    f"right.{tap}": one.right,
                    f"gain.{tap}": torch.tensor(one.gain, dtype=torch.float64),
                    f"noisy.{tap}": statistics[tap].statistics(scaler).double().mean(0),
                    f"calibrated.{tap}": statistics[tap].statistics(scaler, one),
                }
                left.remove(tap)
                if one.rank:
                    break
        return found

    def load_step(self, kind: str, found: Mapping[str, Tensor]) -> None:
        """Add the result of `fit` for one class, computed now or loaded from a finished step."""
        for tap in self.references.taps:
            gain = float(found[f"gain.{tap}"])
            one = FittedMap(found[f"left.{tap}"], found[f"right.{tap}"], gain)
            self.fitted[tap].append(one)
            self.gains[tap].setdefault(kind, []).append(gain if one.rank else 0.0)
            self.noisy_means[tap].append(found[f"noisy.{tap}"])
            self.calibrated[tap].append(found[f"calibrated.{tap}"])

    def maps(self, noisy: Tensor | None) -> dict[str, TapMaps]:
        """The fitted maps by tap; taps without a map are left out, except the perception tap.

        Args:
            noisy: (k, s) mean statistics of the unrestored classes at the perception tap, whose
                distance is measured in their directions too; None where there are none.
        """
        return {
            tap: maps
            for tap in self.references.taps
            if not (maps := self._tap(tap, noisy)).is_empty or tap == self.references.perception_tap
        }

    def _tap(self, tap: str, noisy: Tensor | None) -> TapMaps:
        means = torch.stack(self.noisy_means[tap])
        if noisy is not None and tap == self.references.perception_tap:
            means = torch.cat([means, noisy.to(means)])
        distance = fit_distance(
            self.references.clean_statistics[tap], torch.cat(self.calibrated[tap]), means
        )
        every = [*self.fitted[tap], self.pooled[tap].solve(self.rank)]
        return TapMaps.of(self.references.scalers[tap], distance, every, _CAP)

    def restored(self) -> dict[str, dict[str, float]]:
        """By tap and kind: share of the held-out residual explained, mean over severities.

        A map that was left out counts as 0.
        """
        return {
            tap: {kind: round(sum(gains) / len(gains), 4) for kind, gains in by_kind.items()}
            for tap, by_kind in self.gains.items()
        }

    def pooled_tensors(self) -> dict[str, Tensor]:
        """The moments of all classes by name, for `load_pooled`."""
        return {
            f"{name}.{tap}": tensor
            for tap, moments in self.pooled.items()
            for name, tensor in moments.to_tensors().items()
        }

    def load_pooled(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the moments of the classes that were fitted in an earlier run."""
        for tap in self.references.taps:
            names = ("gram", "cross", "power")
            self.pooled[tap] = Moments.from_tensors({n: tensors[f"{n}.{tap}"] for n in names})

    def _pool(self, tap: str, moments: Moments) -> None:
        if tap in self.pooled:
            self.pooled[tap].merge(moments)
        else:
            self.pooled[tap] = moments
