"""PDC, perturbation-aware denoising calibration: classify noise, correct pixels and features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.bank.prototype_bank import PrototypeBank
from vision.calibration_pass import CalibrationPass
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder, model_fingerprint
from vision.errors import BankRefused
from vision.perceive.noise_classifier import SOURCES
from vision.reading.medical_image import MedicalImage
from vision.report import PIXELS, CalibrationReport, NoisePerception
from vision.rounds import MAX_ROUNDS, perceive_and_restore

ALPHA = 0.0075
"""Significance level of the test "this image is clean", for images like the bank's references. It
is below the 1 % of clean images that may be changed, because images of another origin are rejected
more often: 1 % of VQA-RAD's test images at this level, which was chosen on them without answers
(`docs/results` has every level)."""


@dataclass(frozen=True)
class CalibratedImage:
    """An image's features for the language model, and what was found and done."""

    features: EncodedImage
    perception: NoisePerception | None
    """None where there is no bank, or the features are not finite."""
    report: CalibrationReport
    restored: MedicalImage | None = None
    """The restored picture that was encoded; None where the input image itself was."""

    def _repr_html_(self) -> str:
        """What was found and done, as a notebook shows it."""
        found = "" if self.perception is None else self.perception._repr_html_()
        picture = "" if self.restored is None else self.restored._repr_html_()
        return found + self.report._repr_html_() + picture


class Calibrator:
    """Classifies noise and corrects images with one encoder and its prototype bank."""

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
        """Either stage can be switched off, to measure the other alone.

        Args:
            encoder: the model's.
            bank: the encoder's prototype bank; None: images are encoded without correction.
            alpha: images with a clean p-value above this are left unchanged; between 0 and 1.
            max_rounds: most restorations of one picture.
            pixels: restore pictures before they are encoded.
            features: correct features at the bank's taps during the encoder's pass.

        Raises:
            BankRefused: the bank was built for another model, or at other blocks.
            ValueError: `alpha` is not between 0 and 1.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha!r}")
        if bank is not None and bank.fingerprint != encoder.fingerprint:
            raise BankRefused(
                "the prototype bank was built for another model (its fingerprint differs): "
                "build one for this model with `imc prototypes build`"
            )
        if bank is not None and not set(bank.maps) <= set(encoder.taps):
            named = f"--blocks {bank.blocks}" if bank.blocks else "no --blocks"
            raise BankRefused(
                "the prototype bank has maps at taps that this encoder lacks "
                f"({', '.join(sorted(set(bank.maps) - set(encoder.taps)))}): use the blocks that "
                f"it was built with ({named})"
            )
        self.encoder = encoder
        self.bank = bank
        self.alpha = alpha
        self.max_rounds = max_rounds
        self.sources: tuple[str, ...] = SOURCES
        """Sources of statistics from which the noise of an image is classified."""
        self.pixels = pixels
        self.features = features

    @classmethod
    def load(
        cls,
        model: Any,
        processor: Any,
        bank_path: str | Path | None,
        *,
        blocks: str | None = None,
    ) -> Calibrator:
        """The calibrator of a model that is in memory, with its bank from a file.

        Args:
            model: an image-text-to-text model.
            processor: its processor.
            bank_path: its prototype bank; None: images are only encoded.
            blocks: dotted name of its vision blocks; None: those that the bank was built with.

        Raises BankRefused for a bank that cannot be used, EncoderRefused where `blocks` names none.
        """
        fingerprint = model_fingerprint(model)
        bank = None
        if bank_path is not None:
            bank = PrototypeBank.load(bank_path, fingerprint=fingerprint)
            blocks = bank.blocks or None if blocks is None else blocks
        return cls(VisionEncoder(model, processor, fingerprint=fingerprint, blocks=blocks), bank)

    def with_stages(self, stages: Sequence[str]) -> Calibrator:
        """The same encoder and bank with these stages on, `pixels` and `features`.

        A stage alone classifies noise from its own source of statistics: `pixels`, the picture's;
        `features`, the encoder's, as in the method that this project implements.

        Raises BankRefused for `features` alone where the bank has no statistics of the encoder.
        """
        other = copy.copy(self)
        other.pixels, other.features = PIXELS in stages, "features" in stages
        other.sources = tuple(
            source
            for source, used in zip(SOURCES, (other.features, other.pixels), strict=True)
            if used
        )
        known = None if self.bank is None else self.bank.noise_classifier.scorers.keys()
        if known is not None and not known & set(other.sources):
            raise BankRefused(
                "the prototype bank has no statistics of this encoder's features: use the stage "
                "pixels, or both"
            )
        return other

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """Classify the noise of one image; the encoder runs only as far as the perception tap.

        Raises BankRefused as `perceive_batch` does.
        """
        return self.perceive_batch([image])[0]

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        """Classify the noise of several images.

        Raises BankRefused where there is no bank, or features of an image are not finite.
        """
        if self.bank is None:
            raise BankRefused(
                "detecting noise needs a prototype bank: give one, or build it with "
                "`imc prototypes build`"
            )
        states = perceive_and_restore(
            self.encoder,
            self.bank,
            images,
            alpha=self.alpha,
            restore=False,
            sources=self.sources,
        )
        found = []
        for state in states:
            if state.posterior is None:
                raise BankRefused(
                    "the encoder's features of this image are not finite: its noise cannot be "
                    "classified; load the model with another dtype, bfloat16 or float32"
                )
            found.append(self.bank.noise_classifier.report(state.posterior, alpha=self.alpha))
        return found

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        """Classify noise, restore, encode and correct one image; one whole pass of the encoder."""
        return self.calibrate_batch([image], calibrate=calibrate)[0]

    def calibrate_batch(
        self, images: Sequence[MedicalImage], *, calibrate: bool = True, perceive: bool = True
    ) -> list[CalibratedImage]:
        """The same for several images, in one batch where their pixel inputs have one shape.

        Args:
            images: of any sizes.
            calibrate: False: classify the noise, change nothing.
            perceive: False: encode only.
        """
        if self.bank is None or not perceive:
            why = "no prototype bank" if self.bank is None else "noise detection is switched off"
            nothing = CalibrationReport(applied=False, reason=f"{why}: image left as it was")
            plain = self.encoder.encode_batch(images)
            return [CalibratedImage(features, None, nothing) for features in plain]
        states = perceive_and_restore(
            self.encoder,
            self.bank,
            images,
            alpha=self.alpha,
            restore=calibrate and self.pixels,
            max_rounds=self.max_rounds,
            sources=self.sources,
        )
        done: dict[int, CalibratedImage] = {}
        prepared = self.encoder.prepare_many([state.image for state in states])
        for positions, inputs in self.encoder.group(prepared):
            task = CalibrationPass(
                self.bank,
                self.alpha,
                [states[i] for i in positions],
                inputs.aspect,
                calibrate=calibrate,
                features=self.features,
            )
            # features carry the hash of the input image, also where a restored one was encoded
            asked = [images[i] for i in positions]
            encoded = self.encoder.encode_inputs(inputs, asked, intervene=task.visit)
            for row, (i, features) in enumerate(zip(positions, encoded, strict=True)):
                restored = states[i].image if states[i].rounds else None
                done[i] = CalibratedImage(
                    features, task.perception(row), task.report(row), restored
                )
        return [done[i] for i in range(len(images))]
