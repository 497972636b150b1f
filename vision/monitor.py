"""Drift: a sequential test on clean p-values that says when images have left the clean band.

Under "clean" a p-value is at least uniform. Bets on its smallness multiply (power martingales;
Vovk, Nouretdinov and Gammerman 2003, "Testing exchangeability on-line"; Fedorova et al. 2012):

    e_t = eps * p_t^(eps - 1)              R_t = (R_{t-1} + w_t) * e_t          over a grid of eps

`w_t` is what is staked anew at image t, so that images which were clean for years do not use up the
stake (Shin, Ramdas and Rinaldo 2022, "E-detectors"). Two promises are on offer, for images that are
independent of each other and of the bank's references, from the same distribution:

- **ever** (`false_alarms` = d): w_t = 1 / (t (t + 1)), which adds up to 1. The mean of R_t over the
  grid plus the stake that is left is then a supermartingale from 1, and by Ville's inequality the
  probability that a clean stream is ever called drifting, however long it is, is at most d.
- **run length** (`run_length` = A): w_t = 1, the Shiryaev-Roberts statistic. A clean stream runs
  for at least A images on average until it is called drifting.

All p-values share one set of references. Given the references they are independent, but the set may
by luck be cleaner than the domain, and a long stream would find that out: after about as many
images as there are references, bets on the p-values as they are break the promise. So each p-value
is first replaced by an upper confidence bound on the chance of such a score, which holds at all
levels at once except with probability d / 2 over the draw of references (d where the promise is a
run length); the bets get the rest of d. Bates et al. 2023, "Testing for outliers with conformal
p-values", call these calibration-conditional.

What is not promised: slices of one patient or repeats of one image are not independent; where the
clean images of a site differ from the references, that is a drift and will be called one; and the
references' scores come from fits without them (cross-conformal), which makes them look a little
less clean than new images do, on the safe side, but is no theorem.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from vision.report import CLEAN

Floats = NDArray[np.float64]

FALSE_ALARMS = 0.01
WINDOW = 50
"""Images over which shares are taken."""

EXPONENTS = np.arange(1, 10) / 10.0
"""Grid of eps: near 0 bets on a few tiny p-values, near 1 on many that are a little small."""

_GRID_RATIO = 1.1
"""Ranks at which the bound on p-values is exact; between them it is that of the next."""

_SLACK = 1e-9
"""A p-value k / (n + 1) is in floating point not above rank k."""


def conservative_p_values(references: int, doubt: float) -> Floats:
    """Upper bounds on the clean distribution's tail at every conformal rank, (references + 1,).

    Entry k belongs to the p-value (k + 1) / (references + 1). With probability 1 - `doubt` over
    independent references all entries hold at once: order statistics of uniforms are beta, and a
    geometric grid of ranks shares `doubt` equally.
    """
    steps = int(np.ceil(np.log(max(references, 2)) / np.log(_GRID_RATIO)))
    ranks = np.unique(np.ceil(references ** (np.arange(steps + 1) / steps) - _SLACK).astype(int))
    bounds = beta.ppf(1.0 - doubt / len(ranks), ranks, references + 1 - ranks)
    next_rank = np.searchsorted(ranks, np.arange(1, references + 1))
    return np.append(np.asarray(bounds, dtype=np.float64)[next_rank], 1.0)


class Bets:
    """The test's value for one stream of p-values, or for many side by side."""

    def __init__(self, *, ever: bool, streams: tuple[int, ...] = ()) -> None:
        """Begin `streams` (none: a single one) under the promise `ever`, else of a run length."""
        self.ever = ever
        self.images = 0
        self.logs = np.full((*streams, len(EXPONENTS)), -np.inf)
        """Natural log of R_t for each eps."""

    def update(self, p_values: Floats) -> tuple[Floats, Floats]:
        """Take the next p-value of each stream, (streams).

        Returns the test's value as log10 (streams), and ln e_t (streams, eps).
        """
        self.images += 1
        t = self.images
        log_e = np.log(EXPONENTS) + (EXPONENTS - 1.0) * np.log(p_values)[..., None]
        stake = -np.log(t * (t + 1.0)) if self.ever else 0.0
        self.logs = np.logaddexp(self.logs, stake) + log_e
        value = np.logaddexp.reduce(self.logs, axis=-1) - np.log(len(EXPONENTS))
        if self.ever:
            value = np.logaddexp(value, -np.log(t + 1.0))  # the stake not yet placed
        return np.asarray(value / np.log(10.0)), log_e


@dataclass(frozen=True)
class Standing:
    """Where the test stands after an image."""

    index: int
    """Of the image, from 0."""
    evidence: float
    """log10 of the test's value; the alarm is raised at `DriftMonitor.threshold`."""
    alarm: bool
    """Whether it was raised at this image or before."""
    shares: dict[str, float]
    """Share of each kind that occurs among the last images of the window."""


class DriftMonitor:
    """Takes p-values and kinds, image after image, in constant memory."""

    def __init__(
        self,
        references: int | None,
        *,
        false_alarms: float = FALSE_ALARMS,
        run_length: int | None = None,
        window: int = WINDOW,
    ) -> None:
        """Begin with no evidence.

        Args:
            references: how many different images the p-values were taken against; views of one
                image count once. None: the p-values are at least uniform as they are.
            false_alarms: probability that a clean stream is ever called drifting; with
                `run_length`, that the references were too lucky for it.
            run_length: instead, the least mean number of clean images until a false alarm.
            window: number of last images over which shares are taken.

        Raises ValueError for false alarms outside (0, 1) and for numbers below 1.
        """
        if not 0.0 < false_alarms < 1.0:
            raise ValueError(f"false alarms are a probability between 0 and 1: {false_alarms!r}")
        for name, number in (
            ("references", references),
            ("the run length", run_length),
            ("the window", window),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number!r}")
        self.false_alarms = false_alarms
        self.run_length = run_length
        share = 0.5 if references is not None and run_length is None else 1.0
        self._bounds: Floats | None = None
        if references is not None:
            self._bounds = conservative_p_values(references, share * false_alarms)
        self.threshold = float(np.log10(run_length or 1.0 / (share * false_alarms)))
        """Evidence, log10, at which the alarm is raised."""
        self._recent: deque[str] = deque(maxlen=window)
        self.restart()

    def restart(self) -> None:
        """Forget everything seen: after an alarm was looked into, or a scanner mended."""
        self.images = 0
        self.counts: Counter[str] = Counter()
        """Images of each kind."""
        self.alarm_at: int | None = None
        """Index of the image that raised the alarm."""
        self.change_at: int | None = None
        """Index of the image from which the bets that raised the alarm would best have begun."""
        self.since_change: Counter[str] = Counter()
        """Images of each kind since then."""
        self.largest = -np.inf
        """Largest evidence so far."""
        self._recent.clear()
        self._bets = Bets(ever=self.run_length is None)
        self._log_runs = np.zeros(len(EXPONENTS))
        self._run_starts = np.zeros(len(EXPONENTS), dtype=np.int64)
        self._run_counts: list[Counter[str]] = [Counter() for _ in EXPONENTS]

    def update(self, p_value: float, kind: str) -> Standing:
        """Take the next image's clean p-value and perceived kind.

        Raises ValueError for a p-value outside (0, 1].
        """
        if not 0.0 < p_value <= 1.0:
            raise ValueError(f"a p-value lies above 0 and up to 1, got {p_value!r}")
        index = self.images
        self.images += 1
        self.counts[kind] += 1
        self._recent.append(kind)
        value, log_e = self._bets.update(np.asarray(self.conservative(p_value)))
        evidence = float(value)
        self.largest = max(self.largest, evidence)
        if self.alarm_at is None:
            self._follow_runs(log_e, index, kind)
            if evidence >= self.threshold:
                self._raise(index)
        else:
            self.since_change[kind] += 1
        return Standing(index, evidence, self.alarm_at is not None, self._shares())

    @property
    def main_noise(self) -> str | None:
        """The most frequent noise since the estimated change; the first by name of several."""
        noises = [(-count, kind) for kind, count in self.since_change.items() if kind != CLEAN]
        return min(noises)[1] if noises else None

    def conservative(self, p_value: float) -> float:
        """The p-value that is bet on: the bound at its rank among the references."""
        if self._bounds is None:
            return p_value
        rank = int(np.ceil(p_value * len(self._bounds) - _SLACK))
        return float(self._bounds[max(rank, 1) - 1])

    def _follow_runs(self, log_e: Floats, index: int, kind: str) -> None:
        """For each eps the start that would have paid best so far, as in CUSUM (Page 1954)."""
        for j in np.flatnonzero(self._log_runs <= 0.0):
            self._log_runs[j] = 0.0
            self._run_starts[j] = index
            self._run_counts[j] = Counter()
        self._log_runs += log_e
        for counts in self._run_counts:
            counts[kind] += 1

    def _raise(self, index: int) -> None:
        best = int(np.argmax(self._log_runs))
        self.alarm_at = index
        self.change_at = int(self._run_starts[best])
        self.since_change = self._run_counts[best]

    def _shares(self) -> dict[str, float]:
        counts = Counter(self._recent)
        return {kind: counts[kind] / len(self._recent) for kind in sorted(counts)}
