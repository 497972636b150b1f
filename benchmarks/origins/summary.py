"""Figures of groups of outcomes: by image within an origin, then means over origins."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, Resampled, average, share
from origins.outcomes import Outcome
from vision.report import CLEAN

WORSE = 1.02
"""A ratio above this is a picture that became worse."""

DOMAINS = {
    "bccd": "blood smears",
    "busi": "ultrasound",
    "chase-db1": "fundus",
    "dsb2018-nuclei": "nuclei",
    "figshare-brain-tumor": "MR",
    "hannover-covid19": "radiographs",
    "isic2017": "skin",
    "kermany-pediatric-cxr": "radiographs",
    "lesjak-ms": "MR",
    "nih-cadlab-ct": "CT",
    "slake": "radiographs, CT, MR",
    "vqa-rad": "radiographs, CT, MR",
}
"""What is seen, by origin; another origin is a domain of its own."""

RADIOLOGY = ("radiographs", "CT", "MR", "radiographs, CT, MR")


@dataclass(frozen=True)
class Figures:
    """Of a group of noisy pictures; ratios are of those restored, None where there are none."""

    pictures: int
    restored: Estimate
    declined: Estimate
    left_as_clean: Estimate
    median: Estimate | None
    upper: Estimate | None
    """95th percentile."""
    worse: Estimate | None
    worst: float | None
    features: Estimate | None
    """Median ratio of the features' errors; None without a model."""


def domain(origin: str) -> str:
    """What the pictures of an origin show."""
    return DOMAINS.get(origin, origin)


def clean_touched(outcomes: Sequence[Outcome]) -> Estimate | None:
    """Share of clean pictures that were changed, with Wilson's interval; None without any."""
    clean = [one.touched for one in outcomes if one.kind == CLEAN]
    return share(sum(clean), len(clean)) if clean else None


def figures(outcomes: Sequence[Outcome]) -> Figures | None:
    """Means over origins of the figures of their noisy pictures; None where there are none.

    A ratio's mean is over the origins of which any picture was restored.
    """
    noisy = [one for one in outcomes if one.kind != CLEAN]
    if not noisy:
        return None
    groups = [
        _Group([one for one in noisy if one.origin == origin])
        for origin in sorted({one.origin for one in noisy})
    ]
    ratios = [one.ratio for one in noisy if one.touched]
    size = (len(noisy), len({(one.origin, one.image) for one in noisy}))

    def mean(figure: Callable[[_Group], Resampled]) -> Estimate | None:
        known = [one for one in map(figure, groups) if not np.isnan(one.value)]
        return _estimate(average(known), *size) if known else None

    def rate(case: Callable[[Outcome], bool]) -> Estimate:
        return _estimate(average([group.rate(case) for group in groups]), *size)

    return Figures(
        pictures=len(noisy),
        restored=rate(lambda one: one.touched),
        declined=rate(lambda one: not one.touched and bool(one.declined)),
        left_as_clean=rate(lambda one: not one.touched and not one.declined),
        median=mean(lambda group: group.quantile(0.5)),
        upper=mean(lambda group: group.quantile(0.95)),
        worse=mean(lambda group: group.worse()),
        worst=max(ratios) if ratios else None,
        features=mean(lambda group: group.features()),
    )


def worst_outcomes(outcomes: Sequence[Outcome], count: int) -> list[Outcome]:
    """The restored noisy pictures of largest ratio, largest first."""
    restored = [one for one in outcomes if one.kind != CLEAN and one.touched]
    return sorted(restored, key=lambda one: -one.ratio)[:count]


class _Group:
    """The noisy pictures of one origin, with draws of its images."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        self.restored = [one.touched for one in outcomes]
        # a seed of its own: origins are drawn independently of each other
        seed = zlib.crc32(outcomes[0].origin.encode())
        self.bootstrap = ClusterBootstrap([one.image for one in outcomes], seed=seed)

    def rate(self, case: Callable[[Outcome], bool]) -> Resampled:
        return self.bootstrap.rate([case(one) for one in self.outcomes])

    def worse(self) -> Resampled:
        # no restored picture: no share, not a division by zero
        if not any(self.restored):
            return self.quantile(0.5)
        return self.bootstrap.rate([one.ratio > WORSE for one in self.outcomes], self.restored)

    def quantile(self, of: float) -> Resampled:
        return self.bootstrap.quantile([one.ratio for one in self.outcomes], of, self.restored)

    def features(self) -> Resampled:
        known = [one.feature_ratio is not None for one in self.outcomes]
        values = [one.feature_ratio or 0.0 for one in self.outcomes]
        return self.bootstrap.quantile(values, 0.5, known)


def _estimate(figure: Resampled, items: int, clusters: int) -> Estimate:
    usable = figure.draws[~np.isnan(figure.draws)]
    low, high = np.percentile(usable, (2.5, 97.5)) if usable.size else (np.nan, np.nan)
    return Estimate(figure.value, float(low), float(high), items, clusters)
