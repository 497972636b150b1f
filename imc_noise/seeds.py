"""Generators whose draws depend on what is corrupted, not on when or in which process."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from imc_noise.errors import UnknownSeverity

Severity = int | float
"""1..5. Integers are the published grid; floats between them are interpolated."""

_NUMBERS = (int, float, np.integer, np.floating)
MILDEST, STRONGEST = 1.0, 5.0


def check_severity(severity: Severity) -> float:
    """`severity` as a float in [1, 5].

    Raises:
        UnknownSeverity: for anything else (0, 6, NaN, a bool, a string).
    """
    if isinstance(severity, bool) or not isinstance(severity, _NUMBERS):
        raise UnknownSeverity(
            f"severity is a {type(severity).__name__}; give a number from 1 (mild) to 5 (strong)"
        )
    value = float(severity)
    if not MILDEST <= value <= STRONGEST:
        raise UnknownSeverity(f"severity {value:g} is off the scale; give 1 (mild) to 5 (strong)")
    return value


def noise_rng(item: str, kind: str, severity: Severity, seed: int = 0) -> np.random.Generator:
    """The generator for one (item, kind, severity, seed), the same in every process and machine.

    SHA-256 of the four values seeds NumPy's PCG64 (Python's own `hash` is salted per process).
    3 and 3.0 are the same severity.

    Raises:
        UnknownSeverity: `severity` is outside 1..5.
    """
    key = json.dumps([item, kind, check_severity(severity), int(seed)], ensure_ascii=True)
    digest = hashlib.sha256(key.encode("ascii")).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
