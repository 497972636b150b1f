"""The noises, image and text, with severities: what corrupts a question before IMC sees it."""

from __future__ import annotations

from imc_noise.errors import NoiseRefused, UnknownNoise, UnknownSeverity
from imc_noise.noise import Modality, Noise
from imc_noise.registry import (
    CORE_IMAGE,
    CORE_TEXT,
    EXTENDED_IMAGE,
    EXTENDED_TEXT,
    NOISES,
    apply_image,
    apply_text,
    get_noise,
    register_noise,
)
from imc_noise.seeds import Severity, noise_rng

__all__ = [
    "CORE_IMAGE",
    "CORE_TEXT",
    "EXTENDED_IMAGE",
    "EXTENDED_TEXT",
    "NOISES",
    "Modality",
    "Noise",
    "NoiseRefused",
    "Severity",
    "UnknownNoise",
    "UnknownSeverity",
    "apply_image",
    "apply_text",
    "get_noise",
    "noise_rng",
    "register_noise",
]
