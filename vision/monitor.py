"""Drift monitor: whether a stream of images changed, and whether by noise or by a new source.

The sequential test (`vision.sequential_test`) says that images are no longer as clean as the
references; on it alone rests the guarantee on false alarms. What changed is decided after it, from
the images since the estimated change:

- one kind of noise is found in surely more than a fifth of them, since the change or in the window:
  **noise**. A failing scanner shows the same noise again and again. Among clean pictures of ten
  origins that the embedded model's bank lacks the most frequent kind reached 18 % of fluorescence
  micrographs and at most 7 % of the others;
- else their content is surely unlike that of the references (`vision.perceive.content`): a **new
  source**, whose clean pictures the test was not made for;
- else, where their content is known to be as before and surely more than a twentieth are noisy:
  **noise**;
- else, after 20 images, a **new source**, scanner or protocol; a weak noise is not excluded. It
  becomes noise when noisy images become frequent.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from scipy.stats import binom

from vision.report import CLEAN
from vision.sequential_test import (
    EXPONENTS,
    RANK_TOLERANCE,
    Floats,
    PowerMartingale,
    conservative_p_values,
)

FALSE_ALARMS = 0.01
WINDOW = 50
"""Images over which shares are taken."""

UNLIKE_BELOW = 0.1
"""Content p-values at most this large count as unlike the references."""

_USUAL_SHARE = 0.2
"""Share of the most frequent kind of noise that a clean new source may reach."""
_KIND_LEVEL = 0.005
"""Level of the test that the share is larger; it is made at every image."""
_FEW_NOISY = 0.05
"""Share of images that are called noisy in a clean source of the same content."""
_LEVEL = 0.05
"""Level of the tests that more images are called noisy, and that more are unlike the references
than `UNLIKE_BELOW`."""
_UNDECIDED_IMAGES = 20
"""Images since the change before a new source is reported whose content is not unlike."""


class Cause(StrEnum):
    """What a change of the stream is."""

    NOISE = "noise"
    NEW_SOURCE = "new source"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class DriftStatus:
    """The state of the test after an image."""

    index: int
    """Index of the image, from 0."""
    evidence: float
    """log10 of the test's value; a change is reported at `DriftMonitor.threshold`."""
    alarm: bool
    """Whether an alarm for noise was raised at this image or before."""
    new_source: bool
    """Whether a new source was reported at this image or before."""
    shares: dict[str, float]
    """Share of each kind among the images of the window; kinds that do not occur are left out."""


@dataclass
class Run:
    """Images since a start."""

    start: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Images of each kind."""
    compared: int = 0
    """Images whose content was compared with the references'."""
    unlike: int = 0
    """Those of them that are unlike the references."""

    def add(self, kind: str, content_p_value: float | None) -> None:
        """Count an image."""
        self.kinds[kind] += 1
        if content_p_value is not None:
            self.compared += 1
            self.unlike += int(content_p_value <= UNLIKE_BELOW)


class DriftMonitor:
    """Sequential test over a stream of images, in constant memory."""

    def __init__(
        self,
        references: int | None,
        *,
        false_alarms: float = FALSE_ALARMS,
        run_length: int | None = None,
        window: int = WINDOW,
        content_images: int = 0,
    ) -> None:
        """Begin with no evidence.

        Args:
            references: number of different reference images behind the p-values; views of one
                image count once. None: the p-values need no correction for their number, as those
                of `OnlineRanks`.
            false_alarms: probability of an alarm ever in a clean stream; with `run_length`, the
                probability, over the references, that the run length is not reached.
            run_length: guarantee instead a mean number of clean images until a false alarm.
            window: number of last images over which shares are computed.
            content_images: number of the stream's first images that are themselves the references
                for the content: where the change is estimated among them there are none.

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
        """Evidence, log10, at which a change is reported."""
        self.window = window
        self.content_images = content_images
        self._recent: deque[str] = deque(maxlen=window)
        self.restart()

    def restart(self) -> None:
        """Reset the test: after a change was examined, or a scanner repaired."""
        self.images = 0
        self.counts: Counter[str] = Counter()
        """Images of each kind."""
        self.alarm_at: int | None = None
        """Index of the image at which the alarm for noise was raised."""
        self.new_source_at: int | None = None
        """Index of the image at which a new source was reported."""
        self.cause: Cause | None = None
        """What the change is; None without evidence of one."""
        self.since_change: Run | None = None
        """The images since the estimated change: the start with the largest product when the
        evidence reached the threshold."""
        self.largest = -np.inf
        """Largest evidence so far."""
        self._recent.clear()
        self._martingale = PowerMartingale(ever=self.run_length is None)
        self._log_runs = np.zeros(len(EXPONENTS))
        self._runs = [Run() for _ in EXPONENTS]

    def update(self, p_value: float, kind: str, content: float | None = None) -> DriftStatus:
        """Add the next image.

        Args:
            p_value: of "this image is as clean as the references".
            kind: of noise that was found in it; `clean` for none.
            content: p-value of "its content is as the references'"; None where it is not known.

        Raises ValueError for a p-value outside (0, 1].
        """
        for one in (p_value, 1.0 if content is None else content):
            if not 0.0 < one <= 1.0:
                raise ValueError(f"a p-value lies above 0 and up to 1, got {one!r}")
        index = self.images
        self.images += 1
        self.counts[kind] += 1
        self._recent.append(kind)
        value, log_e = self._martingale.update(np.asarray(self.conservative(p_value)))
        evidence = float(value)
        self.largest = max(self.largest, evidence)
        if self.since_change is None:
            self._follow_runs(log_e, index, kind, content)
            if evidence >= self.threshold:
                self.since_change = self._runs[int(np.argmax(self._log_runs))]
        else:
            self.since_change.add(kind, content)
        if self.since_change is not None and self.alarm_at is None:
            self._decide(self.since_change, index)
        return DriftStatus(
            index,
            evidence,
            self.alarm_at is not None,
            self.new_source_at is not None,
            self._shares(),
        )

    @property
    def change_at(self) -> int | None:
        """Estimated index of the change; None without evidence of one."""
        return None if self.since_change is None else self.since_change.start

    @property
    def main_noise(self) -> str | None:
        """The most frequent noise since the estimated change; the first by name of several."""
        return None if self.since_change is None else _most_frequent(self.since_change.kinds)

    def conservative(self, p_value: float) -> float:
        """The p-value that the test uses: the bound at its rank among the references."""
        if self._bounds is None:
            return p_value
        rank = int(np.ceil(p_value * len(self._bounds) - RANK_TOLERANCE))
        return float(self._bounds[max(rank, 1) - 1])

    @property
    def content_is_known(self) -> bool:
        """Whether there are references for the content of the images since the change."""
        since = self.since_change
        return since is not None and since.compared > 0 and since.start >= self.content_images

    @property
    def content_is_unlike(self) -> bool:
        """Whether the images since the change surely show something else than the references."""
        since = self.since_change
        if since is None or not self.content_is_known:
            return False
        return _surely_above(since.unlike, since.compared, UNLIKE_BELOW, _LEVEL)

    def _follow_runs(
        self, log_e: Floats, index: int, kind: str, content: float | None
    ) -> None:
        """For each eps the start with the largest product so far, as in CUSUM (Page 1954)."""
        for j in np.flatnonzero(self._log_runs <= 0.0):
            self._log_runs[j] = 0.0
            self._runs[j] = Run(index)
        self._log_runs += log_e
        for run in self._runs:
            run.add(kind, content)

    def _decide(self, since: Run, index: int) -> None:
        """Decide what the change is; a new source may become noise, and noise stays."""
        noisy = since.kinds.total() - since.kinds[CLEAN]
        if (
            _one_noise_is_frequent(since.kinds)
            or _one_noise_is_frequent(Counter(self._recent))
            or (
                self.content_is_known
                and not self.content_is_unlike
                and _surely_above(noisy, since.kinds.total(), _FEW_NOISY, _LEVEL)
            )
        ):
            self.cause = Cause.NOISE
            self.alarm_at = index
        elif self.new_source_at is None:
            enough = self.content_is_unlike or since.kinds.total() >= _UNDECIDED_IMAGES
            self.cause = Cause.NEW_SOURCE if enough else Cause.UNDECIDED
            self.new_source_at = index if enough else None

    def _shares(self) -> dict[str, float]:
        counts = Counter(self._recent)
        return {kind: counts[kind] / len(self._recent) for kind in sorted(counts)}


def _most_frequent(kinds: Counter[str]) -> str | None:
    noises = [(-count, kind) for kind, count in kinds.items() if kind != CLEAN]
    return min(noises)[1] if noises else None


def _one_noise_is_frequent(kinds: Counter[str]) -> bool:
    """Whether surely more images have the same kind of noise than of a clean new source do."""
    noise = _most_frequent(kinds)
    return noise is not None and _surely_above(
        kinds[noise], kinds.total(), _USUAL_SHARE, _KIND_LEVEL
    )


def _surely_above(count: int, total: int, share: float, level: float) -> bool:
    """Whether `count` of `total` is too many for `share`, by the binomial distribution's tail."""
    return bool(binom.sf(count - 1, total, share) <= level)
