"""The driver: every unit is measured and written once, whoever works and whoever dies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc_bench.errors import StoreRefused, WorkersLost
from imc_bench.run import driver
from imc_bench.run.driver import MOST_LOSSES, Lost, Measured, drive
from imc_bench.store.units import RunProgress
from tests.imc_bench.run_fakes import UNITS, WHOLE, Workers, open_store, rows_of


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_workers_makes_the_same_rows(tmp_path: Path, count: int) -> None:
    seen: list[RunProgress] = []
    with open_store(tmp_path) as store:
        assert drive(store, Workers(count), seen.append).complete
        assert rows_of(store) == WHOLE
    assert [one.units_done for one in seen] == sorted(one.units_done for one in seen)
    assert max(one.working for one in seen) < count + 1


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_dies_nothing_is_lost_or_double(data: st.DataObject) -> None:
    deaths = {unit: data.draw(st.integers(0, MOST_LOSSES - 1)) for unit in range(UNITS)}

    def dies(unit: int) -> bool:
        deaths[unit] -= 1
        return deaths[unit] >= 0

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        assert drive(store, Workers(3, dies)).complete
        assert rows_of(store) == WHOLE


def test_work_that_always_kills_stops_the_run_and_keeps_what_is_measured(tmp_path: Path) -> None:
    workers = Workers(1, lambda unit: unit == 3)
    with open_store(tmp_path) as store:
        with pytest.raises(WorkersLost, match="died 5 times.*goes on") as lost:
            drive(store, workers)
        assert "\n" not in str(lost.value)
        assert workers.log.count(3) == MOST_LOSSES
        progress = store.progress()
        assert progress.units_done == 3 and progress.working == 0
    with open_store(tmp_path) as store:
        assert drive(store, Workers()).complete
        assert rows_of(store) == WHOLE


def test_two_drivers_share_a_store(tmp_path: Path) -> None:
    with open_store(tmp_path) as one, open_store(tmp_path) as two:
        held = two.units.claim()
        assert held == 0
        workers = Workers(1)

        class Finishing(Workers):
            """At its first wait without work the other driver ends its own unit."""

            def wait(self, seconds, alive):  # type: ignore[no-untyped-def]
                came = super().wait(seconds, alive)
                if not came and not two.units.is_done(0):
                    two.finish(0, [WHOLE[0]])
                return came

        workers = Finishing(1)
        assert drive(one, workers).complete
        assert 0 not in workers.log
        assert rows_of(one) == WHOLE


def test_claims_are_renewed_while_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LEASE_SECONDS", 0.0)
    renewed: list[int] = []
    with open_store(tmp_path) as store:
        monkeypatch.setattr(store.units, "renew", renewed.append)
        drive(store, Workers(2))
    assert set(renewed)


def test_a_refusal_of_the_store_gives_back_every_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **more: object) -> None:
        raise StoreRefused("run.db: disk full")

    with open_store(tmp_path) as store:
        monkeypatch.setattr(store, "finish", full)
        with pytest.raises(StoreRefused, match="disk full"):
            drive(store, Workers(2))
        assert store.progress().working == 0


def test_a_worker_that_ends_before_it_is_ready_is_counted_until_another_measures(
    tmp_path: Path,
) -> None:
    class Slow(Workers):
        """Ends four times, then measures one unit; and so on."""

        ended = 0

        def wait(self, seconds, alive) -> list[Measured | Lost]:  # type: ignore[no-untyped-def]
            self.ended += 1
            if self.ended % MOST_LOSSES:
                return [Lost(None)]
            return super().wait(seconds, alive)

    with open_store(tmp_path) as store:
        assert drive(store, Slow(1)).complete
