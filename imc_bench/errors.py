"""What the bench refuses: one line that says what, why and the mend.

No message holds patient text: only file names, row numbers and field names.
"""


class DataRefused(ValueError):
    """A data set that cannot be measured on; the message is one line."""


class ScoreRefused(ValueError):
    """An unknown scoring rule; the message names the known ones."""


class StatisticRefused(ValueError):
    """Arrays that do not belong together, or hold nothing to estimate from."""


class StoreRefused(ValueError):
    """A store that cannot be used or written; the message is one line."""


class NoiseRefused(ValueError):
    """A noise of a user's own that cannot be taken in or used; the message is one line."""
