"""Writes the report on one image: what was found, what was done, why, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vision.acquisition import Restoration
from vision.feature_pass import CalibratedFeatures
from vision.report import CLEAN, PIXELS, UNKNOWN, CalibrationReport, NoisePerception


@dataclass(frozen=True)
class ReportWriter:
    """The reports that one perception leads to."""

    perception: NoisePerception | None
    """None where the image could not be examined."""
    calibrate: bool
    """False: a correction was not requested."""
    limits: Sequence[str] = ()
    """What restricts the result, each to be put in brackets."""

    def of_picture(self, restoration: Restoration) -> CalibrationReport:
        """Where the picture was restored, or nothing was done."""
        if restoration.restored:
            return self.of_both(restoration, None, None, None)
        return self._unchanged(restoration.declined)

    def of_both(
        self,
        restoration: Restoration,
        second: CalibratedFeatures | None,
        before: float | None,
        after: float | None,
    ) -> CalibrationReport:
        """Where the picture was restored and its features may have been calibrated.

        `before` and `after` are distances to clean of the features, where they were measured.
        """
        parts = [f"picture corrected for {', then '.join(map(_plain, restoration.rounds))}"]
        share = restoration.predicted_share
        if share is not None:
            parts[0] += f", predicted to remove {share:.0%} of the error"
        taps = [] if second is None else second.taps
        if taps:
            parts.append(f"features calibrated at {', '.join(taps)}")
        if second is not None and second.rejected:
            parts.append(f"no calibration at {', '.join(second.rejected)}, where it did not help")
        if restoration.declined:
            parts.append(f"then declined: {restoration.declined}")
        return CalibrationReport(
            applied=True,
            reason=f"{self._found()}: {'; '.join(parts)}{self._limits()}",
            taps=[PIXELS, *taps],
            rounds=restoration.rounds,
            predicted_share=share,
            declined=restoration.declined,
            strength=_mean(second),
            distance_before=before,
            distance_after=after,
        )

    def of_features(self, second: CalibratedFeatures | None) -> CalibrationReport:
        """Where features alone may have been calibrated."""
        if second is None or not second.taps:
            tried = second is not None and bool(second.rejected)
            return self._unchanged("the calibration of its features did not help" if tried else "")
        return CalibrationReport(
            applied=True,
            reason=f"{self._found()}: features calibrated at {', '.join(second.taps)}"
            f"{self._limits()}",
            taps=second.taps,
            strength=_mean(second),
            distance_before=_rms(second.before),
            distance_after=_rms(second.after),
        )

    def _unchanged(self, declined: str) -> CalibrationReport:
        perception = self.perception
        if perception is None:
            why = declined or "its features are not finite"
            reason = f"noise was not examined ({why}): image left as it was{self._limits()}"
        elif perception.kind == CLEAN:
            p_value = _p_value(perception)
            if perception.alpha is not None:
                p_value += f", above {perception.alpha:g}"
            reason = f"no noise detected ({p_value}): image left as it was"
        elif not self.calibrate:
            reason = f"{self._found()}, correction was not requested: image left as it was"
        else:
            why = f": correction declined, {declined}" if declined else ", no correction for it"
            reason = f"{self._found()}{why}: image left as it was{self._limits()}"
        return CalibrationReport(applied=False, reason=reason, declined=declined)

    def _found(self) -> str:
        perception = self.perception
        if perception is None:
            return "noise detected"
        if perception.kind == UNKNOWN:
            return f"unknown kind of noise detected ({_p_value(perception)})"
        noise = f"{perception.kind}, severity {perception.severity}"
        return f"noise detected ({noise}; {_p_value(perception)})"

    def _limits(self) -> str:
        return "".join(f" ({limit})" for limit in self.limits)


def _plain(noise: str) -> str:
    return noise.replace("_", " ")


def _mean(second: CalibratedFeatures | None) -> float:
    return float(np.mean(second.strengths)) if second is not None and second.strengths else 0.0


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _p_value(perception: NoisePerception) -> str:
    return f'p-value for "no noise": {perception.clean_p_value:.2g}'
