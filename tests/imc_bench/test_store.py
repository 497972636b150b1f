"""The store: one run in one file, refused where it is another's, safe where writing fails."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imc_bench.errors import StoreRefused
from imc_bench.store import result_store as store_module
from imc_bench.store import units as units_module
from imc_bench.store.result_store import Store
from imc_bench.store.schema import SCHEMA
from tests.imc_bench.small_store import IDENTITY, NEW, row


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


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE run SET value = '{' WHERE key = 'schema'", "'schema' of the table run is no JSON"),
        ("UPDATE run SET value = '[2]' WHERE key = 'schema'", "another version"),
        ("UPDATE run SET value = '3' WHERE key = 'arguments'", "no valid 'arguments'"),
        ("UPDATE run SET value = '{}' WHERE key = 'model'", "no valid 'name' in 'model'"),
        ("DELETE FROM run WHERE key = 'expected'", "no valid 'expected'"),
        ("ALTER TABLE row DROP COLUMN prediction", "table row lacks 'prediction'"),
        ("ALTER TABLE unit DROP COLUMN seconds", "table unit lacks 'seconds'"),
        ("DROP TABLE skipped", "table skipped lacks"),
    ],
)
@pytest.mark.parametrize("way", ["read", "open"])
def test_a_damaged_store_is_refused_naming_the_damage(
    statement: str, says: str, way: str, path: Path
) -> None:
    Store.open(path, IDENTITY, NEW).close()
    with sqlite3.connect(path) as damaged:
        damaged.execute(statement)
    damaged.close()
    with pytest.raises(StoreRefused) as refusal:
        Store.read(path) if way == "read" else Store.open(path, IDENTITY, NEW)
    message = str(refusal.value)
    assert says in message and "\n" not in message


def test_a_value_of_a_wrong_type_is_refused_when_its_row_is_read(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row(confidence="high")])
        with pytest.raises(StoreRefused, match="'confidence' of a row holds str"):
            list(store.rows())


def torn(path: Path) -> None:
    """Make a store what a copy during a run may be: a unit is done, its rows are not there."""
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row()])
    with sqlite3.connect(path) as copied:
        copied.execute("DELETE FROM row")
    copied.close()


@pytest.mark.parametrize("way", ["read", "open"])
def test_a_store_that_was_copied_while_in_use_is_refused(way: str, path: Path) -> None:
    torn(path)
    with pytest.raises(StoreRefused, match="0 of 1 rows.*copy it again") as refused:
        Store.read(path) if way == "read" else Store.open(path, IDENTITY, NEW)
    assert "\n" not in str(refused.value)


def test_a_copy_of_the_file_alone_goes_on_without_the_newest_rows(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row()])  # in the journal, which is not copied
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
    with Store.open(copy, IDENTITY, NEW) as store:
        assert store.progress().units_done == 0
        assert store.units.claim() == 0


def test_pages_that_do_not_fit_together_are_refused(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row(str(number)) for number in range(500)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for open_it in (lambda: Store.open(path, IDENTITY, NEW), lambda: Store.read(path)):
        with pytest.raises(StoreRefused, match="copy it again") as refused:
            open_it()
        assert "\n" not in str(refused.value)


ON_GPU = replace(IDENTITY, model={**IDENTITY.model, "device": "cuda", "dtype": "bfloat16"})
ON_CPU = replace(IDENTITY, model={**IDENTITY.model, "device": "cpu", "dtype": "float32"})


def test_rows_of_two_devices_are_two_runs(path: Path) -> None:
    Store.open(path, ON_GPU, NEW).close()
    with pytest.raises(StoreRefused, match='device "cuda", this run has "cpu"'):
        Store.open(path, ON_CPU, NEW)


def test_a_store_without_a_device_is_one_of_a_cpu(path: Path) -> None:
    Store.open(path, IDENTITY, NEW).close()
    Store.open(path, ON_CPU, NEW).close()
    with pytest.raises(StoreRefused, match='device "cpu", this run has "cuda"'):
        Store.open(path, ON_GPU, NEW)


def test_rows_of_two_kinds_of_attention_are_two_runs(path: Path) -> None:
    usual, eager = (
        replace(ON_CPU, model={**ON_CPU.model, "attention": one}) for one in ("auto", "eager")
    )
    Store.open(path, IDENTITY, NEW).close()  # written before it was recorded
    Store.open(path, usual, NEW).close()
    with pytest.raises(StoreRefused, match='attention "auto", this run has "eager"'):
        Store.open(path, eager, NEW)


def test_one_claim_is_given_back_and_no_other(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as one, Store.open(path, IDENTITY, NEW) as two:
        assert [one.units.claim(), one.units.claim(), two.units.claim()] == [0, 1, 2]
        one.units.give_back(1)
        one.units.give_back(2)  # another's
        assert [two.units.claim(), two.units.claim()] == [1, None]


def test_reading_a_store_changes_no_file(path: Path) -> None:
    with Store.open(path, IDENTITY, NEW) as store:
        store.finish(0, [row()])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with Store.read(path) as store:
        assert store.progress().rows == 1
        with pytest.raises(StoreRefused, match="readonly"):
            store.finish(1, [row("b")])
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_store_on_a_read_only_disk_can_be_read() -> None:
    code = (
        "import os, sys; from pathlib import Path; from imc_bench.store.result_store import Store; "
        "os.setuid(65534); print(Store.read(Path(sys.argv[1])).progress().units)"
    )
    with tempfile.TemporaryDirectory() as folder:  # not below one that is root's alone
        path = Path(folder) / "run.db"
        Store.open(path, IDENTITY, NEW).close()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        ran = subprocess.run(
            [sys.executable, "-c", code, path],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    assert (ran.stdout.strip(), ran.returncode) == ("3", 0), ran.stderr
