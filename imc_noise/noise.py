"""What a noise is: its name and meaning; and one of a user's own, tried before it is taken in."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imc_core.errors import where_raised
from imc_noise.errors import NoiseRefused

Modality = Literal["image", "text"]

STEPS = (1.0, 2.0, 3.0, 4.0, 5.0)
"""The published grid of severities."""
_TRIED = (1.0, 2.5, 5.0)
"""Severities at which a noise of one's own is tried when it is registered."""
_TRIAL_SHAPE = (24, 32, 3)
_TRIAL_QUESTION = "Is there a mass in the left lung?"


@dataclass(frozen=True)
class Noise:
    """One noise of the registry."""

    name: str
    modality: Modality
    meaning: str
    """What happened, physically or at the keyboard, in one sentence."""
    recoverable: bool
    """Whether what was there can, in principle, be recovered from what is left."""


@dataclass(frozen=True)
class OwnNoise(Noise):
    """A noise that a user registered."""

    corrupt: Callable[..., Any] = field(repr=False)
    strengths: tuple[float, ...] = STEPS
    """Of severities 1 to 5, in the noise's own unit; linear between them."""

    def strength(self, severity: float) -> float:
        """The strength at a severity in [1, 5]."""
        return float(np.interp(severity, STEPS, self.strengths))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the function's source file and the strengths: another noise
        under the same name has another."""
        made = hashlib.sha256(_source(self.corrupt))
        made.update(repr(self.strengths).encode())
        return made.hexdigest()[:16]

    def corrupt_image(
        self, image: NDArray[np.uint8], severity: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """`image` (H, W) or (H, W, 3), uint8, corrupted; a new array of its shape.

        A grey image is given to the function with three equal channels, and is their mean after.

        Raises:
            NoiseRefused: the function fails, changes its input, or gives something else.
        """
        given = np.array(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
        given.setflags(write=False)
        noisy = self._call(given, severity, rng)
        alike = isinstance(noisy, np.ndarray) and noisy.shape == given.shape
        if not alike or noisy.dtype != np.uint8:
            raise self._refusal(f"must return uint8 pixels of the shape given, {_kind(noisy)}")
        return np.array(noisy if image.ndim == 3 else np.rint(noisy.mean(axis=2)), dtype=np.uint8)

    def corrupt_text(self, text: str, severity: float, rng: np.random.Generator) -> str:
        """`text` corrupted.

        Raises:
            NoiseRefused: the function fails, or gives no text, or a blank one.
        """
        noisy = self._call(text, severity, rng)
        if not isinstance(noisy, str) or not noisy.strip():
            raise self._refusal(f"must return a text that is not blank, {_kind(noisy)}")
        return noisy

    def check(self) -> None:
        """Try the noise at three severities, twice each.

        Raises:
            NoiseRefused: it fails, gives something else than it is given, changes its input, or
                draws from anything but the generator it is given.
        """
        levels = np.linspace(0, 255, int(np.prod(_TRIAL_SHAPE)))
        image = levels.astype(np.uint8).reshape(_TRIAL_SHAPE)
        for severity in _TRIED:
            rngs = [np.random.default_rng(1) for _ in range(2)]
            if self.modality == "image":
                one, two = (self.corrupt_image(image, severity, rng) for rng in rngs)
                same = np.array_equal(one, two)
            else:
                same = len({self.corrupt_text(_TRIAL_QUESTION, severity, r) for r in rngs}) == 1
            if not same:
                raise self._refusal(
                    "gives two results from equal generators: draw from the generator it is "
                    "given, and keep nothing between calls"
                )

    def _call(self, clean: Any, severity: float, rng: np.random.Generator) -> Any:
        try:
            return self.corrupt(clean, self.strength(severity), rng)
        except Exception as error:
            file = code.co_filename if (code := _code(self.corrupt)) else None
            where = where_raised(error, file)
            if "read-only" in str(error):  # NumPy's words for pixels that are not to be written
                raise NoiseRefused(
                    f"noise {self.name!r} changes its input in place "
                    f"({where.partition(' at ')[2]}); start from a copy of it"
                ) from error
            raise NoiseRefused(f"noise {self.name!r} failed: {where}") from error

    def _refusal(self, what: str) -> NoiseRefused:
        code = _code(self.corrupt)
        place = f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""
        return NoiseRefused(f"noise {self.name!r}{place} {what}")


def check_strengths(name: str, strengths: Sequence[float] | None) -> tuple[float, ...]:
    """Five finite numbers; without any, the severities themselves.

    Raises:
        NoiseRefused: something else was given.
    """
    if strengths is None:
        return STEPS
    try:
        values = tuple(float(value) for value in strengths)
    except (TypeError, ValueError):
        values = ()
    if len(values) != len(STEPS) or not np.isfinite(values).all():
        raise NoiseRefused(
            f"noise {name!r}: strengths must be five finite numbers, one for each severity 1 to 5"
        )
    return values


def _code(function: Callable[..., Any]) -> Any:
    """The code of a Python function, also behind `functools.partial`; None of other callables."""
    return getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)


def _source(function: Callable[..., Any]) -> bytes:
    code = _code(function)
    if code is None:
        return repr(type(function)).encode()
    file = Path(code.co_filename)
    return file.read_bytes() if file.is_file() else bytes(code.co_code)


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"not {value.dtype} of the shape {value.shape}"
    return "not an empty one" if isinstance(value, str) else f"not a {type(value).__name__}"
