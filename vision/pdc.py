"""PDC: perceive the noise with the model's own encoder, restore the picture, calibrate features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision.bank.prototype_bank import PrototypeBank
from vision.calibration_pass import CalibrationPass
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.report import CalibrationReport, NoisePerception
from vision.rounds import MAX_ROUNDS, perceive_and_restore

ALPHA = 0.0075
"""Level of the conformal gate, for images like the bank's references. Images of another origin are
called noisy more often (1 % of VQA-RAD's test images, by which it was chosen, without answers;
`docs/results` has every level), so it stands under the 1 % of clean images that may be touched."""


@dataclass(frozen=True)
class CalibratedImage:
    """An image's features as the model should see them, and what was done."""

    features: EncodedImage
    perception: NoisePerception | None
    """None where there is no bank."""
    report: CalibrationReport


class Calibrator:
    """Perceives and calibrates with one encoder and its prototype bank (None: encodes only)."""

    def __init__(
        self,
        encoder: VisionEncoder,
        bank: PrototypeBank | None,
        *,
        alpha: float = ALPHA,
        max_rounds: int = MAX_ROUNDS,
        pixels: bool = True,
        features: bool = True,
    ) -> None:
        """Both stages may be switched off, to measure the other alone.

        Args:
            encoder: the model's.
            bank: its prototype bank.
            alpha: level of the gate, between 0 and 1.
            max_rounds: most restorations of one picture.
            pixels: restore pictures before they are encoded.
            features: calibrate features on their way through the encoder.

        Raises BankRefused where the bank is another model's, ValueError for a bad alpha.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha!r}")
        if bank is not None and bank.fingerprint != encoder.fingerprint:
            raise BankRefused(
                "the prototype bank was built for another model (its fingerprint differs): "
                "build one for this model with `imc prototypes build`"
            )
        self.encoder = encoder
        self.bank = bank
        self.alpha = alpha
        self.max_rounds = max_rounds
        self.pixels = pixels
        self.features = features

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """Perceive only; the encoder runs as far as the tap it is perceived at.

        Raises BankRefused where there is no bank.
        """
        return self.perceive_batch([image])[0]

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        """The same for several images. Raises BankRefused where one has features that are not
        finite, or there is no bank."""
        if self.bank is None:
            raise BankRefused(
                "perceiving needs a prototype bank: give one, or build it with "
                "`imc prototypes build`"
            )
        seen = perceive_and_restore(
            self.encoder, self.bank, images, alpha=self.alpha, restore=False
        )
        found = []
        for one in seen:
            if one.perceived is None:
                raise BankRefused(
                    "the encoder's features of this image are not finite: nothing can be perceived"
                )
            found.append(self.bank.perceiver.report(one.perceived, alpha=self.alpha))
        return found

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        """Perceive, restore, encode and calibrate one image; one whole pass of the encoder."""
        return self.calibrate_batch([image], calibrate=calibrate)[0]

    def calibrate_batch(
        self, images: Sequence[MedicalImage], *, calibrate: bool = True, perceive: bool = True
    ) -> list[CalibratedImage]:
        """The same for several images, together where their pixel inputs stack.

        With `perceive` off they are only encoded.
        """
        if self.bank is None or not perceive:
            why = "no prototype bank" if self.bank is None else "not perceived"
            nothing = CalibrationReport(
                applied=False, reason=f"{why}: the features are the plain encoder's"
            )
            plain = self.encoder.encode_batch(images)
            return [CalibratedImage(features, None, nothing) for features in plain]
        seen = perceive_and_restore(
            self.encoder,
            self.bank,
            images,
            alpha=self.alpha,
            restore=calibrate and self.pixels,
            max_rounds=self.max_rounds,
        )
        done: dict[int, CalibratedImage] = {}
        prepared = self.encoder.prepare_many([one.image for one in seen])
        for positions, inputs in self.encoder.group(prepared):
            task = CalibrationPass(
                self.bank,
                self.alpha,
                [seen[i] for i in positions],
                inputs.aspect,
                calibrate=calibrate,
                features=self.features,
            )
            # named after the image that was asked about, whatever the encoder was shown
            asked = [images[i] for i in positions]
            encoded = self.encoder.encode_inputs(inputs, asked, intervene=task.visit)
            for row, (i, features) in enumerate(zip(positions, encoded, strict=True)):
                done[i] = CalibratedImage(features, task.perception(row), task.report(row))
        return [done[i] for i in range(len(images))]
