"""Noises of images and questions at five severities, seeded: what the benchmark adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_noise.errors": ("NoiseRefused", "UnknownNoise", "UnknownSeverity"),
        "imc_noise.noise": ("Modality", "Noise"),
        "imc_noise.registry": (
            "CORE_IMAGE",
            "CORE_TEXT",
            "EXTENDED_IMAGE",
            "EXTENDED_TEXT",
            "NOISES",
            "apply_image",
            "apply_text",
            "get_noise",
            "register_noise",
        ),
        "imc_noise.seeds": ("Severity", "noise_rng"),
    },
)
