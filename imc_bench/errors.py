"""What the bench refuses: one line that says what, why and the remedy.

No message holds patient text: only file names, row numbers and field names.
"""

from imc_core.errors import IMCError


class ScoreRefused(IMCError):
    """An unknown scoring rule; the message names the known ones."""


class StatisticRefused(IMCError):
    """Arrays that do not belong together, or hold nothing to estimate from."""


class StoreRefused(IMCError):
    """A store that cannot be used or written; the message is one line."""


class PluginRefused(IMCError):
    """A file of a user's own noises and methods that cannot be run; the message is one line."""


class NoiseRefused(IMCError):
    """A noise of a user's own that cannot be taken in or used; the message is one line."""
