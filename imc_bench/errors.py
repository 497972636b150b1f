"""What the bench refuses: one line that says what, why and the remedy.

No message holds patient text: only file names, row numbers and field names.
"""

from imc_core.errors import IMCError


class ScoreRefused(IMCError):
    """An unknown scoring rule; the message names the known ones."""


class StatisticRefused(IMCError):
    """Arrays that do not belong together, or hold nothing to estimate from."""


class RunRefused(IMCError):
    """A run cannot be made as it was asked for; the message is one line."""


class WorkersLost(RuntimeError):
    """Workers of a run died too often, or one failed; one line. What was written is safe."""


class StoreRefused(IMCError):
    """A store that cannot be used or written; the message is one line."""
