"""Kill workers and driver of a run at random moments, finish it, and compare its rows with those of
a run in one process: nothing may be lost, and no row may be there twice.

    python benchmarks/kill_actors.py --kills 20                  # actors of a local Ray cluster
    python benchmarks/kill_actors.py --kills 20 --processes      # worker processes of --jobs

One kill in four is the driver's, which is then started again with the same command; the others are
of one of its workers, which the driver replaces. A run that is complete before all kills are made
is compared, and another one is begun. Prints a line for each kill and for each comparison.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imc_bench.errors import StoreRefused
from imc_bench.store.result_store import Store
from imc_bench.store.units import RunProgress

DRIVER_SHARE = 0.25
ROUNDED = {"confidence": 1e-3, "clean_p_value": 1e-3}
"""Columns that may differ by rounding, where there are more threads or fewer."""
WORKER_NAMES = ("ray::UnitWorker", "multiprocessing.spawn")
POLL_SECONDS = 0.1


@dataclass
class Tried:
    """One command that is killed and started again until its run is complete."""

    command: list[str]
    out: Path
    moments: random.Random
    kills: list[str] = field(default_factory=list)

    def run(self, most: int) -> None:
        """Kill up to `most` times in all, then let it finish."""
        driver = self._start()
        try:
            while driver.poll() is None:
                if len(self.kills) >= most:
                    time.sleep(POLL_SECONDS)
                    continue
                before = progress(self.out)
                if before is None or not before.working:
                    time.sleep(POLL_SECONDS)
                    continue
                each = before.seconds / before.units_done if before.units_done else 1.0
                time.sleep(self.moments.uniform(0.0, 2.0 * each))
                if self._kill(driver) == "driver":
                    driver.wait()
                    driver = self._start()
            if driver.returncode:
                raise SystemExit(f"the command ended with {driver.returncode}: {self.command}")
        finally:
            driver.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def _kill(self, driver: subprocess.Popen[bytes]) -> str:
        """Kill the driver or one of its workers, and say which."""
        workers = [pid for pid in descendants(driver.pid) if is_worker(pid)]
        victim = "driver" if self.moments.random() < DRIVER_SHARE or not workers else "worker"
        pid = driver.pid if victim == "driver" else self.moments.choice(workers)
        now = progress(self.out)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills.append(victim)
            done = f"{now.units_done} of {now.units}" if now else "none"
            print(f"kill {len(self.kills):3}: {victim}, {done} units done", flush=True)
        return victim


def progress(store: Path) -> RunProgress | None:
    """How far a run has come; None before there is a store."""
    try:
        with Store.read(store) as opened:
            return opened.progress()
    except StoreRefused:
        return None


def descendants(pid: int) -> list[int]:
    """Processes that this one started, and those of theirs."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def is_worker(pid: int) -> bool:
    """A process that measures units, by its command line."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return any(name in line for name in WORKER_NAMES)
    return False


def rows_of(store: Path) -> list[dict[str, Any]]:
    """All rows, less the time they took."""
    with Store.read(store) as opened:
        return [{k: v for k, v in row.items() if k != "ms"} for row in opened.rows()]


def differences(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> int:
    """Rows of which a column differs by more than rounding, and rows that the other lacks."""
    unlike = sum(
        any(not same(name, a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=False)
    )
    return unlike + abs(len(one) - len(other))


def same(column: str, one: Any, other: Any) -> bool:
    """Equal, or within rounding."""
    if column in ROUNDED and None not in (one, other):
        return bool(abs(one - other) <= ROUNDED[column])
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--processes", action="store_true", help="of --jobs, without Ray")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--noises", default="core")
    parser.add_argument("--acquisition", type=Path, help="default: the shipped one")
    args = parser.parse_args()
    run = [
        *(sys.executable, "-m", "imc_app.cli", "bench", "run", "--dataset", "phantom", "--quiet"),
        *("--limit", str(args.limit), "--noises", args.noises, "--severities", "1,3,5"),
        *(() if args.acquisition is None else ("--acquisition", str(args.acquisition))),
    ]
    workers = ["--jobs", str(args.jobs), *(() if args.processes else ("--ray", "local"))]
    moments, made, wrong = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.sqlite"
        subprocess.run([*run, "--out", str(whole)], check=True, stdout=subprocess.DEVNULL)
        wanted = rows_of(whole)
        while made < args.kills:
            out = Path(folder) / f"killed-{made}.sqlite"
            tried = Tried([*run, *workers, "--out", str(out)], out, moments)
            tried.run(args.kills - made)
            made += len(tried.kills)
            found = rows_of(out)
            unlike = differences(found, wanted)
            wrong += unlike
            print(
                f"after {len(tried.kills)} kills ({tried.kills.count('driver')} of the driver): "
                f"{len(found)} of {len(wanted)} rows, {unlike} unlike those of one process"
            )
    print(f"{made} kills, {wrong} rows lost, double or unlike")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
