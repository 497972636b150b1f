"""What vision says about an image, in plain values that survive JSON and msgpack."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

CLEAN = "clean"
"""The kind of an image that looks like the bank's clean references."""

UNKNOWN = "unknown"
"""The kind of an image that looks like nothing the bank was built with."""


PIXELS = "pixels"
"""What a report calls the pixel stage among the taps."""


class NoisePerception(BaseModel):
    """Which noise an image carries, and how sure that is."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """`clean`, `unknown`, or a name of `imc_noise`."""
    severity: int
    """0 for clean, else 1 to 5."""
    probability: float
    """Posterior probability of `kind` (all its severities together)."""
    clean_p_value: float
    """Conformal p-value of "this image is clean", against held-out clean references."""
    posterior: dict[str, float]
    """Posterior probability of clean and of every kind, severities added up."""
    witnesses: dict[str, dict[str, float]] = Field(default_factory=dict)
    """The posterior of each witness alone: `encoder` and `pixels`."""


class CalibrationReport(BaseModel):
    """What calibration did to an image's features, or why it did nothing."""

    model_config = ConfigDict(frozen=True)

    applied: bool
    """False: the features are the plain encoder's, bit for bit."""
    reason: str
    """One sentence: why it was applied, or why not, and what was off."""
    taps: list[str] = Field(default_factory=list)
    """Where something was changed, in order of depth: `pixels` for the picture itself, then taps of
    the encoder."""
    rounds: list[str] = Field(default_factory=list)
    """What was undone in the picture, round after round, as `stripes` or `low_contrast 4`."""
    strength: float = 0.0
    """Mean over those taps of the share of the features' norm that was changed."""
    distance_before: float | None = None
    """Mahalanobis distance to clean before calibration, root mean square over those taps."""
    distance_after: float | None = None
    """The same after calibration: smaller, or within the band of calibrated references (a tap
    where it is neither is undone)."""
