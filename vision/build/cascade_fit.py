"""Fitting the cascade: the maps of one class, tap after tap, and those pooled over all classes.

Most maps explain nothing and are left out, so that the taps behind them see what they would have
seen: one pass fits every tap as though none before it had a map, and is right up to the first that
gets one. Only what lies behind that is seen anew, with the map in place.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vision.build.references import References
from vision.build.tap_statistics import Drawn
from vision.calibrate.cascade import TapMaps, fit_distance
from vision.calibrate.moments import FittedMap, Moments

_CAP = 1.0
"""Largest change of the standardised features, as a share of their norm."""


class CascadeFit:
    """The maps of every tap, class after class, and the map pooled over all classes."""

    def __init__(self, references: References, rank: int) -> None:
        self.references = references
        self.rank = rank
        self.pooled: dict[str, Moments] = {}
        self.fitted: dict[str, list[FittedMap]] = {tap: [] for tap in references.taps}
        self.gains: dict[str, dict[str, list[float]]] = {tap: {} for tap in references.taps}
        self.noisy_means: dict[str, list[Tensor]] = {tap: [] for tap in references.taps}
        self.calibrated: dict[str, list[Tensor]] = {tap: [] for tap in references.taps}

    def fit(self, kind: str, drawn: Drawn) -> dict[str, Tensor]:
        """Fit one class at every tap, each on features calibrated at the taps before it.

        Adds to the pooled moments; the rest is for `take`.
        """
        found: dict[str, Tensor] = {}
        fitted: dict[str, FittedMap] = {}
        left = list(self.references.taps)
        while left:
            reached = self.references.reach(drawn, fitted, left)
            for tap in tuple(left):
                moments = reached[tap].moments
                if moments is None:
                    raise RuntimeError(f"no draw of {kind} has its reference's tokens at {tap}")
                one = fitted[tap] = moments.solve(self.rank)
                self._pool(tap, moments)
                standard = self.references.standards[tap]
                found |= {
                    f"left.{tap}": one.left,
                    f"right.{tap}": one.right,
                    f"gain.{tap}": torch.tensor(one.gain, dtype=torch.float64),
                    f"noisy.{tap}": reached[tap].statistics(standard).double().mean(0),
                    f"calibrated.{tap}": reached[tap].statistics(standard, one),
                }
                left.remove(tap)
                if one.rank:
                    break
        return found

    def take(self, kind: str, found: Mapping[str, Tensor]) -> None:
        """Remember what `fit` found."""
        for tap in self.references.taps:
            gain = float(found[f"gain.{tap}"])
            one = FittedMap(found[f"left.{tap}"], found[f"right.{tap}"], gain)
            self.fitted[tap].append(one)
            self.gains[tap].setdefault(kind, []).append(gain if one.rank else 0.0)
            self.noisy_means[tap].append(found[f"noisy.{tap}"])
            self.calibrated[tap].append(found[f"calibrated.{tap}"])

    def maps(self, noisy: Tensor | None) -> dict[str, TapMaps]:
        """Everything calibration needs, by tap; taps without a map are left out.

        The perception tap stays for its distance, which looks along the `noisy` (k, s) means of
        classes as drawn, too.
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
        return TapMaps.of(self.references.standards[tap], distance, every, _CAP)

    def restored(self) -> dict[str, dict[str, float]]:
        """By tap and kind: share of held-out residual explained, mean over severities; maps that
        were left out explain none."""
        return {
            tap: {kind: round(sum(gains) / len(gains), 4) for kind, gains in by_kind.items()}
            for tap, by_kind in self.gains.items()
        }

    def pooled_tensors(self) -> dict[str, Tensor]:
        """The pooled moments by name, for `take_pooled`."""
        return {
            f"{name}.{tap}": tensor
            for tap, moments in self.pooled.items()
            for name, tensor in moments.to_tensors().items()
        }

    def take_pooled(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from pooled moments of classes that were fitted before."""
        for tap in self.references.taps:
            names = ("gram", "cross", "power")
            self.pooled[tap] = Moments.from_tensors({n: tensors[f"{n}.{tap}"] for n in names})

    def _pool(self, tap: str, moments: Moments) -> None:
        if tap in self.pooled:
            self.pooled[tap].merge(moments)
        else:
            self.pooled[tap] = moments
