"""PDC, perturbation-aware denoising calibration: perceive noise, correct pictures and features.

Two halves. The acquisition half (`vision.acquisition`) perceives and restores from pixels alone and
is shipped: it works for every model. The model half (`vision.bank.model_half`) is built per model:
a second witness of the noise, a second opinion on a restoration, and maps of features where they
earn something. A clean image takes one pass of the encoder, bit for bit the plain one; a noisy one
at most two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from vision.acquisition import AcquisitionHalf, Restoration
from vision.acquisition.grey_levels import few_levels_declined
from vision.acquisition.half import ALPHA, MAX_ROUNDS
from vision.acquisition.scales import MIN_SIDE
from vision.bank.model_half import RESTORED, UNRESTORED, ModelHalf
from vision.calibrate.class_maps import calibration_weights
from vision.calibration_report import ReportWriter
from vision.encoder.vision_encoder import (
    EncodedImage,
    PixelInputs,
    VisionEncoder,
    in_order,
    model_fingerprint,
)
from vision.errors import BankRefused
from vision.feature_pass import CalibratedFeatures, ObservedImage, calibrate_features, observe
from vision.feature_pass import stacked as stacked_statistics
from vision.perceive.noise_density import NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import at_size
from vision.report import CalibrationReport, NoisePerception

__all__ = ["ALPHA", "STAGES", "WITNESS_ALPHA", "CalibratedImage", "Calibrator", "Stage"]

Stage = Literal["pixels", "features"]
STAGES: tuple[Stage, ...] = ("pixels", "features")
"""Pictures are restored; features are calibrated, after the pictures or, alone, in the paper's own
form: the encoder's witness perceives and the maps calibrate."""

WITNESS_ALPHA = 0.01
"""Significance level of "this image is clean" where the encoder's witness perceives alone."""


@dataclass(frozen=True)
class CalibratedImage:
    """An image's features for the language model, and what was found and done."""

    features: EncodedImage
    perception: NoisePerception | None
    """None where nothing perceives, the picture is too small, or features are not finite."""
    report: CalibrationReport
    restored: MedicalImage | None = None
    """The restored picture that was encoded; None where the image was encoded as it was."""

    def _repr_html_(self) -> str:
        """What was found and done, as a notebook shows it."""
        found = "" if self.perception is None else self.perception._repr_html_()
        picture = "" if self.restored is None else self.restored._repr_html_()
        return found + self.report._repr_html_() + picture


class Calibrator:
    """Perceives noise and corrects images for one encoder."""

    def __init__(
        self,
        encoder: VisionEncoder,
        model_half: ModelHalf | None = None,
        *,
        acquisition: AcquisitionHalf | None = None,
        stages: Collection[str] = STAGES,
        alpha: float | None = None,
        max_rounds: int = MAX_ROUNDS,
    ) -> None:
        """Put the halves together; either stage can be left out, to measure the other alone.

        Args:
            encoder: the model's.
            model_half: the encoder's; None: pictures are restored, features are not calibrated.
            acquisition: the acquisition half; None: the shipped one.
            stages: of `STAGES`; empty: images are encoded as they are.
            alpha: images with a p-value of clean above this are left unchanged; between 0 and 1;
                None: `ALPHA`, for pictures of the model half's domain the stricter
                `vision.acquisition.half.DOMAIN_ALPHA`; `WITNESS_ALPHA` where the encoder's witness
                perceives alone.
            max_rounds: most restorations of one picture.

        Raises:
            BankRefused: the model half is of another model, at other blocks, or of another
                acquisition half; or the feature stage is asked for alone and there is no model
                half.
            ValueError: `alpha` is not between 0 and 1, or a stage is unknown.
        """
        if alpha is not None and not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha!r}")
        if unknown := set(stages) - set(STAGES):
            named = ", ".join(sorted(unknown))
            raise ValueError(f"no such stage: {named}; known: {', '.join(STAGES)}")
        self.encoder = encoder
        self.model_half = model_half
        self.stages = frozenset(stages)
        self.alpha = alpha
        self.max_rounds = max_rounds
        self._given = acquisition
        if model_half is not None:
            _check_model_half(encoder, model_half, self.acquisition)
        elif self.stages == {"features"}:
            raise BankRefused(
                "the feature stage alone needs the model half of this model: build it with "
                "`imc prototypes build`"
            )

    @property
    def acquisition(self) -> AcquisitionHalf:
        """The acquisition half; the shipped one is read when it is first needed."""
        return AcquisitionHalf.shipped() if self._given is None else self._given

    @property
    def p_values_are_approximate(self) -> bool:
        """Whether the gate's p-values come from a normal approximation: few clean scores."""
        if "pixels" not in self.stages and self.model_half is not None:
            return self.model_half.witness.p_values_are_approximate
        domain = None if self.model_half is None else self.model_half.domain
        known = self.acquisition.classifier.density if domain is None else domain.noise
        return known.is_approximate

    @property
    def references(self) -> int:
        """Number of clean references behind the gate's p-values."""
        half = self.model_half
        if half is not None and ("pixels" not in self.stages or half.domain is not None):
            return half.images
        return sum(self.acquisition.origins.values())

    @property
    def perceives(self) -> bool:
        """Whether images are examined at all."""
        return bool(self.stages)

    @classmethod
    def load(
        cls,
        model: Any,
        processor: Any,
        model_half: str | Path | None = None,
        *,
        acquisition: AcquisitionHalf | None = None,
        blocks: str | None = None,
        stages: Collection[str] = STAGES,
    ) -> Calibrator:
        """The calibrator of a model that is in memory, with its model half from a file.

        Args:
            model: an image-text-to-text model.
            processor: its processor.
            model_half: its file; None: pictures are restored, features are not calibrated.
            acquisition: the acquisition half; None: the shipped one.
            blocks: dotted name of its vision blocks; None: those that the half was built with.
            stages: of `STAGES`.

        Raises BankRefused for a half that cannot be used, EncoderRefused where `blocks` names none.
        """
        fingerprint = model_fingerprint(model)
        half = None
        if model_half is not None:
            used = AcquisitionHalf.shipped() if acquisition is None else acquisition
            half = ModelHalf.load(model_half, fingerprint=fingerprint, acquisition=used.digest)
            blocks = half.blocks or None if blocks is None else blocks
        encoder = VisionEncoder(model, processor, fingerprint=fingerprint, blocks=blocks)
        return cls(encoder, half, acquisition=acquisition, stages=stages)

    def with_stages(self, stages: Collection[str]) -> Calibrator:
        """The same encoder and halves with these stages on.

        A stage alone perceives from its own source: `pixels`, the picture; `features`, the
        encoder's witness. Raises BankRefused and ValueError as the constructor does.
        """
        return Calibrator(
            self.encoder,
            self.model_half,
            acquisition=self._given,
            stages=stages,
            alpha=self.alpha,
            max_rounds=self.max_rounds,
        )

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """Perceive the noise of one image. Raises BankRefused as `perceive_batch` does."""
        return self.perceive_batch([image])[0]

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        """Perceive the noise of several images; with the pixel stage the encoder does not run.

        Raises BankRefused where a picture is too small to be examined, or where the encoder's
        witness perceives alone and features are not finite.
        """
        if "pixels" not in self.stages and self.model_half is not None:
            half = self.model_half
            found = [one.perception for one in self._by_features(images, half, calibrate=False)]
            why = (
                "the encoder's features of this image are not finite: its noise cannot be "
                "perceived; load the model with another dtype, bfloat16 or float32"
            )
        else:
            found = [one.perception for one in self._restorations(images, restore=False)]
            why = "this image is too small for its noise to be perceived: 16 pixels are needed"
        perceived = [one for one in found if one is not None]
        if len(perceived) < len(found):
            raise BankRefused(why)
        return perceived

    def __call__(self, image: MedicalImage, *, calibrate: bool = True) -> CalibratedImage:
        """Perceive, restore, encode and calibrate one image."""
        return self.calibrate_batch([image], calibrate=calibrate)[0]

    def calibrate_batch(
        self, images: Sequence[MedicalImage], *, calibrate: bool = True, perceive: bool = True
    ) -> list[CalibratedImage]:
        """The same for several images, in one batch where their pixel inputs have one shape.

        Args:
            images: of any sizes.
            calibrate: False: perceive the noise, change nothing.
            perceive: False: encode only.
        """
        if not perceive or not self.perceives:
            nothing = CalibrationReport(
                applied=False, reason="noise detection is switched off: image left as it was"
            )
            plain = self.encoder.encode_batch(images)
            return [CalibratedImage(features, None, nothing) for features in plain]
        if "pixels" not in self.stages and self.model_half is not None:
            return self._by_features(images, self.model_half, calibrate=calibrate)
        restorations = self._restorations(images, restore=calibrate)
        if self.model_half is None or "features" not in self.stages:
            return self._by_pixels(images, restorations, calibrate=calibrate)
        return self._by_both(images, restorations, self.model_half, calibrate=calibrate)

    # -- the stages -----------------------------------------------------------------------------

    def _restorations(
        self, images: Sequence[MedicalImage], *, restore: bool
    ) -> list[Restoration]:
        """Of each image at the size at which the model sees it.

        Where the model has one input size the picture is brought to it first, so that it is not
        resized after restoration; else it keeps its own, so that it is cut into the same tiles.
        """
        fixed = [self.encoder.fixed_size(image.height, image.width) for image in images]
        seen = [
            image if size is None else at_size(image, size)
            for image, size in zip(images, fixed, strict=True)
        ]
        every = [(image.height, image.width) for image in images]
        # too small to be examined also where the model enlarges it
        sizes = [own if min(own) < MIN_SIDE else self.encoder.working_size(*own) for own in every]
        restore_batch = partial(
            self.acquisition.restore_batch,
            alpha=self.alpha,
            max_rounds=self.max_rounds,
            domain=None if self.model_half is None else self.model_half.domain,
        )
        found = restore_batch(seen, sizes, restore=restore)
        for i, one in enumerate(found):
            # of few levels in the picture as it came, bringing it to a size has made many
            if one.restored and (declined := few_levels_declined(images[i])):
                (perceived,) = restore_batch([seen[i]], [sizes[i]], restore=False)
                found[i] = replace(perceived, declined=declined)
        return found

    def _by_pixels(
        self,
        images: Sequence[MedicalImage],
        restorations: Sequence[Restoration],
        *,
        calibrate: bool,
    ) -> list[CalibratedImage]:
        encoded = self._encode(images, restorations)
        return [
            CalibratedImage(
                features,
                one.perception,
                self._writer(one.perception, calibrate=calibrate).of_picture(one),
                one.image if one.restored else None,
            )
            for features, one in zip(encoded, restorations, strict=True)
        ]

    def _encode(
        self, images: Sequence[MedicalImage], restorations: Sequence[Restoration]
    ) -> list[EncodedImage]:
        """Features of restored pictures, and of the images themselves where nothing was changed."""
        chosen = [
            one.image if one.restored else image
            for image, one in zip(images, restorations, strict=True)
        ]

        def encode(positions: list[int], inputs: PixelInputs) -> list[EncodedImage]:
            # features carry the hash of the input image, also where a restored one was encoded
            return self.encoder.encode_inputs(inputs, [images[i] for i in positions])

        return in_order(self.encoder.in_passes(chosen, encode))

    def _by_both(
        self,
        images: Sequence[MedicalImage],
        restorations: Sequence[Restoration],
        half: ModelHalf,
        *,
        calibrate: bool,
    ) -> list[CalibratedImage]:
        observed = observe(self.encoder, half, images)
        posteriors = self._second_witness(observed, restorations, half)
        done: dict[int, CalibratedImage] = {}
        noisy = []
        for i, (first, one) in enumerate(zip(observed, restorations, strict=True)):
            perception = _with_witness(one.perception, posteriors.get(i), half)
            if one.restored and first.finite:
                noisy.append(i)
                continue
            report = self._writer(perception, calibrate=calibrate).of_picture(
                one if first.finite else replace(one, rounds=[], declined=_NOT_FINITE)
            )
            done[i] = CalibratedImage(first.features, perception, report)
        if noisy:
            weights = torch.cat([self._weights(posteriors[i]) for i in noisy])
            seconds = calibrate_features(
                self.encoder,
                half,
                [restorations[i].image for i in noisy],
                weights,
                stage=RESTORED,
                named=[images[i] for i in noisy],
            )
            for i, second in zip(noisy, seconds, strict=True):
                done[i] = self._chosen(
                    observed[i], restorations[i], second, posteriors.get(i), half
                )
        return [done[i] for i in range(len(images))]

    def _chosen(
        self,
        first: ObservedImage,
        restoration: Restoration,
        second: CalibratedFeatures,
        posterior: NoisePosterior | None,
        half: ModelHalf,
    ) -> CalibratedImage:
        """The features of the restored picture, unless they are farther from clean than before."""
        perception = _with_witness(restoration.perception, posterior, half)
        writer = self._writer(perception, calibrate=True)
        before = float(
            half.clean_distance({tap: row[None] for tap, row in first.statistics.items()})[0]
        )
        after = second.clean_distance
        if after is not None and after > before and after > half.clean_band:
            declined = replace(restoration, rounds=[], declined=_FARTHER)
            return CalibratedImage(first.features, perception, writer.of_picture(declined))
        report = writer.of_both(restoration, second, before, after)
        return CalibratedImage(second.features, perception, report, restoration.image)

    def _by_features(
        self, images: Sequence[MedicalImage], half: ModelHalf, *, calibrate: bool
    ) -> list[CalibratedImage]:
        """The paper's own form: the encoder's witness perceives, maps calibrate features."""
        alpha = WITNESS_ALPHA if self.alpha is None else self.alpha
        observed = observe(self.encoder, half, images)
        finite = [i for i, one in enumerate(observed) if one.finite]
        posteriors: dict[int, NoisePosterior] = {}
        if finite:
            found = half.witness.predict(stacked_statistics([observed[i] for i in finite]))
            posteriors = dict(zip(finite, found, strict=True))
        perceptions = {
            i: half.witness.report(one, alpha=alpha) for i, one in posteriors.items()
        }
        noisy = [i for i, one in posteriors.items() if one.clean_p_value <= alpha]
        seconds: dict[int, CalibratedFeatures] = {}
        if noisy and calibrate and half.maps_for(UNRESTORED):
            weights = torch.cat([self._weights(posteriors[i]) for i in noisy])
            calibrated = calibrate_features(
                self.encoder, half, [images[i] for i in noisy], weights, stage=UNRESTORED
            )
            seconds = dict(zip(noisy, calibrated, strict=True))
        done = []
        for i, one in enumerate(observed):
            writer = self._writer(perceptions.get(i), calibrate=calibrate)
            second = seconds.get(i)
            features = second.features if second is not None and second.taps else one.features
            done.append(
                CalibratedImage(features, perceptions.get(i), writer.of_features(second))
            )
        return done

    # -- details --------------------------------------------------------------------------------

    def _second_witness(
        self,
        observed: Sequence[ObservedImage],
        restorations: Sequence[Restoration],
        half: ModelHalf,
    ) -> dict[int, NoisePosterior]:
        """Joint posteriors of images whose features are finite and whose pictures were examined."""
        rows = [
            i
            for i, (first, one) in enumerate(zip(observed, restorations, strict=True))
            if first.finite and one.scores is not None
        ]
        if not rows:
            return {}
        scores = [restorations[i].scores for i in rows]
        tokens = stacked_statistics([observed[i] for i in rows])
        joint = half.knows_acquisition
        stacked = torch.tensor([one.tolist() for one in scores if one is not None]).double().numpy()
        found = half.witness.predict(tokens, stacked if joint else None)
        return dict(zip(rows, found, strict=True))

    def _writer(self, perception: NoisePerception | None, *, calibrate: bool) -> ReportWriter:
        return ReportWriter(perception, calibrate=calibrate, limits=self._limits())

    def _limits(self) -> tuple[str, ...]:
        """What restricts the result: stages that are off, and why."""
        if "features" not in self.stages:
            return ()
        if self.model_half is None:
            return ("features not calibrated: no model half was given",)
        stage = RESTORED if "pixels" in self.stages else UNRESTORED
        if not self.model_half.maps_for(stage):
            return ("features not calibrated: no map helped on left-out references",)
        return ()

    @staticmethod
    def _weights(posterior: NoisePosterior) -> torch.Tensor:
        return calibration_weights(torch.from_numpy(posterior.probabilities)[None])


_NOT_FINITE = "the encoder's features of this image are not finite"
_FARTHER = "the features of the corrected picture would be farther from clean"


def _with_witness(
    perception: NoisePerception | None, posterior: NoisePosterior | None, half: ModelHalf
) -> NoisePerception | None:
    """The perception with the encoder's posterior among its witnesses."""
    if perception is None or posterior is None:
        return perception
    encoder = posterior.by_source["encoder"]
    return perception.model_copy(
        update={
            "witnesses": {**perception.witnesses, "encoder": half.witness.by_kind(encoder)}
        }
    )


def _check_model_half(
    encoder: VisionEncoder, half: ModelHalf, acquisition: AcquisitionHalf
) -> None:
    if half.fingerprint != encoder.fingerprint:
        raise BankRefused(
            "the model half was built for another model (its fingerprint differs): "
            "build one for this model with `imc prototypes build`"
        )
    half.check_acquisition(acquisition.digest)
    if missing := set(half.taps) - set(encoder.taps):
        named = f"--blocks {half.blocks}" if half.blocks else "no --blocks"
        raise BankRefused(
            "the model half reads taps that this encoder lacks "
            f"({', '.join(sorted(missing))}): use the blocks that it was built with ({named})"
        )
