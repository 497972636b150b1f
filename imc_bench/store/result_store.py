"""The result store: one SQLite file holds one run, and every answer of it.

`imc_bench.store.schema` says what its tables hold.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imc_bench.errors import StoreRefused
from imc_bench.store.damage import columns_of_tables, facts_damage, row_damage, schema_damage
from imc_bench.store.database import Database
from imc_bench.store.local_disk import check_local
from imc_bench.store.schema import (
    BEFORE_DEVICES,
    ROW_COLUMNS,
    SCHEMA,
    TABLES,
    UNIQUE,
    Identity,
    NewRun,
    ResultRow,
)
from imc_bench.store.units import RunProgress, Units

_RESTORE = "restore it from a copy, or measure again with another --out"


class Store:
    """An open store. Raises StoreRefused wherever SQLite cannot read or write."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Use `Store.open` or `Store.read`."""
        self.path = path
        self._db = Database(path, read_only=read_only)
        self.units = Units(self._db)
        """The pieces of the run, which processes claim."""

    @classmethod
    def open(cls, path: Path, identity: Identity, new: NewRun) -> Store:
        """The store of this run: created where there is none, else checked to be this run's.

        Raises StoreRefused: not a store, of another version, of a run with other arguments,
        damaged, or on a network disk.
        """
        if not path.parent.is_dir():
            raise StoreRefused(f"{path}: its folder does not exist; make it, or give another --out")
        check_local(path)
        store = cls(path)
        try:
            with store._db.writing():
                if store._db.tables():
                    store._check(identity)
                else:
                    store._create(identity, new)
            store._db.write_through()  # a copy of the file alone is then a store
        except StoreRefused:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, path: Path) -> Store:
        """A store that is there, whatever its run. Raises StoreRefused where it is none."""
        if not path.is_file():
            raise StoreRefused(f"{path}: there is no such store; imc bench run --out makes one")
        store = cls(path, read_only=True)
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

    def _check_schema(self) -> None:
        if "run" not in self._db.tables():
            raise StoreRefused(f"{self.path}: is not a store of imc bench; give another file")
        found = self.facts().get("schema")
        if found != SCHEMA:
            raise StoreRefused(
                f"{self.path}: was written by another version of imc bench (tables of version "
                f"{found}, this one has {SCHEMA}); measure again with another --out, or read it "
                "with the imc-agents that wrote it"
            )
        damage = schema_damage({table: self._db.columns(table) for table in columns_of_tables()})
        damage = damage or facts_damage(self.facts()) or self._copy_damage()
        if damage:
            raise StoreRefused(f"{self.path}: is damaged, {damage}; {_RESTORE}")

    def _copy_damage(self) -> str:
        """What does not fit together: a file that was copied while a run was writing it."""
        (found,) = self._db.all("PRAGMA quick_check(1)")[0]
        ((counted, there),) = self._db.all(
            "SELECT (SELECT COALESCE(SUM(rows), 0) FROM unit), (SELECT COUNT(*) FROM row)"
        )
        if found == "ok" and counted == there:
            return ""
        what = "its pages do not fit together" if found != "ok" else f"{there} of {counted} rows"
        return f"{what}, as after a copy while a run was writing; copy it again when none is"

    def _check(self, identity: Identity) -> None:
        self._check_schema()
        facts = self.facts()
        if facts["run_key"] == identity.run_key:
            return
        for part in ("arguments", "versions", "model"):
            old, new = facts[part], json.loads(json.dumps(dict(getattr(identity, part))))
            if part == "model":
                old, new = {**BEFORE_DEVICES, **old}, {**BEFORE_DEVICES, **new}
            for name in sorted({*old, *new}):
                if old.get(name) != new.get(name):
                    raise StoreRefused(
                        f"{self.path}: was written with {name} {_brief(old.get(name))}, this run "
                        f"has {_brief(new.get(name))}; give the same arguments or another --out"
                    )
        raise StoreRefused(f"{self.path}: is the store of another run; give another --out")

    def _create(self, identity: Identity, new: NewRun) -> None:
        if self._db.tables():
            raise StoreRefused(f"{self.path}: holds other tables; give another --out")
        for statement in TABLES.split(";"):
            self._db.run(statement)
        facts = {
            "schema": SCHEMA,
            "run_key": identity.run_key,
            "arguments": dict(identity.arguments),
            "versions": dict(identity.versions),
            "model": dict(identity.model),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
            f"Python {platform.python_version()}",
            "command": new.command,
            "expected": new.expected,
            "bad_rows": [list(row) for row in new.bad_rows],
        }
        self._db.run_many(
            "INSERT INTO run VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in facts.items()],
        )
        self._db.run_many(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (i, group, topic, int(closed), answer, json.dumps(list(options)), question)
                for i, group, topic, closed, answer, options, question in new.items
            ],
        )
        self._db.run_many(
            "INSERT INTO unit (unit) VALUES (?)", [(unit,) for unit in range(new.units)]
        )

    def finish(
        self,
        unit: int,
        rows: Sequence[ResultRow],
        skipped: Sequence[ResultRow] = (),
        seconds: float = 0.0,
    ) -> None:
        """Write a unit's rows and mark it done, in one transaction; again is no harm.

        A process that lost its claim to another one writes the same rows: they are kept once.
        """
        places = ", ".join("?" for _ in ROW_COLUMNS)
        with self._db.writing():
            if self.units.is_done(unit):
                return
            self._db.run_many(
                f"INSERT OR IGNORE INTO row ({', '.join(ROW_COLUMNS)}) VALUES ({places})",
                [[row[column] for column in ROW_COLUMNS] for row in rows],
            )
            self._db.run_many(
                "INSERT INTO skipped VALUES (:unit, :item_id, :image_noise, :image_severity, "
                ":text_noise, :text_severity, :why)",
                [{"unit": unit, **one} for one in skipped],
            )
            self.units.mark_done(unit, len(rows), seconds)

    def facts(self) -> dict[str, Any]:
        """The table `run` as values."""
        found = {}
        for key, value in self._db.all("SELECT key, value FROM run"):
            try:
                found[str(key)] = json.loads(value)
            except (ValueError, TypeError, RecursionError) as error:
                raise StoreRefused(
                    f"{self.path}: is damaged, {str(key)[:40]!r} of the table run is no JSON; "
                    f"{_RESTORE}"
                ) from error
        return found

    def progress(self) -> RunProgress:
        """How far the run has come."""
        ((rows, done, units, seconds),) = self._db.all(
            "SELECT COALESCE(SUM(rows), 0), COALESCE(SUM(done), 0), COUNT(*), "
            "COALESCE(SUM(seconds), 0) FROM unit"
        )
        ((skipped,),) = self._db.all("SELECT COUNT(*) FROM skipped")
        return RunProgress(
            rows=int(rows),
            expected=int(self.facts()["expected"]),
            units_done=int(done),
            units=int(units),
            working=self.units.working(),
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
        names = ", ".join(ROW_COLUMNS)
        found = self._db.each(f"SELECT {names} FROM row{condition} ORDER BY {UNIQUE}", *values)
        for row in found:
            named = dict(zip(ROW_COLUMNS, row, strict=True))
            damage = row_damage(named)
            if damage:
                raise StoreRefused(f"{self.path}: is damaged, {damage}; {_RESTORE}")
            yield named

    def skipped(self) -> list[dict[str, Any]]:
        """Items left out, with the reason."""
        names = "unit item_id image_noise image_severity text_noise text_severity why".split()
        found = self._db.all(
            f"SELECT DISTINCT {', '.join(names)} FROM skipped ORDER BY unit, item_id"
        )
        return [dict(zip(names, row, strict=True)) for row in found]


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
