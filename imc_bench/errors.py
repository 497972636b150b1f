"""What the bench refuses: one line that says what, why and the mend.

No message holds patient text: only file names, row numbers and field names.
"""

import traceback
from pathlib import Path


class DataRefused(ValueError):
    """A data set that cannot be measured on; the message is one line."""


class ScoreRefused(ValueError):
    """An unknown scoring rule; the message names the known ones."""


class StatisticRefused(ValueError):
    """Arrays that do not belong together, or hold nothing to estimate from."""


class StoreRefused(ValueError):
    """A store that cannot be used or written; the message is one line."""


class PluginRefused(ValueError):
    """A file of a user's own noises and methods that cannot be run; the message is one line."""


class NoiseRefused(ValueError):
    """A noise of a user's own that cannot be taken in or used; the message is one line."""


def where_raised(error: BaseException) -> str:
    """What an error of a user's own code is and where it was raised, without what it says: that may
    hold a question or a path."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind} in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else kind
