"""What this room refuses, each in one line: what, why, the remedy."""

from __future__ import annotations

from collections.abc import Iterable

from imc_core.errors import IMCError


class UnknownNoise(IMCError):
    """A noise was asked for by a name (or at a severity) that is not in the registry."""

    @classmethod
    def named(cls, name: str, known: Iterable[str], modality: str | None = None) -> UnknownNoise:
        """The refusal of `name`, listing the `known` noises (of one `modality`, where given)."""
        what = f"{modality} noise" if modality else "noise"
        return cls(f"unknown {what} {name!r}; choose one of: {', '.join(known)}")


class UnknownSeverity(UnknownNoise):
    """A severity outside 1..5."""


class NoiseRefused(IMCError):
    """A noise of a user's own that cannot be registered or used."""
