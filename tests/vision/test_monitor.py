"""The drift monitor's promises, on simulated p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.monitor import DriftMonitor, Floats, PowerMartingale, conservative_p_values

RUNS, IMAGES = 300, 2000
DELTA = 0.05
MOST_ALARMS = int(DELTA * RUNS + 2 * (DELTA * (1 - DELTA) * RUNS) ** 0.5)
"""Of 300 runs, with two standard deviations of binomial slack."""


def largest_evidence(p_values: Floats) -> Floats:
    """Of streams side by side, (images, runs) -> (runs,)."""
    bets = PowerMartingale(ever=True, streams=p_values.shape[1:])
    return np.max([bets.update(row)[0] for row in p_values], axis=0)


def shared_references(references: int) -> Floats:
    """Ranks of clean scores among one set of references per run, (images, runs), from 0."""
    rng = np.random.default_rng(3)
    known = np.sort(rng.normal(size=(RUNS, references)), axis=1)
    found = rng.normal(size=(RUNS, IMAGES))
    below = [np.searchsorted(k, f) for k, f in zip(known, found, strict=True)]
    return references - np.stack(below, axis=1)


def images_to_alarm(monitor: DriftMonitor, p_value: float, most: int = 500) -> int:
    """How many images of that p-value it takes."""
    for number in range(1, most + 1):
        if monitor.update(p_value, "motion").alarm:
            return number
    return most + 1


def feed_clean(monitor: DriftMonitor, images: int, seed: int = 0) -> None:
    for p_value in np.random.default_rng(seed).uniform(0.003, 1.0, size=images):
        monitor.update(float(p_value), "clean")


def test_clean_streams_are_rarely_called_drifting() -> None:
    uniform = np.random.default_rng(1).uniform(size=(IMAGES, RUNS))
    alarms = largest_evidence(uniform) >= np.log10(1 / DELTA)
    assert alarms.sum() <= MOST_ALARMS


def test_the_guarantee_holds_although_all_p_values_share_the_references() -> None:
    bounds = conservative_p_values(200, DELTA / 2)
    ranks = shared_references(200)
    alarms = largest_evidence(bounds[ranks]) >= np.log10(2 / DELTA)
    assert alarms.sum() <= MOST_ALARMS
    # and without the bounds it would not: this is what they are for
    plain = largest_evidence((ranks + 1) / 201) >= np.log10(1 / DELTA)
    assert plain.sum() > MOST_ALARMS


def test_a_run_length_is_kept_on_average() -> None:
    rng = np.random.default_rng(2)
    bets = PowerMartingale(ever=False, streams=(RUNS,))
    running, lengths = np.ones(RUNS, dtype=bool), np.zeros(RUNS)
    for _ in range(IMAGES):
        lengths += running
        running &= bets.update(rng.uniform(size=RUNS))[0] < np.log10(100)
    assert lengths.mean() >= 100


@pytest.mark.parametrize("clean_before", [0, 30, IMAGES])
def test_a_shift_is_found_within_a_few_dozen_images(clean_before: int) -> None:
    monitor = DriftMonitor(384)
    feed_clean(monitor, clean_before)
    assert monitor.alarm_at is None
    assert images_to_alarm(monitor, 1 / 385) <= 24
    assert monitor.change_at is not None
    assert abs(monitor.change_at - clean_before) <= 3


def test_a_run_length_guarantee_detects_sooner_after_a_long_clean_stream() -> None:
    ever, run_length = DriftMonitor(384), DriftMonitor(384, run_length=1000)
    for monitor in (ever, run_length):
        feed_clean(monitor, IMAGES)
    assert images_to_alarm(run_length, 1 / 385) < images_to_alarm(ever, 1 / 385)


def test_order_matters() -> None:
    mixed = np.tile([0.002, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0], 12)
    scattered, sorted_out = DriftMonitor(384), DriftMonitor(384)
    for p_value, last in zip(mixed, np.sort(mixed)[::-1], strict=True):
        scattered.update(float(p_value), "clean")
        sorted_out.update(float(last), "clean")
    assert scattered.alarm_at is None
    assert sorted_out.alarm_at is not None


def test_kinds_are_counted_since_the_change() -> None:
    monitor = DriftMonitor(384)
    feed_clean(monitor, 40)
    monitor.update(0.9, "ghosting")  # a stray one before
    feed_clean(monitor, 40, seed=1)
    images_to_alarm(monitor, 1 / 385)
    monitor.update(1 / 385, "motion")
    assert monitor.main_noise == "motion"
    assert "ghosting" not in monitor.since_change
    assert monitor.counts["ghosting"] == 1


def test_the_alarm_stays_until_a_restart_and_nothing_is_left_after_it() -> None:
    monitor, fresh = DriftMonitor(384), DriftMonitor(384)
    images_to_alarm(monitor, 1 / 385)
    assert monitor.update(1.0, "clean").alarm
    monitor.restart()
    assert monitor.alarm_at is None
    assert monitor.update(0.3, "clean") == fresh.update(0.3, "clean")


def test_shares_are_those_of_the_window() -> None:
    monitor = DriftMonitor(None, window=4)
    for kind in ("clean", "clean", "motion", "clean", "motion"):
        standing = monitor.update(0.5, kind)
    assert standing.shares == {"clean": 0.5, "motion": 0.5}
    assert monitor.counts == {"clean": 3, "motion": 2}


@given(st.integers(1, 2000), st.floats(1e-4, 0.5))
def test_bounds_rise_with_the_rank_and_are_never_too_small(references: int, doubt: float) -> None:
    bounds = conservative_p_values(references, doubt)
    assert bounds.shape == (references + 1,)
    assert bounds[-1] == 1.0 and (np.diff(bounds) >= 0).all()
    if doubt <= 0.1:
        plain = np.arange(1, references + 2) / (references + 1)
        assert (bounds >= plain - 1e-12).all()


@given(st.integers(1, 500), st.integers(1, 5), st.data())
def test_views_of_a_reference_count_once(references: int, views: int, data: st.DataObject) -> None:
    at_least = data.draw(st.integers(0, references))
    alone = DriftMonitor(references).conservative((1 + at_least) / (1 + references))
    as_views = (1 + views * at_least) / (1 + views * references)
    assert DriftMonitor(references).conservative(as_views) >= alone


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30))
def test_smaller_p_values_are_never_less_evidence(p_values: list[float]) -> None:
    found, smaller = PowerMartingale(ever=True), PowerMartingale(ever=True)
    for p_value in p_values:
        value, _ = found.update(np.array(p_value))
        more, _ = smaller.update(np.array(p_value / 2))
        assert more >= value


@pytest.mark.parametrize("p_value", [0.0, -0.1, 1.5, float("nan")])
def test_what_is_no_p_value_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match="p-value"):
        DriftMonitor(100).update(p_value, "clean")


def test_impossible_guarantees_are_refused() -> None:
    for false_alarms in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="probability"):
            DriftMonitor(100, false_alarms=false_alarms)
    with pytest.raises(ValueError, match="references"):
        DriftMonitor(0)
    with pytest.raises(ValueError, match="window"):
        DriftMonitor(100, window=0)
