"""The store: one run in one file, refused where it is another's, safe where writing fails."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imc_bench import store as store_module
from imc_bench import units as units_module
from imc_bench.errors import StoreRefused
from imc_bench.schema import ROW_COLUMNS, SCHEMA, Identity, NewRun
from imc_bench.store import Store

IDENTITY = Identity(
    {"data_set": "phantom", "seed": 0, "methods": ["none"]},
    {"imc-agents": "0.1.0"},
    {"name": "m", "fingerprint": "f", "bank": None},
)
NEW = NewRun([("a", "g", "topic", True, "yes", (), None)], units=3, expected=3)


def row(item: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(ROW_COLUMNS, 0),
        "run_key": IDENTITY.run_key,
        "item_id": item,
        "image_noise": "",
        "text_noise": "",
        "noise_at": "input",
        "method": "none",
        "question_asked": None,
        **changes,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store goes."""
    return tmp_path / "run.db"


def test_what_was_written_is_there_when_the_run_goes_on(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        unit = store.units.claim()
        assert unit == 0
        skipped = {name: row()[name] for name in ("image_noise", "image_severity")}
        skipped |= {"text_noise": "", "text_severity": 0, "item_id": "b", "why": "unreadable"}
        store.finish(unit, [row(prediction="yes", confidence=0.5)], [skipped], seconds=1.5)
    with Store.open(path, IDENTITY, NEW) as store:
        progress = store.progress()
        assert (progress.rows, progress.units_done, progress.skipped) == (1, 1, 1)
        assert progress.seconds_left == 3.0
        assert [r["prediction"] for r in store.rows("method = ?", "none")] == ["yes"]
        assert store.skipped()[0]["why"] == "unreadable"


@pytest.mark.parametrize(
    ("part", "changed", "named"),
    [
        ("arguments", {**IDENTITY.arguments, "seed": 1}, "seed 0, this run has 1"),
        ("versions", {"imc-agents": "0.2.0"}, 'imc-agents "0.1.0", this run has "0.2.0"'),
        ("model", {**IDENTITY.model, "bank": "b"}, 'bank null, this run has "b"'),
    ],
)
def test_a_store_of_another_run_is_refused_by_what_differs(
    path: Path, part: str, changed: dict[str, Any], named: str
) -> None:
    Store.open(path, IDENTITY, NEW).close()
    with pytest.raises(StoreRefused, match=named) as refused:
        Store.open(path, replace(IDENTITY, **{part: changed}), NEW)
    assert "\n" not in str(refused.value)


def test_a_store_of_an_older_version_is_refused_with_the_mend(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(store_module, "SCHEMA", SCHEMA - 1)
        Store.open(path, IDENTITY, NEW).close()
    for open_it in (lambda: Store.open(path, IDENTITY, NEW), lambda: Store.read(path)):
        with pytest.raises(StoreRefused, match="another version.*another --out") as refused:
            open_it()
        assert "\n" not in str(refused.value)


def test_what_is_no_store_is_refused_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    path.write_text("patients, by name " * 200)
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="not a store"):
        Store.open(path, IDENTITY, NEW)
    assert path.read_bytes() == before
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (a)")
    other.close()
    with pytest.raises(StoreRefused, match="not a store"):
        Store.open(tmp_path / "other.db", IDENTITY, NEW)
    with pytest.raises(StoreRefused, match="no such store"):
        Store.read(tmp_path / "none.db")
    with pytest.raises(StoreRefused, match="folder does not exist"):
        Store.open(tmp_path / "none" / "run.db", IDENTITY, NEW)


def test_two_processes_never_hold_the_same_unit(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as one, Store.open(path, IDENTITY, NEW) as two:
        claims = [side.units.claim() for side in (one, two, one, two)]
        assert claims == [0, 1, 2, None]
        assert one.progress().working == 3
        one.units.release()
        assert two.units.claim() == 0


def test_a_claim_ends_with_its_process_or_its_lease(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        store.units.owner = f"{socket.gethostname()}:{ended.pid}:0"
        assert store.units.claim() == 0
        assert store.units.claim() == 0  # its owner is gone
        store.units.owner = "another-machine:1:0"
        monkeypatch.setattr(units_module, "LEASE_SECONDS", -1.0)
        assert store.units.claim() == 0
        assert store.units.claim() == 0  # its lease is over


def test_rows_written_twice_are_kept_once(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row(ms=1.0)])
        store.finish(0, [row(ms=2.0)])
        store.finish(1, [row(ms=3.0)])
        assert [r["ms"] for r in store.rows()] == [1.0]


def test_a_full_disk_is_one_clear_line_and_loses_nothing(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row()])
        pages = store._db.run("PRAGMA page_count").fetchone()[0]
        store._db.run(f"PRAGMA max_page_count = {pages}")
        many = [row(str(number), prediction="x" * 500) for number in range(500)]
        with pytest.raises(StoreRefused, match="full: free some space") as refused:
            store.finish(1, many)
        assert "\n" not in str(refused.value)
        assert store.progress().units_done == 1
        assert len(list(store.rows())) == 1
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(1, many)
        assert len(list(store.rows())) == 501
