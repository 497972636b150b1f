"""The model half at work: statistics from a whole pass, and calibrated features of a second one.

A first pass changes nothing: its features are those of the plain encoder, bit for bit, and are used
as they are where the image is clean. Only a noisy image takes a second pass, of its restored
picture, with maps where it has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.bank.model_half import ModelHalf
from vision.encoder.precision import in_single_precision
from vision.encoder.token_layout import infer_layout
from vision.encoder.vision_encoder import EncodedImage, PixelInputs, VisionEncoder, in_order
from vision.reading.medical_image import MedicalImage

STEP_SIZES = (1.0, 0.5)
"""Shares of a map's change that are tried, largest first, until one brings the features nearer to
clean."""

__all__ = ["CalibratedFeatures", "ObservedImage", "calibrate_features", "observe"]


@dataclass(frozen=True)
class ObservedImage:
    """An image's features as the plain encoder gives them, and statistics of its tokens."""

    features: EncodedImage
    statistics: dict[str, Tensor] = field(repr=False)
    """By tap of the model half: (s,) float32."""
    finite: bool
    """Whether every feature at the taps is finite; where not, nothing is known of the noise."""


@dataclass
class CalibratedFeatures:
    """An image's features after the maps, and what was changed."""

    features: EncodedImage
    taps: list[str] = field(default_factory=list)
    """Where a change brought the features nearer to clean."""
    rejected: list[str] = field(default_factory=list)
    """Where no step size did, so that nothing was changed."""
    before: list[float] = field(default_factory=list)
    """Distance to clean at each of `taps` before the change."""
    after: list[float] = field(default_factory=list)
    """The same after it."""
    strengths: list[float] = field(default_factory=list)
    """Norm of each change over the norm of the patches, standardised."""
    distances: list[float] = field(default_factory=list)
    """Distance to clean at every tap of the model half, after what was changed there."""

    @property
    def clean_distance(self) -> float | None:
        """Root mean square of `distances`; None where no tap could be read."""
        if not self.distances:
            return None
        return float(np.sqrt(np.mean(np.square(self.distances))))


def observe(
    encoder: VisionEncoder, half: ModelHalf, images: Sequence[MedicalImage]
) -> list[ObservedImage]:
    """Encode images in one whole pass each, and take the witness' statistics on the way.

    Raises EncoderRefused where memory does not hold one image.
    """

    def whole(positions: list[int], inputs: PixelInputs) -> list[ObservedImage]:
        statistics: dict[str, Tensor] = {}
        finite: dict[str, Tensor] = {}

        def read(tap: str, features: Tensor) -> None:
            if tap in half.spectra:
                hidden = in_single_precision(features)
                finite[tap] = torch.isfinite(hidden).flatten(1).all(dim=1)
                without_nan = torch.nan_to_num(hidden, nan=0.0, posinf=0.0, neginf=0.0)
                layout = infer_layout(hidden.shape[2], inputs.aspect)
                spectrum = half.on(hidden.device).spectra[tap]
                statistics[tap] = spectrum.statistics(without_nan, layout)

        encoded = encoder.encode_inputs(inputs, [images[i] for i in positions], intervene=read)
        rows = {tap: values.cpu() for tap, values in statistics.items()}
        every = [values.cpu() for values in finite.values()]
        return [
            ObservedImage(
                features,
                {tap: values[row] for tap, values in rows.items()},
                all(bool(values[row]) for values in every),
            )
            for row, features in enumerate(encoded)
        ]

    return in_order(encoder.in_passes(images, whole))


def stacked(observed: Sequence[ObservedImage]) -> dict[str, NDArray[np.float64]]:
    """(n, s) statistics by tap, as `EncoderWitness.predict` takes them."""
    taps = observed[0].statistics
    rows = {tap: torch.stack([one.statistics[tap] for one in observed]) for tap in taps}
    return {tap: values.double().numpy() for tap, values in rows.items()}


def calibrate_features(
    encoder: VisionEncoder,
    half: ModelHalf,
    images: Sequence[MedicalImage],
    weights: Tensor,
    *,
    stage: str,
    named: Sequence[MedicalImage] | None = None,
) -> list[CalibratedFeatures]:
    """Encode images once more, with the maps of a stage where they bring features nearer to clean.

    Args:
        encoder: the model's.
        half: its model half.
        images: restored pictures, or pictures as they came, as the stage has it.
        weights: (images, classes) of the noisy classes and, last, of `unknown`
            (`vision.calibrate.class_maps.calibration_weights`).
        stage: `RESTORED` or `UNRESTORED`.
        named: the input images that `images` were restored from, whose names the features carry;
            None: `images` themselves.

    Raises EncoderRefused where memory does not hold one image.
    """
    asked = images if named is None else named

    def once_more(positions: list[int], inputs: PixelInputs) -> list[CalibratedFeatures]:
        task = _MapPass(half, stage, weights[positions], inputs.aspect)
        of = [asked[i] for i in positions]
        encoded = encoder.encode_inputs(inputs, of, intervene=task.visit)
        for one, features in zip(task.changes, encoded, strict=True):
            one.features = features
        return task.changes

    return in_order(encoder.in_passes(images, once_more))


class _MapPass:
    """Applies a stage's maps during one pass of a batch."""

    def __init__(
        self, half: ModelHalf, stage: str, weights: Tensor, aspect: tuple[int, int] | None
    ) -> None:
        self.half = half
        self.stage = stage
        self.weights = weights
        self.aspect = aspect
        nothing = EncodedImage("", (0, 0), None)
        self.changes = [CalibratedFeatures(nothing) for _ in range(len(weights))]

    def visit(self, tap: str, features: Tensor) -> Tensor | None:
        """The encoder's hook: features to use instead of `features` at `tap`; None: unchanged."""
        if tap not in self.half.distances:
            return None
        hidden = in_single_precision(features)
        half, weights = self.half.on(hidden.device), self.weights.to(hidden.device)
        maps = half.maps_for(self.stage).get(tap)
        finite = torch.isfinite(hidden).flatten(1).all(dim=1)
        layout = infer_layout(hidden.shape[2], self.aspect)
        spectrum, distance = half.spectra[tap], half.distances[tap]
        ending = distance.of(spectrum.statistics(torch.nan_to_num(hidden), layout))
        if maps is None:
            waiting = []
        else:
            waiting = (finite & maps.has_map_for(weights)).nonzero().flatten().tolist()
        if maps is None or not waiting:
            self._end(ending)
            return None
        change = torch.zeros_like(hidden)
        change[waiting] = maps.change(hidden[waiting], layout, weights[waiting])
        before = ending.clone()
        changed = features.clone()
        for step_size in STEP_SIZES:
            if not waiting:
                break
            trial = hidden[waiting] + step_size * change[waiting]
            after = distance.of(spectrum.statistics(trial, layout))
            accepted = distance.accepts(before[waiting], after).tolist()
            for place, (row, kept) in enumerate(zip(waiting, accepted, strict=True)):
                if kept:
                    ending[row] = after[place]
                    changed[row] = trial[place].to(changed)
                    one = self.changes[row]
                    one.taps.append(tap)
                    one.before.append(float(before[row]))
                    one.after.append(float(after[place]))
                    norm = maps.scaler.patches(hidden[row : row + 1], layout).norm()
                    step = step_size * change[row][:, layout.prefix :] / maps.scaler.scale
                    one.strengths.append(float(step.norm() / norm.clamp_min(1e-9)))
            waiting = [row for row, kept in zip(waiting, accepted, strict=True) if not kept]
        for row in waiting:
            self.changes[row].rejected.append(tap)
        self._end(ending)
        return changed if len(waiting) < len(self.changes) else None

    def _end(self, distances: Tensor) -> None:
        for one, distance in zip(self.changes, distances.tolist(), strict=True):
            one.distances.append(distance)
