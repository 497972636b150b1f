"""Drift monitor: a sequential test, on clean p-values, of whether images have become noisy.

Under the null hypothesis "clean" a p-value is stochastically at least uniform. The test multiplies
factors that are large for small p-values (power martingales: Vovk, Nouretdinov and Gammerman 2003,
"Testing exchangeability on-line"; Fedorova et al. 2012):

    e_t = eps * p_t^(eps - 1)              R_t = (R_{t-1} + w_t) * e_t          over a grid of eps

`w_t` is the weight of a test that starts at image t; with it, a long clean history does not reduce
the power against a later change (Shin, Ramdas and Rinaldo 2022, "E-detectors"). There are two
guarantees, for images that are independent of each other and of the bank's references and have the
same distribution:

- **ever** (`false_alarms` = d): w_t = 1 / (t (t + 1)), which sums to 1. The mean of R_t over the
  grid plus the weight of later starts is a supermartingale with initial value 1. By Ville's
  inequality the probability of an alarm in a clean stream of any length is at most d.
- **run length** (`run_length` = A): w_t = 1, the Shiryaev-Roberts statistic. The mean number of
  images of a clean stream until an alarm is at least A.

All p-values share one set of references. Given the references they are independent, but by chance
the set may be cleaner than the domain, and after about as many images as there are references the
guarantee would no longer hold for the plain p-values. So each is replaced by an upper confidence
bound on the probability of such a score. The bounds hold at all levels at once except with
probability d / 2 over the draw of references (d with a run length); the rest of d is left for the
test. Bates et al. 2023, "Testing for outliers with conformal p-values", call such p-values
calibration-conditional.

Not covered: slices of one patient or repeats of one image are not independent; clean images of a
site that differ from the references are a drift and raise an alarm; and the references' scores come
from fits without them (cross-conformal), so that they are slightly less clean than those of new
images, which is conservative in practice but not proved.
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
"""Grid of eps: near 0 sensitive to a few tiny p-values, near 1 to many slightly small ones."""

_GRID_RATIO = 1.1
"""Ratio of successive ranks at which the bound is exact; in between, the next rank's is used."""

_SLACK = 1e-9
"""Tolerance, so that a p-value k / (n + 1) in floating point has rank k."""


def conservative_p_values(references: int, error_probability: float) -> Floats:
    """Upper bounds on the clean distribution's tail at every conformal rank, (references + 1,).

    Entry k is for the p-value (k + 1) / (references + 1). With probability 1 - `error_probability`
    over independent references all entries hold at once: order statistics of uniforms have beta
    distributions, and a geometric grid of ranks shares the error probability equally.
    """
    steps = int(np.ceil(np.log(max(references, 2)) / np.log(_GRID_RATIO)))
    ranks = np.unique(np.ceil(references ** (np.arange(steps + 1) / steps) - _SLACK).astype(int))
    bounds = beta.ppf(1.0 - error_probability / len(ranks), ranks, references + 1 - ranks)
    next_rank = np.searchsorted(ranks, np.arange(1, references + 1))
    return np.append(np.asarray(bounds, dtype=np.float64)[next_rank], 1.0)


class PowerMartingale:
    """The test's value for one stream of p-values, or for many side by side."""

    def __init__(self, *, ever: bool, streams: tuple[int, ...] = ()) -> None:
        """Begin with the value 1.

        Args:
            ever: the guarantee is on an alarm ever; False: on the mean run length.
            streams: shape of independent streams; `()` for a single one.
        """
        self.ever = ever
        self.images = 0
        self.logs = np.full((*streams, len(EXPONENTS)), -np.inf)
        """Natural log of R_t for each eps."""

    def update(self, p_values: Floats) -> tuple[Floats, Floats]:
        """Multiply in the next p-value of each stream, (streams).

        Returns log10 of the test's value (streams), and ln e_t (streams, eps).
        """
        self.images += 1
        t = self.images
        log_e = np.log(EXPONENTS) + (EXPONENTS - 1.0) * np.log(p_values)[..., None]
        log_weight = -np.log(t * (t + 1.0)) if self.ever else 0.0
        self.logs = np.logaddexp(self.logs, log_weight) + log_e
        value = np.logaddexp.reduce(self.logs, axis=-1) - np.log(len(EXPONENTS))
        if self.ever:
            value = np.logaddexp(value, -np.log(t + 1.0))  # the weight of later starts
        return np.asarray(value / np.log(10.0)), log_e


@dataclass(frozen=True)
class DriftStatus:
    """The state of the test after an image."""

    index: int
    """Index of the image, from 0."""
    evidence: float
    """log10 of the test's value; an alarm is raised at `DriftMonitor.threshold`."""
    alarm: bool
    """Whether an alarm was raised at this image or before."""
    shares: dict[str, float]
    """Share of each kind among the images of the window; kinds that do not occur are left out."""


class DriftMonitor:
    """Sequential test over a stream of images, in constant memory."""

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
            references: number of different reference images behind the p-values; views of one
                image count once. None: the p-values need no correction for their number.
            false_alarms: probability of an alarm ever in a clean stream; with `run_length`, the
                probability, over the references, that the run length is not reached.
            run_length: guarantee instead a mean number of clean images until a false alarm.
            window: number of last images over which shares are computed.

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
        self.window = window
        self._recent: deque[str] = deque(maxlen=window)
        self.restart()

    def restart(self) -> None:
        """Reset the test: after an alarm was examined, or a scanner repaired."""
        self.images = 0
        self.counts: Counter[str] = Counter()
        """Images of each kind."""
        self.alarm_at: int | None = None
        """Index of the image that raised the alarm."""
        self.change_at: int | None = None
        """Estimated index of the change: the start with the largest product at the alarm."""
        self.since_change: Counter[str] = Counter()
        """Images of each kind since the estimated change."""
        self.largest = -np.inf
        """Largest evidence so far."""
        self._recent.clear()
        self._martingale = PowerMartingale(ever=self.run_length is None)
        self._log_runs = np.zeros(len(EXPONENTS))
        self._run_starts = np.zeros(len(EXPONENTS), dtype=np.int64)
        self._run_counts: list[Counter[str]] = [Counter() for _ in EXPONENTS]

    def update(self, p_value: float, kind: str) -> DriftStatus:
        """Add the next image's clean p-value and kind of noise.

        Raises ValueError for a p-value outside (0, 1].
        """
        if not 0.0 < p_value <= 1.0:
            raise ValueError(f"a p-value lies above 0 and up to 1, got {p_value!r}")
        index = self.images
        self.images += 1
        self.counts[kind] += 1
        self._recent.append(kind)
        value, log_e = self._martingale.update(np.asarray(self.conservative(p_value)))
        evidence = float(value)
        self.largest = max(self.largest, evidence)
        if self.alarm_at is None:
            self._follow_runs(log_e, index, kind)
            if evidence >= self.threshold:
                self._raise(index)
        else:
            self.since_change[kind] += 1
        return DriftStatus(index, evidence, self.alarm_at is not None, self._shares())

    @property
    def main_noise(self) -> str | None:
        """The most frequent noise since the estimated change; the first by name of several."""
        noises = [(-count, kind) for kind, count in self.since_change.items() if kind != CLEAN]
        return min(noises)[1] if noises else None

    def conservative(self, p_value: float) -> float:
        """The p-value that the test uses: the bound at its rank among the references."""
        if self._bounds is None:
            return p_value
        rank = int(np.ceil(p_value * len(self._bounds) - _SLACK))
        return float(self._bounds[max(rank, 1) - 1])

    def _follow_runs(self, log_e: Floats, index: int, kind: str) -> None:
        """For each eps the start with the largest product so far, as in CUSUM (Page 1954)."""
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
