"""The noises that a run may name: those of `imc_noise`, and a user's own.

A noise of one's own is a `Noise`, which says what it is, with the function that puts it on:

    register_noise(Noise("dust", "image", "Dust on the detector.", recoverable=True), put_dust)

From then on `dust` may stand among the noises of a request, alone or joined by `+`, in this
process. A store knows it by its name alone: another function wants another name. From a file that
a request names among its plug-ins it reaches every process of a run, and the store knows the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imc_bench.errors import NoiseRefused
from imc_core.errors import where_raised
from imc_noise import NOISES, Noise, Severity, UnknownNoise, apply_image, apply_text

ImageNoise = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.uint8]]
"""Pixels (H, W, 3) uint8, severity 1..5 and a generator -> pixels of the same shape and type."""
TextNoise = Callable[[str, float, np.random.Generator], str]
"""A question, severity 1..5 and a generator -> the question as it was put."""

_OWN: dict[str, tuple[Noise, Callable[..., Any]]] = {}


def register_noise(noise: Noise, put_on: ImageNoise | TextNoise) -> None:
    """Add a noise of your own to this process.

    Args:
        noise: its name, modality and meaning.
        put_on: an `ImageNoise` or a `TextNoise`, as the modality says. All that it draws must come
            from the generator it is given, or no run can be repeated.

    Raises:
        NoiseRefused: the name is taken, or is none that can stand in a list of noises.
    """
    if noise.name in known_noises():
        raise NoiseRefused(f"there is a noise {noise.name!r} already; give yours another name")
    if not noise.name.isidentifier():
        raise NoiseRefused(f"{noise.name!r} is no name for a noise; use letters, digits and _")
    _OWN[noise.name] = (noise, put_on)


def known_noises() -> Mapping[str, Noise]:
    """Every noise by name."""
    return {**NOISES, **{name: noise for name, (noise, _) in _OWN.items()}}


def find_noise(name: str) -> Noise:
    """The noise called `name`. Raises UnknownNoise, which lists those there are."""
    known = known_noises()
    if name not in known:
        raise UnknownNoise.named(name, known)
    return known[name]


def put_on_image(
    name: str, rgb: NDArray[np.uint8], severity: Severity, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) under this image noise; the input is left as it was.

    Raises NoiseRefused where a noise of one's own fails, or gives anything but such pixels.
    """
    if name not in _OWN:
        return apply_image(name, rgb, severity, rng)
    noisy = _put_own(name, rgb.copy(), severity, rng)
    if not isinstance(noisy, np.ndarray) or (noisy.shape, noisy.dtype) != (rgb.shape, rgb.dtype):
        raise NoiseRefused(f"noise {name!r} must give uint8 pixels of the shape {rgb.shape}")
    return noisy


def put_on_text(name: str, question: str, severity: Severity, rng: np.random.Generator) -> str:
    """The question under this text noise.

    Raises NoiseRefused where a noise of one's own fails, or gives anything but a text.
    """
    if name not in _OWN:
        return apply_text(name, question, severity, rng)
    noisy = _put_own(name, question, severity, rng)
    if not isinstance(noisy, str):
        raise NoiseRefused(f"noise {name!r} must give a text, not a {type(noisy).__name__}")
    return noisy


def _put_own(name: str, clean: Any, severity: Severity, rng: np.random.Generator) -> Any:
    try:
        return _OWN[name][1](clean, float(severity), rng)
    except Exception as error:
        raise NoiseRefused(f"noise {name!r} failed: {where_raised(error)}") from error
