"""PDC in the paper's own form: the encoder alone perceives, prototypes alone calibrate features.

No picture is restored. An image costs one whole pass of the encoder, a noisy one a second, in which
the maps of unrestored pictures change its features tap after tap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vision.bank.model_half import UNRESTORED, ModelHalf
from vision.calibrate.class_maps import calibration_weights
from vision.calibration_pass import describe_noise, describe_p_value
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.feature_pass import CalibratedFeatures, calibrate_features, observe, stacked
from vision.pdc import ALPHA, CalibratedImage
from vision.perceive.noise_density import NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.report import CalibrationReport, NoisePerception

__all__ = ["FeatureCalibrator"]

_NOT_FINITE = (
    "the encoder's features of this image are not finite: noise was not classified and features "
    "were not corrected"
)


class FeatureCalibrator:
    """Classifies noise and corrects features with one encoder and its model half."""

    def __init__(self, encoder: VisionEncoder, half: ModelHalf, *, alpha: float = ALPHA) -> None:
        """Check that both belong together.

        Args:
            encoder: the model's.
            half: its model half.
            alpha: images with a clean p-value above this are left unchanged; between 0 and 1.

        Raises BankRefused where the half was built for another model or at other blocks; ValueError
        where `alpha` is not between 0 and 1.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha!r}")
        if half.fingerprint != encoder.fingerprint:
            raise BankRefused(
                "the model half was built for another model (its fingerprint differs): build one "
                "for this model with `imc prototypes build`"
            )
        missing = sorted(set(half.taps) - set(encoder.taps))
        if missing:
            named = f"--blocks {half.blocks}" if half.blocks else "no --blocks"
            raise BankRefused(
                f"the model half reads taps that this encoder lacks ({', '.join(missing)}): use "
                f"the blocks that it was built with ({named})"
            )
        self.encoder = encoder
        self.half = half
        self.alpha = alpha

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        """Encode one image, classify its noise, and correct its features."""
        return self.calibrate_batch([image], calibrate=calibrate)[0]

    def calibrate_batch(
        self, images: Sequence[MedicalImage], *, calibrate: bool = True
    ) -> list[CalibratedImage]:
        """The same for several images; `calibrate` False: classify the noise, change nothing."""
        observed = observe(self.encoder, self.half, images)
        posteriors = self.half.witness.predict(stacked(observed))
        finite = [one.finite for one in observed]
        noisy = [
            i
            for i, posterior in enumerate(posteriors)
            if calibrate and finite[i] and posterior.clean_p_value <= self.alpha
        ]
        corrected = dict(zip(noisy, self._correct(images, posteriors, noisy), strict=True))
        found = []
        for i, one in enumerate(observed):
            perception = (
                self.half.witness.report(posteriors[i], alpha=self.alpha) if finite[i] else None
            )
            features = corrected[i].features if i in corrected else one.features
            report = self._report(perception, corrected.get(i), calibrate)
            found.append(CalibratedImage(features, perception, report))
        return found

    def _correct(
        self,
        images: Sequence[MedicalImage],
        posteriors: Sequence[NoisePosterior],
        noisy: Sequence[int],
    ) -> list[CalibratedFeatures]:
        if not noisy:
            return []
        probabilities = np.stack([posteriors[i].probabilities for i in noisy])
        weights = calibration_weights(torch.from_numpy(probabilities))
        some = [images[i] for i in noisy]
        return calibrate_features(self.encoder, self.half, some, weights, stage=UNRESTORED)

    def _report(
        self,
        perception: NoisePerception | None,
        corrected: CalibratedFeatures | None,
        calibrate: bool,
    ) -> CalibrationReport:
        """What was done to an image, and why."""
        if perception is None:
            return CalibrationReport(applied=False, reason=_NOT_FINITE)
        if corrected is None:
            if perception.clean_p_value <= self.alpha and not calibrate:
                why = f"{describe_noise(perception)}, correction was not requested"
            else:
                why = (
                    f"no noise detected ({describe_p_value(perception)}, above {self.alpha:g}): "
                    "features left as they were"
                )
            return CalibrationReport(applied=False, reason=why)
        if not corrected.taps:
            why = "the correction did not help" if corrected.rejected else "there is no map for it"
            return CalibrationReport(
                applied=False,
                reason=f"{describe_noise(perception)}, but {why}: features left as they were",
            )
        done = f"features corrected at {', '.join(corrected.taps)}"
        if corrected.rejected:
            done += f"; no correction at {', '.join(corrected.rejected)}, where it did not help"
        return CalibrationReport(
            applied=True,
            reason=f"{describe_noise(perception)}: {done}",
            taps=corrected.taps,
            strength=float(np.mean(corrected.strengths)),
            distance_before=float(np.sqrt(np.mean(np.square(corrected.before)))),
            distance_after=float(np.sqrt(np.mean(np.square(corrected.after)))),
        )
