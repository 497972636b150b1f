"""What is done with one picture under one corruption, compared with its clean original."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from unmatched.noises import TWO, conditions

from imc_noise import apply_image, noise_rng
from vision.build.draws import resized
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage, read_image
from vision.report import CLEAN, NoisePerception

Pixels = NDArray[np.uint8]

GREY = 1.0
"""Added to both squared errors of a ratio, in grey levels squared: a picture that noise hardly
changed is not called ruined by one grey level."""

SEED = 0
"""Of every draw of noise."""


class Restoration(Protocol):
    """What `vision.acquisition` gives for a picture."""

    @property
    def image(self) -> MedicalImage:
        """The picture as the model is to see it."""

    @property
    def declined(self) -> str:
        """Why noise that was found was not corrected; empty otherwise."""

    @property
    def perception(self) -> NoisePerception | None:
        """The noise found; None where the picture was not examined."""

    @property
    def predicted_share(self) -> float | None:
        """Share of the squared error that the restoration is predicted to take away."""


class Half(Protocol):
    """The part of `vision.acquisition.AcquisitionHalf` that is measured."""

    def restore_batch(self, images: Sequence[MedicalImage]) -> Sequence[Restoration]:
        """Restore pictures at their own sizes."""


@dataclass(frozen=True)
class Corruption:
    """A noise at a severity, or one without severities (0)."""

    kind: str
    severity: int
    corrupt: Callable[[Pixels, str], Pixels]
    """(pixels, name of the picture) -> corrupted pixels."""


def own_corruptions(kinds: Sequence[str], severities: Sequence[int]) -> list[Corruption]:
    """`imc_noise`'s kinds at these severities, every draw named by its picture."""

    def corruption(kind: str, severity: int) -> Corruption:
        def corrupt(rgb: Pixels, name: str) -> Pixels:
            return apply_image(kind, rgb, severity, noise_rng(name, kind, severity, SEED))

        return Corruption(kind, severity, corrupt)

    return [corruption(kind, severity) for kind in kinds for severity in severities]


def unmatched_corruptions() -> list[Corruption]:
    """The single noises of `unmatched`, without severities; their draws by the picture's name."""

    def corruption(name: str, corrupt: Callable[[Pixels, int], Pixels]) -> Corruption:
        def numbered(rgb: Pixels, picture: str) -> Pixels:
            number = int.from_bytes(hashlib.sha256(picture.encode()).digest()[:4], "big")
            return np.asarray(corrupt(rgb, number), dtype=np.uint8)

        return Corruption(name, 0, numbered)

    return [corruption(one.name, one.corrupt) for one in conditions(print) if one.new != TWO]


@dataclass(frozen=True)
class Outcome:
    """One picture under one corruption; plain values, one line of the stored measurement."""

    origin: str
    image: str
    """File name within the data folder: the cluster of intervals."""
    kind: str
    """`clean` without a corruption."""
    severity: int
    touched: bool
    """Whether a pixel was changed."""
    declined: str
    found: str
    """The kind that was perceived; `not examined` where the picture is too small."""
    p_value: float | None
    predicted_share: float | None
    noisy_error: float
    """Mean squared difference to the clean picture in grey levels, before."""
    left_error: float
    """The same of the picture as the model is to see it."""
    feature_ratio: float | None
    """||after - clean||² / ||before - clean||² at the projector's input; None without a model."""

    @property
    def ratio(self) -> float:
        """Share of the error that is left; above 1 it became worse."""
        return (self.left_error + GREY) / (self.noisy_error + GREY)


def measure_origin(
    half: Half,
    origin: str,
    files: Sequence[tuple[str, Path]],
    side: int,
    corruptions: Sequence[Corruption],
    encoder: VisionEncoder | None = None,
) -> Iterator[list[Outcome]]:
    """The outcomes of one picture after another: clean, then under every corruption.

    Args:
        half: fitted without `origin`.
        origin: name of the pictures' origin.
        files: (name, file) of each picture.
        side: shorter side in pixels that a picture is reduced to before anything else; a smaller
            picture keeps its size.
        corruptions: of each picture.
        encoder: for the features' ratio of what is restored.
    """
    for name, file in files:
        clean = resized(read_image(file), side)
        drawn = [
            MedicalImage.from_rgb(one.corrupt(clean.rgb.copy(), f"origins {name}"))
            for one in corruptions
        ]
        states = half.restore_batch([clean, *drawn])
        cases = [(CLEAN, 0), *((one.kind, one.severity) for one in corruptions)]
        yield [
            _outcome(origin, name, case, clean, noisy, state, encoder)
            for case, noisy, state in zip(cases, [clean, *drawn], states, strict=True)
        ]


def _outcome(
    origin: str,
    name: str,
    case: tuple[str, int],
    clean: MedicalImage,
    noisy: MedicalImage,
    state: Restoration,
    encoder: VisionEncoder | None,
) -> Outcome:
    touched, perception = state.image.sha256 != noisy.sha256, state.perception
    measured = encoder is not None and touched and case[0] != CLEAN
    return Outcome(
        origin=origin,
        image=name,
        kind=case[0],
        severity=case[1],
        touched=touched,
        declined="" if touched else state.declined,
        found=perception.kind if perception else "not examined",
        p_value=perception.clean_p_value if perception else None,
        predicted_share=state.predicted_share,
        noisy_error=_squared_error(noisy, clean),
        left_error=_squared_error(state.image, clean),
        feature_ratio=_feature_ratio(encoder, clean, noisy, state.image) if measured else None,
    )


def _squared_error(one: MedicalImage, clean: MedicalImage) -> float:
    return float(np.mean((one.rgb.astype(np.float32) - clean.rgb.astype(np.float32)) ** 2))


def _feature_ratio(
    encoder: VisionEncoder | None, clean: MedicalImage, noisy: MedicalImage, after: MedicalImage
) -> float | None:
    """None where the model's features of the noisy picture are those of the clean one."""
    if encoder is None:
        return None
    expected, before, left = (_features(encoder, image) for image in (clean, noisy, after))
    noise = float(np.sum((before - expected) ** 2))
    return float(np.sum((left - expected) ** 2)) / noise if noise > 0.0 else None


def _features(encoder: VisionEncoder, image: MedicalImage) -> NDArray[np.float64]:
    """(tokens, dim) at the last tap, the projector's input."""
    kept: list[NDArray[np.float64]] = []

    def keep(tap: str, features: object) -> None:
        if tap == encoder.taps[-1]:
            kept.append(np.asarray(features.float().cpu(), dtype=np.float64))  # type: ignore[attr-defined]

    encoder.encode(image, intervene=keep)
    return kept[0]
