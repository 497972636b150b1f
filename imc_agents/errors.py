"""What this room refuses, each as one line that says what, why and the remedy."""

from __future__ import annotations

from imc_core.errors import IMCError

__all__ = ["MarginsRefused", "ModelRefused", "ProtectedWordsRefused", "QuestionRefused"]


class ModelRefused(IMCError):
    """A model that cannot be used: missing, incomplete, pickled, text-only or unsupported."""


class MarginsRefused(ModelRefused):
    """Thresholds that cannot be used with a model: unreadable, or measured on another."""


class ProtectedWordsRefused(IMCError):
    """A file of protected words that cannot be read, or is not of the documented form."""


class QuestionRefused(IMCError):
    """A question, message or text to score that cannot be put to the model."""
