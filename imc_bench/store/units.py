"""The pieces of a run: who works on which, and how far all of it has come.

A process claims a unit for the time of a lease and renews it while it works, so that what a dead
process held is taken up by another.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from imc_bench.store.database import Database

LEASE_SECONDS = 120.0
"""How long a claim holds without being renewed: far over one batch, under a person's patience."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run has come."""

    rows: int
    expected: int
    units_done: int
    units: int
    working: int
    """Units that a live claim holds now."""
    skipped: int
    seconds: float
    """Work done so far, in seconds, all processes added up."""

    @property
    def complete(self) -> bool:
        """Nothing is left to do."""
        return self.units_done == self.units

    @property
    def seconds_left(self) -> float | None:
        """Of work, for one process; None before the first unit is done."""
        if not self.units_done:
            return None
        return self.seconds / self.units_done * (self.units - self.units_done)


class Units:
    """The table `unit` of an open store, as one process that works on it sees it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"

    def claim(self) -> int | None:
        """The first unit that nobody works on, now ours; None: all are done or being worked on.

        A claim ends when its lease does, or at once when its process on this machine is gone.
        """
        with self._db.writing():
            now = time.time()
            open_units = self._db.all(
                "SELECT unit, owner, lease_until FROM unit WHERE done = 0 ORDER BY unit"
            )
            for unit, owner, lease_until in open_units:
                if owner is None or lease_until < now or _is_gone(str(owner)):
                    self._db.run(
                        "UPDATE unit SET owner = ?, lease_until = ? WHERE unit = ?",
                        self.owner,
                        now + LEASE_SECONDS,
                        unit,
                    )
                    return int(unit)
        return None

    def renew(self, unit: int) -> None:
        """Hold a claim for another lease."""
        with self._db.writing():
            self._db.run(
                "UPDATE unit SET lease_until = ? WHERE unit = ? AND owner = ?",
                time.time() + LEASE_SECONDS,
                unit,
                self.owner,
            )

    def give_back(self, unit: int) -> None:
        """Give back one claim, for others or for another try."""
        with self._db.writing():
            self._db.run(
                "UPDATE unit SET owner = NULL, lease_until = 0 "
                "WHERE unit = ? AND owner = ? AND done = 0",
                unit,
                self.owner,
            )

    def release(self) -> None:
        """Give back what this process claimed and did not finish."""
        with self._db.writing():
            self._db.run(
                "UPDATE unit SET owner = NULL, lease_until = 0 WHERE owner = ? AND done = 0",
                self.owner,
            )

    def is_done(self, unit: int) -> bool:
        """Its rows are written."""
        ((done,),) = self._db.all("SELECT done FROM unit WHERE unit = ?", unit)
        return bool(done)

    def mark_done(self, unit: int, rows: int, seconds: float) -> None:
        """Within the transaction that writes the rows."""
        self._db.run(
            "UPDATE unit SET done = 1, rows = ?, seconds = ?, owner = ? WHERE unit = ?",
            rows,
            seconds,
            self.owner,
            unit,
        )

    def working(self) -> int:
        """How many units a live claim holds now."""
        claimed = self._db.all(
            "SELECT owner FROM unit WHERE done = 0 AND owner IS NOT NULL AND lease_until >= ?",
            time.time(),
        )
        return sum(not _is_gone(str(owner)) for (owner,) in claimed)


def _is_gone(owner: str) -> bool:
    """The owner ran on this machine and does not any more. Elsewhere only its lease can tell."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if os.name != "posix" or host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
