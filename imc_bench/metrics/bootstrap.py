"""Intervals: a paired bootstrap clustered by image, and Wilson's for rates near 0.

`values` hold one number an item, in the order of the `groups` that name each item's cluster: its
image. Intervals are 95 % percentile intervals over draws of clusters with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imc_bench.errors import StatisticRefused

DRAWS = 1000
INTERVAL = (2.5, 97.5)

LEAST_DROP = 0.03
"""A recovered fraction is suppressed where noise costs less: it would divide noise by noise."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and what it rests on."""

    value: float
    low: float
    high: float
    items: int
    clusters: int

    @property
    def claimed(self) -> bool:
        """Whether the interval leaves out 0: a difference that may be claimed."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Resampled:
    """A figure over all items, and the same figure in every draw: what an interval is read from."""

    value: float
    draws: Floats
    """(draws,), NaN where a draw has nothing to take a mean of."""

    def __sub__(self, other: Resampled) -> Resampled:
        """The paired difference."""
        return Resampled(self.value - other.value, self.draws - other.draws)


def average(figures: Sequence[Resampled]) -> Resampled:
    """The plain mean of several figures over the same draws: of the cells of a side."""
    return Resampled(
        float(np.mean([one.value for one in figures])),
        np.asarray(np.mean([one.draws for one in figures], axis=0)),
    )


class ClusterBootstrap:
    """The same draws of clusters for every figure over the same items, so that all are paired."""

    def __init__(self, groups: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> None:
        """Draw how often each cluster counts: (draws, clusters), from `seed`.

        Clusters are taken in the order of their names, so that the order of items does not matter.

        Raises:
            StatisticRefused: no items, or no draws.
        """
        names, self._cluster = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        if names.size == 0 or draws < 1:
            raise StatisticRefused("nothing to draw from: at least one item and one draw is needed")
        self.items, self.clusters = int(self._cluster.size), int(names.size)
        shares = np.full(self.clusters, 1 / self.clusters)
        rng = np.random.default_rng(seed)
        self._times: Floats = rng.multinomial(self.clusters, shares, size=draws).astype(np.float64)

    def rate(self, values: ArrayLike, counted: ArrayLike | None = None) -> Resampled:
        """The mean over items, or over those of them that are `counted` (1, others 0).

        Some scoring rules leave answers out of their denominator: it is then drawn too.

        Raises:
            StatisticRefused: another number of values than items.
        """
        array = _values(values, self.items)
        weights = np.ones(self.items) if counted is None else _values(counted, self.items)
        hits, sizes = (
            np.bincount(self._cluster, weights=one, minlength=self.clusters)
            for one in (array * weights, weights)
        )
        with np.errstate(invalid="ignore"):
            return Resampled(
                float(np.divide((array * weights).sum(), weights.sum())),
                np.asarray((self._times @ hits) / (self._times @ sizes)),
            )

    def quantile(
        self, values: ArrayLike, share: float, counted: ArrayLike | None = None
    ) -> Resampled:
        """The least of the values with at least `share` of all values at or below it.

        Args:
            values: one for each item.
            share: in (0, 1]: .5 for the (lower) median.
            counted: 1 for the items that the quantile is of, else 0.

        Raises:
            StatisticRefused: another number of values than items, or a share outside (0, 1].
        """
        if not 0.0 < share <= 1.0:
            raise StatisticRefused(f"a quantile has a share above 0 and up to 1, got {share!r}")
        array = _values(values, self.items)
        weights = np.ones(self.items) if counted is None else _values(counted, self.items)
        order = np.argsort(array, kind="stable")
        order = order[weights[order] > 0]
        if not order.size:
            return Resampled(np.nan, np.full(len(self._times), np.nan))
        times = np.vstack([np.ones(self.clusters), self._times])[:, self._cluster[order]]
        below = np.cumsum(times, axis=1)
        # 1e-9: a share of a whole number of items is met by that number in floating point too
        reached = below >= share * below[:, -1:] - 1e-9
        found = array[order][np.argmax(reached, axis=1)]
        found[below[:, -1] == 0] = np.nan
        return Resampled(float(found[0]), found[1:])

    def estimate(self, figure: Resampled) -> Estimate:
        """A figure with its interval; draws without it are left out."""
        usable = figure.draws[~np.isnan(figure.draws)]
        low, high = np.percentile(usable, INTERVAL) if usable.size else (np.nan, np.nan)
        return self._estimate(figure.value, float(low), float(high))

    def mean(self, values: ArrayLike) -> Estimate:
        """The mean over items: an accuracy, or of a difference `a - b` the paired difference."""
        return self.estimate(self.rate(values))

    def difference(self, after: ArrayLike, before: ArrayLike) -> Estimate:
        """Mean of `after` less mean of `before` over the same items."""
        return self.mean(_values(after, self.items) - _values(before, self.items))

    def recovered(self, clean: ArrayLike, noisy: ArrayLike, repaired: ArrayLike) -> Estimate | None:
        """`recovered_share` of three arrays over the same items."""
        return self.recovered_share(self.rate(clean), self.rate(noisy), self.rate(repaired))

    def recovered_share(
        self,
        clean: Resampled,
        noisy: Resampled,
        repaired: Resampled,
        *,
        least_drop: float = LEAST_DROP,
    ) -> Estimate | None:
        """(repaired - noisy) / (clean - noisy); None where the denominator is under `least_drop`.

        Draws in which noise costs nothing have no fraction. Where they are more than the interval
        leaves out, its ends are infinite: the data do not bound the fraction.
        """
        gained, lost = repaired - noisy, clean - noisy
        # a drop of exactly three points is shown; 1e-12 keeps it so in floating point
        if not lost.value >= least_drop - 1e-12:
            return None
        usable = lost.draws > 0
        low, high = -np.inf, np.inf
        if (~usable).mean() <= INTERVAL[0] / 100:
            low, high = np.percentile(gained.draws[usable] / lost.draws[usable], INTERVAL)
        return self._estimate(float(gained.value / lost.value), float(low), float(high))

    def removed_share(self, before: Resampled, after: Resampled) -> Estimate | None:
        """(before - after) / before, of a rate that should be small, as that of flips; None where
        there was nothing to take away."""
        none = Resampled(0.0, np.zeros_like(before.draws))
        return self.recovered_share(none, none - before, none - after, least_drop=1e-9)

    def _estimate(self, value: float, low: float, high: float) -> Estimate:
        return Estimate(value, low, high, self.items, self.clusters)


def share(count: int, of: int) -> Estimate:
    """A share of independent cases with its 95 % Wilson interval, which is not empty at 0.

    For rates near 0 (false alarms, false edits), where a bootstrap of no events claims certainty.
    Wilson 1927.

    Raises:
        StatisticRefused: no cases, or more counted than there are.
    """
    if of < 1 or not 0 <= count <= of:
        raise StatisticRefused(f"{count} of {of} is no share")
    z = 1.959963984540054  # 97.5 % quantile of the normal distribution
    value = count / of
    middle = (value + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * float(np.sqrt(value * (1 - value) / of + (z / (2 * of)) ** 2))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(value, 0.0 if count == 0 else low, 1.0 if count == of else high, of, of)


def _values(values: ArrayLike, items: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (items,):
        raise StatisticRefused(f"expected one value for each of {items} items, got {array.shape}")
    if np.isnan(array).any():
        raise StatisticRefused("a value is missing (NaN); pair the items before comparing")
    return array
