"""What this room refuses, each as one line that says what, why and the remedy."""

from __future__ import annotations

from imc_core.errors import IMCError

__all__ = ["StateRefused"]


class StateRefused(IMCError):
    """A value that a key of the state cannot hold, or a checkpoint that cannot be read."""
