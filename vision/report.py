"""Results of the image side as plain values, for JSON and msgpack: noise found, correction made."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from imc_core.html import html_bars, html_rows, html_text

CLEAN = "clean"
"""The kind of an image like the clean references."""

UNKNOWN = "unknown"
"""The kind of an image that is like no known class."""

PIXELS = "pixels"
"""Name of the pixel stage among the taps of a report."""


class NoisePerception(BaseModel):
    """The noise found in an image, and its probability."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """`clean`, `unknown`, or a name of `imc_noise`."""
    severity: int
    """0 for clean, else 1 to 5."""
    probability: float
    """Posterior probability of `kind`, summed over its severities."""
    clean_p_value: float
    """p-value of "this image is clean", from the scores of held-out clean references."""
    posterior: dict[str, float]
    """Posterior probability of clean, of every kind (summed over severities) and of unknown."""
    witnesses: dict[str, dict[str, float]] = Field(default_factory=dict)
    """The posterior from each source of statistics alone, `encoder` and `pixels`."""
    alpha: float | None = None
    """Significance level that the p-value was compared with; None: it was not kept."""

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        kind = self.kind.replace("_", " ")
        severity = f", severity {self.severity} of 5" if self.severity else ""
        rows = [
            ("found", html_text(f"{kind}{severity}")),
            ("probability", f"{self.probability:.3f}"),
            ('p-value for "no noise"', f"{self.clean_p_value:.2g}"),
            ("posterior", html_bars(self.posterior)),
        ]
        return html_rows("Noise in the image", rows)

    @property
    def nonconformity(self) -> float:
        """Log odds of "not clean": the score behind p-values against other clean pictures."""
        clean = self.posterior.get(CLEAN, 0.0)
        other = math.fsum(value for kind, value in self.posterior.items() if kind != CLEAN)
        if clean <= 0.0 or other <= 0.0:
            return math.inf if clean <= 0.0 else -math.inf
        return math.log(other) - math.log(clean)


class CalibrationReport(BaseModel):
    """The correction of an image and its features, or the reason why there was none."""

    model_config = ConfigDict(frozen=True)

    applied: bool
    """False: the features are bit for bit those of the unchanged encoder and image."""
    reason: str
    """One sentence: what was found, how sure that is, what was done and why."""
    taps: list[str] = Field(default_factory=list)
    """Where a change was made, in order of depth: `pixels` for the picture, then taps."""
    rounds: list[str] = Field(default_factory=list)
    """The noise corrected in the picture in each round, as `stripes` or `low_contrast 4`."""
    predicted_share: float | None = None
    """Share of the picture's squared error that the rounds are predicted to remove."""
    declined: str = ""
    """Why a correction, or a further one, was not made; empty where none was declined."""
    strength: float = 0.0
    """Norm of the change over the norm of the features, mean over the encoder's taps."""
    distance_before: float | None = None
    """Mahalanobis distance to clean before the correction, root mean square over `taps`."""
    distance_after: float | None = None
    """The same after it: smaller, or within the band of calibrated references; a change at a tap
    that is neither is rejected."""

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        distances = ""
        if self.distance_before is not None and self.distance_after is not None:
            distances = f"{self.distance_before:.2f} before, {self.distance_after:.2f} after"
        rows = [
            ("applied", "yes" if self.applied else "no"),
            ("reason", html_text(self.reason)),
            ("rounds", html_text(", ".join(self.rounds))),
            ("changed at", html_text(", ".join(self.taps))),
            ("change of features", f"{self.strength:.3f}" if self.strength else ""),
            ("distance to clean", distances),
        ]
        return html_rows("Correction of the image", rows)
