"""The result store: one SQLite file holds one run, and every answer of it.

Tables, for whoever reads them (`Store.read`, or any SQLite client):

`run`  key, value (JSON). One row each of: `schema` (SCHEMA), `run_key` (hash of what follows),
    `arguments` (object: data_set, split, limit, items_digest, noises, severities, conditions,
    methods, noise_at, seed, profile, keep_text), `versions` (object: imc-agents, torch, ...),
    `model` (object: name, fingerprint, bank; `bank` is the bank file's SHA-256 or null),
    `created` (ISO time), `machine` (text), `expected` (rows of the whole run), `bad_rows` (list of
    [where, why]: rows of the data set that could not be used). Everything but `created`,
    `machine`, `expected` and `bad_rows` determines the rows: a store with another value is refused.
`item`  item_id, image_group, topic, closed (0/1), answer, options (JSON list), and `question`
    where `keep_text` is set, else null.
`row`  one for each item, condition and method:
    run_key, dataset, split, item_id, image_group, topic, closed,
    image_noise ('' none, a noise, 'blank' or 'swapped'), image_severity (0 for none and controls),
    text_noise (''), text_severity (0), noise_at ('input' or 'native'), method,
    prediction, answer (the true one), confidence (0..1), correct_strict (0/1),
    question_noisy (0/1: the noise changed the question), question_edited (0/1: the method changed
    what it was given), question_restored (0/1: the question asked is the clean one),
    cer_before, cer_after (character errors against the clean question, a share of its length),
    protected_violations (against the clean question, those that the method made),
    touched (0/1: the method changed the image or its features),
    perceived_kind ('' without a bank), perceived_severity, clean_p_value (null without a bank),
    calls (passes through the model), ms (milliseconds, equal shares of shared work),
    question_asked (where `keep_text` is set, else null).
    The condition of all severities 0 is the clean one. Unique by run_key, item_id, condition,
    noise_at and method. Everything but `ms` is the same whenever the run is repeated.
`skipped`  unit, item_id, image_noise, image_severity, text_noise, text_severity, why: items left
    out of a condition, for every method alike, because image or question could not be read.
`unit`  unit (0..), owner, lease_until (Unix seconds), done (0/1), rows, seconds: the pieces that
    processes claim. A unit's rows and its `done` are written in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Version of the tables; a store of another one is refused."""
LEASE_SECONDS = 120.0
"""How long a claim holds without being renewed: far over one batch, under a person's patience."""
BUSY_SECONDS = 60.0
"""How long a write waits for another process's."""

ROW_COLUMNS = (
    "run_key dataset split item_id image_group topic closed image_noise image_severity text_noise "
    "text_severity noise_at method prediction answer confidence correct_strict question_noisy "
    "question_edited question_restored cer_before cer_after protected_violations touched "
    "perceived_kind perceived_severity clean_p_value calls ms question_asked"
).split()
"""The columns of `row`, in order."""
_OPTIONAL = {"clean_p_value", "question_asked"}
_UNIQUE = (
    "run_key, item_id, image_noise, image_severity, text_noise, text_severity, noise_at, method"
)
_TABLES = f"""
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE item (item_id TEXT PRIMARY KEY, image_group TEXT NOT NULL, topic TEXT NOT NULL,
    closed INTEGER NOT NULL, answer TEXT NOT NULL, options TEXT NOT NULL, question TEXT);
CREATE TABLE row ({", ".join(c if c in _OPTIONAL else f"{c} NOT NULL" for c in ROW_COLUMNS)},
    UNIQUE ({_UNIQUE}));
CREATE TABLE skipped (unit INTEGER NOT NULL, item_id TEXT NOT NULL, image_noise TEXT NOT NULL,
    image_severity NOT NULL, text_noise TEXT NOT NULL, text_severity NOT NULL, why TEXT NOT NULL);
CREATE TABLE unit (unit INTEGER PRIMARY KEY, owner TEXT, lease_until REAL NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, seconds REAL);
"""

Row = Mapping[str, Any]


class StoreRefused(ValueError):
    """A store that cannot be used or written; the message is one line."""


@dataclass(frozen=True)
class Identity:
    """What determines every row of a run."""

    arguments: Mapping[str, Any]
    versions: Mapping[str, str]
    model: Mapping[str, Any]

    @property
    def run_key(self) -> str:
        """Sixteen hex digits that stand for all of it."""
        text = json.dumps([SCHEMA, self.arguments, self.versions, self.model], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Standing:
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


@dataclass(frozen=True)
class NewRun:
    """What a store is created with beside its identity."""

    items: Sequence[tuple[str, str, str, bool, str, Sequence[str], str | None]]
    """item_id, image_group, topic, closed, answer, options, question or None."""
    units: int
    expected: int
    bad_rows: Sequence[tuple[str, str]] = ()


class Store:
    """An open store. Raises StoreRefused wherever SQLite cannot read or write."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `Store.open` or `Store.read`."""
        self.path = path
        self._db = connection
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, identity: Identity, new: NewRun) -> Store:
        """The store of this run: created where there is none, else checked to be this run's.

        Raises StoreRefused: not a store, of another version, or of a run with other arguments.
        """
        if not path.parent.is_dir():
            raise StoreRefused(f"{path}: its folder does not exist; make it, or give another --out")
        store = cls(path, _connect(path))
        try:
            with store._writing():
                if store._tables():
                    store._check(identity)
                else:
                    store._create(identity, new)
        except StoreRefused:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, path: Path) -> Store:
        """A store that is there, whatever its run. Raises StoreRefused where it is none."""
        if not path.is_file():
            raise StoreRefused(f"{path}: there is no such store; imc bench run --out makes one")
        store = cls(path, _connect(path))
        try:
            store._check_schema()
        except StoreRefused:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Store:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _tables(self) -> set[str]:
        return {name for (name,) in self._all("SELECT name FROM sqlite_master WHERE type='table'")}

    def _check_schema(self) -> None:
        if "run" not in self._tables():
            raise StoreRefused(f"{self.path}: is not a store of imc bench; give another file")
        found = self.facts().get("schema")
        if found != SCHEMA:
            raise StoreRefused(
                f"{self.path}: was written by another version of imc bench (schema {found}, "
                f"this is {SCHEMA}); give another --out"
            )

    def _check(self, identity: Identity) -> None:
        self._check_schema()
        facts = self.facts()
        if facts["run_key"] == identity.run_key:
            return
        for part in ("arguments", "versions", "model"):
            old, new = facts[part], json.loads(json.dumps(dict(getattr(identity, part))))
            for name in sorted({*old, *new}):
                if old.get(name) != new.get(name):
                    raise StoreRefused(
                        f"{self.path}: was written with {name} {_brief(old.get(name))}, this run "
                        f"has {_brief(new.get(name))}; give the same arguments or another --out"
                    )
        raise StoreRefused(f"{self.path}: is the store of another run; give another --out")

    def _create(self, identity: Identity, new: NewRun) -> None:
        if self._tables():
            raise StoreRefused(f"{self.path}: holds other tables; give another --out")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        facts = {
            "schema": SCHEMA,
            "run_key": identity.run_key,
            "arguments": dict(identity.arguments),
            "versions": dict(identity.versions),
            "model": dict(identity.model),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
            f"Python {platform.python_version()}",
            "expected": new.expected,
            "bad_rows": [list(row) for row in new.bad_rows],
        }
        self._db.executemany(
            "INSERT INTO run VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in facts.items()],
        )
        self._db.executemany(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (i, group, topic, int(closed), answer, json.dumps(list(options)), question)
                for i, group, topic, closed, answer, options, question in new.items
            ],
        )
        self._db.executemany(
            "INSERT INTO unit (unit) VALUES (?)", [(unit,) for unit in range(new.units)]
        )

    # -- sharing the work -----------------------------------------------------------------------

    def claim(self) -> int | None:
        """The first unit that nobody works on, now ours; None: all are done or being worked on.

        A claim ends when its lease does, or at once when its process on this machine is gone.
        """
        with self._writing():
            now = time.time()
            open_units = self._all(
                "SELECT unit, owner, lease_until FROM unit WHERE done = 0 ORDER BY unit"
            )
            for unit, owner, lease_until in open_units:
                if owner is None or lease_until < now or _is_gone(str(owner)):
                    self._db.execute(
                        "UPDATE unit SET owner = ?, lease_until = ? WHERE unit = ?",
                        (self.owner, now + LEASE_SECONDS, unit),
                    )
                    return int(unit)
        return None

    def renew(self, unit: int) -> None:
        """Hold a claim for another lease."""
        with self._writing():
            self._db.execute(
                "UPDATE unit SET lease_until = ? WHERE unit = ? AND owner = ?",
                (time.time() + LEASE_SECONDS, unit, self.owner),
            )

    def release(self) -> None:
        """Give back what this process claimed and did not finish."""
        with self._writing():
            self._db.execute(
                "UPDATE unit SET owner = NULL, lease_until = 0 WHERE owner = ? AND done = 0",
                (self.owner,),
            )

    def finish(
        self, unit: int, rows: Sequence[Row], skipped: Sequence[Row] = (), seconds: float = 0.0
    ) -> None:
        """Write a unit's rows and mark it done, in one transaction; again is no harm.

        A process that lost its claim to another one writes the same rows: they are kept once.
        """
        places = ", ".join("?" for _ in ROW_COLUMNS)
        with self._writing():
            done = self._all("SELECT done FROM unit WHERE unit = ?", unit)
            if done and done[0][0]:
                return
            self._db.executemany(
                f"INSERT OR IGNORE INTO row ({', '.join(ROW_COLUMNS)}) VALUES ({places})",
                [[row[column] for column in ROW_COLUMNS] for row in rows],
            )
            self._db.executemany(
                "INSERT INTO skipped VALUES (:unit, :item_id, :image_noise, :image_severity, "
                ":text_noise, :text_severity, :why)",
                [{"unit": unit, **one} for one in skipped],
            )
            self._db.execute(
                "UPDATE unit SET done = 1, rows = ?, seconds = ?, owner = ? WHERE unit = ?",
                (len(rows), seconds, self.owner, unit),
            )

    # -- reading --------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """The table `run` as values."""
        return {key: json.loads(value) for key, value in self._all("SELECT key, value FROM run")}

    def standing(self) -> Standing:
        """How far the run has come."""
        ((rows, done, units, seconds),) = self._all(
            "SELECT COALESCE(SUM(rows), 0), COALESCE(SUM(done), 0), COUNT(*), "
            "COALESCE(SUM(seconds), 0) FROM unit"
        )
        claimed = self._all(
            "SELECT owner FROM unit WHERE done = 0 AND owner IS NOT NULL AND lease_until >= ?",
            time.time(),
        )
        ((skipped,),) = self._all("SELECT COUNT(*) FROM skipped")
        return Standing(
            rows=int(rows),
            expected=int(self.facts()["expected"]),
            units_done=int(done),
            units=int(units),
            working=sum(not _is_gone(str(owner)) for (owner,) in claimed),
            skipped=int(skipped),
            seconds=float(seconds),
        )

    def rows(self, where: str = "", *values: Any) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries, ordered by what makes them unique.

        Args:
            where: an SQL condition over the columns, with `?` for `values`.
            *values: in their places.
        """
        condition = f" WHERE {where}" if where else ""
        found = self._run(f"SELECT * FROM row{condition} ORDER BY {_UNIQUE}", *values)
        for row in found:
            yield dict(zip(ROW_COLUMNS, row, strict=True))

    def skipped(self) -> list[dict[str, Any]]:
        """Items left out, with the reason."""
        names = "unit item_id image_noise image_severity text_noise text_severity why".split()
        found = self._all("SELECT DISTINCT * FROM skipped ORDER BY unit, item_id")
        return [dict(zip(names, row, strict=True)) for row in found]

    # -- SQLite ---------------------------------------------------------------------------------

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    def _all(self, statement: str, *values: Any) -> list[Any]:
        try:
            with closing(self._db.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction that holds the only write lock; undone where anything goes wrong."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # safe against kill; WAL's own advice
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    return connection


def _refusal(path: Path, error: sqlite3.Error) -> StoreRefused:
    """What SQLite said, and the mend."""
    said = str(error)
    if "not a database" in said or "malformed" in said:
        mend = "it is not a store of imc bench, or it is damaged; give another file"
    elif "full" in said:
        mend = "free some space and run the same command again; what was written is safe"
    elif "locked" in said or "busy" in said:
        mend = "another program holds it; close that and run the same command again"
    else:
        mend = "check the folder's rights and run the same command again; what was written is safe"
    return StoreRefused(f"{path}: {said}: {mend}")


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


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
