"""`--noise KIND:SEVERITY`: corrupt an image or a question on purpose before asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vision.reading.medical_image import MedicalImage


@dataclass(frozen=True)
class NoiseRequest:
    """One `--noise` option: a kind of `imc_noise` and a severity in [1, 5]."""

    kind: str
    severity: int | float
    modality: Literal["image", "text"]


def parse_noise(option: str) -> NoiseRequest:
    """The request that `low_dose:3` stands for.

    Raises:
        InputRefused: no severity, or one outside 1 to 5.
        imc_noise.UnknownNoise: no such kind.
    """
    from imc_noise import get_noise

    kind, colon, written = option.partition(":")
    noise = get_noise(kind.strip())
    try:
        severity = float(written)
    except ValueError:
        severity = float("nan")
    if not colon or not 1 <= severity <= 5:
        raise InputRefused(
            f"--noise {option!r}: needs a severity from 1 to 5; write {kind.strip()}:3"
        )
    exact = int(severity) if severity.is_integer() else severity
    return NoiseRequest(noise.name, exact, noise.modality)


def corrupt_image(
    rgb: NDArray[np.uint8], name: str, requests: Sequence[NoiseRequest], seed: int
) -> NDArray[np.uint8]:
    """Apply the image noises among `requests`, in order, to `rgb` (H, W, 3) named `name`."""
    from imc_noise import apply_image, noise_rng

    for request in requests:
        if request.modality == "image":
            rng = noise_rng(name, request.kind, request.severity, seed)
            rgb = apply_image(request.kind, rgb, request.severity, rng)
    return rgb


def image_corruption(noise: Sequence[str], seed: int) -> Callable[[MedicalImage], MedicalImage]:
    """What adds the image noises of these options to an image.

    Raises:
        InputRefused: no severity, or one outside 1 to 5.
        imc_noise.UnknownNoise: no such kind, or one of questions.
    """
    from imc_noise import get_noise
    from vision.reading.medical_image import MedicalImage

    requests = [parse_noise(option) for option in noise]
    for request in requests:
        get_noise(request.kind, "image")

    def corrupt(image: MedicalImage) -> MedicalImage:
        if not requests:
            return image
        rgb = corrupt_image(image.rgb, image.sha256, requests, seed)
        return MedicalImage.from_rgb(rgb, image.source_format)

    return corrupt


def corrupt_question(question: str, requests: Sequence[NoiseRequest], seed: int) -> str:
    """Apply the text noises among `requests`, in order, to `question`."""
    from imc_noise import apply_text, noise_rng

    for request in requests:
        if request.modality == "text":
            rng = noise_rng(question, request.kind, request.severity, seed)
            question = apply_text(request.kind, question, request.severity, rng)
    return question
