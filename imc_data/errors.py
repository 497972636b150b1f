"""What this room refuses: one line that says what, why and the remedy.

No message holds patient text: only file names, row numbers and field names.
"""

from __future__ import annotations

from imc_core.errors import IMCError


class DataRefused(IMCError):
    """A data set that cannot be used as it is."""


class RecordRefused(DataRefused):
    """One record that cannot be used; the message becomes its `BadRow.why`."""
