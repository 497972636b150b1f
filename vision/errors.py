"""Refusals of the image side: one line that says what, why and the remedy.

No message holds patient text or pixel values, only sizes, formats and field names.
"""

from __future__ import annotations

from imc_core.errors import IMCError


class ImageRefused(IMCError):
    """An image that cannot be read as a medical image; the message is one line."""


class EncoderRefused(IMCError):
    """A vision encoder that cannot be tapped as asked; the message is one line."""


class BankRefused(IMCError):
    """A half of PDC that does not fit the model or is damaged; the message is one line."""
