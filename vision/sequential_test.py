"""A sequential test, on p-values, of whether images stopped being as clean as the references.

Under the null hypothesis "clean" a p-value is stochastically at least uniform. The test multiplies
factors that are large for small p-values (power martingales: Vovk, Nouretdinov and Gammerman 2003,
"Testing exchangeability on-line"; Fedorova et al. 2012):

    e_t = eps * p_t^(eps - 1)              R_t = (R_{t-1} + w_t) * e_t          over a grid of eps

`w_t` is the weight of a test that starts at image t; with it, a long clean history does not reduce
the power against a later change (Shin, Ramdas and Rinaldo 2022, "E-detectors"). There are two
guarantees, for images that are independent of each other and of the references and have the same
distribution:

- **ever** (`false_alarms` = d): w_t = 1 / (t (t + 1)), which sums to 1. The mean of R_t over the
  grid plus the weight of later starts is a supermartingale with initial value 1. By Ville's
  inequality the probability of an alarm in a clean stream of any length is at most d.
- **run length** (`run_length` = A): w_t = 1, the Shiryaev-Roberts statistic. The mean number of
  images of a clean stream until an alarm is at least A.

The p-values of a bank share one set of references. Given the references they are independent, but
by chance the set may be cleaner than the domain, and after about as many images as there are
references the guarantee would no longer hold for the plain p-values. So each is replaced by an
upper confidence bound on the probability of such a score. The bounds hold at all levels at once
except with probability d / 2 over the draw of references (d with a run length); the rest of d is
left for the test. Bates et al. 2023, "Testing for outliers with conformal p-values", call such
p-values calibration-conditional.

Not covered: slices of one patient or repeats of one image are not independent. The scores of a
bank's references come from fits without them (cross-conformal), so that they are slightly less
clean than those of new images, which is conservative in practice but not proved. A baseline's
pictures took no part in any fit, and with `OnlineRanks` the guarantee is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]

EXPONENTS = np.arange(1, 10) / 10.0
"""Grid of eps: near 0 sensitive to a few tiny p-values, near 1 to many slightly small ones."""

_GRID_RATIO = 1.1
"""Ratio of successive ranks at which the bound is exact; in between, the next rank's is used."""

RANK_TOLERANCE = 1e-9
"""Tolerance, so that a p-value k / (n + 1) in floating point has rank k."""

MOST_SCORES, EXACT_SCORES = 4096, 1024
"""Scores that `OnlineRanks` keeps, and how many of the largest are never merged."""


def conservative_p_values(references: int, error_probability: float) -> Floats:
    """Upper bounds on the clean distribution's tail at every conformal rank, (references + 1,).

    Entry k is for the p-value (k + 1) / (references + 1). With probability 1 - `error_probability`
    over independent references all entries hold at once: order statistics of uniforms have beta
    distributions, and a geometric grid of ranks shares the error probability equally.
    """
    steps = int(np.ceil(np.log(max(references, 2)) / np.log(_GRID_RATIO)))
    exponents = np.arange(steps + 1) / steps
    ranks = np.unique(np.ceil(references**exponents - RANK_TOLERANCE).astype(int))
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


class OnlineRanks:
    """Conformal p-values of a stream among a baseline and all of the stream before it.

    Where the baseline and the stream are exchangeable these p-values are independent of each other
    and stochastically at least uniform, whatever the baseline's size: no bound is needed for its
    number, and a clean history makes them finer. In constant memory: where there are too many
    scores, neighbours below the largest ones are merged into the higher of the two, which makes
    later p-values larger, never smaller.
    """

    def __init__(self, baseline: Floats, seed: int = 0) -> None:
        """Begin with the non-conformity scores of a baseline, (n,); ties are broken by `seed`."""
        self._rng = np.random.default_rng(seed)
        self._scores = np.sort(baseline)
        self._counts = np.ones(len(baseline))

    def __len__(self) -> int:
        """How many scores are kept."""
        return len(self._scores)

    def p_value(self, score: float) -> float:
        """p-value of the stream's next score, which then joins the others."""
        first = np.searchsorted(self._scores, score, side="left")
        last = np.searchsorted(self._scores, score, side="right")
        place = int(self._rng.integers(first, last, endpoint=True))
        p_value = (1.0 + self._counts[place:].sum()) / (1.0 + self._counts.sum())
        self._scores = np.insert(self._scores, place, score)
        self._counts = np.insert(self._counts, place, 1.0)
        if len(self._scores) > MOST_SCORES:
            self._merge()
        return float(p_value)

    def _merge(self) -> None:
        low = (len(self._scores) - EXACT_SCORES) // 2 * 2
        counts = self._counts[:low].reshape(-1, 2).sum(axis=1)
        self._scores = np.concatenate([self._scores[1:low:2], self._scores[low:]])
        self._counts = np.concatenate([counts, self._counts[low:]])
