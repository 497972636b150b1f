"""The drift monitor's promises, on simulated p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.monitor import Cause, DriftMonitor
from vision.sequential_test import (
    EXACT_SCORES,
    MOST_SCORES,
    Floats,
    OnlineRanks,
    PowerMartingale,
    conservative_p_values,
)

RUNS, IMAGES = 300, 2000
DELTA = 0.05
MOST_ALARMS = int(DELTA * RUNS + 2 * (DELTA * (1 - DELTA) * RUNS) ** 0.5)
"""Of 300 runs, with two standard deviations of binomial slack."""


def largest_evidence(p_values: Floats) -> Floats:
    """Of streams side by side, (images, runs) -> (runs,)."""
    bets = PowerMartingale(ever=True, streams=p_values.shape[1:])
    return np.asarray(np.max([bets.update(row)[0] for row in p_values], axis=0))


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
    assert scattered.change_at is None
    assert sorted_out.change_at is not None


def test_kinds_are_counted_since_the_change() -> None:
    monitor = DriftMonitor(384)
    feed_clean(monitor, 40)
    monitor.update(0.9, "ghosting")  # a stray one before
    feed_clean(monitor, 40, seed=1)
    images_to_alarm(monitor, 1 / 385)
    monitor.update(1 / 385, "motion")
    assert monitor.main_noise == "motion"
    assert monitor.since_change is not None
    assert "ghosting" not in monitor.since_change.kinds
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
        status = monitor.update(0.5, kind)
    assert status.shares == {"clean": 0.5, "motion": 0.5}
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


def changed(*kinds: str, content: float | None = None, content_images: int = 0) -> DriftMonitor:
    """A clean stream, and then 60 images far from clean, of those kinds in turn."""
    monitor = DriftMonitor(384, content_images=content_images)
    feed_clean(monitor, 50)
    for number in range(60):
        monitor.update(1 / 385, kinds[number % len(kinds)], content)
    return monitor


def test_images_with_one_kind_of_noise_are_noisy_whatever_they_show() -> None:
    for content in (None, 0.5, 0.01):
        monitor = changed("motion", "motion", "clean", content=content)
        assert (monitor.cause, monitor.new_source_at) == (Cause.NOISE, None)


def test_images_that_show_something_else_and_pass_one_by_one_are_a_new_source() -> None:
    monitor = changed("clean", content=0.02)
    assert (monitor.cause, monitor.alarm_at) == (Cause.NEW_SOURCE, None)
    assert monitor.content_is_unlike
    assert monitor.new_source_at is not None and monitor.new_source_at < 70


def test_noise_that_few_images_show_is_noise_where_the_content_is_as_before() -> None:
    kinds = ("motion", "ghosting", "low_dose", *["clean"] * 9)
    assert changed(*kinds, content=0.5).cause is Cause.NOISE
    assert changed(*kinds, content=0.02).cause is Cause.NEW_SOURCE
    assert changed(*kinds).cause is Cause.NEW_SOURCE


def test_content_of_a_stream_that_changed_at_once_has_no_references() -> None:
    monitor = DriftMonitor(384, content_images=50)
    for number in range(80):
        monitor.update(1 / 385, "clean", 0.5 if number >= 50 else None)
    assert monitor.cause is Cause.NEW_SOURCE and not monitor.content_is_known


def test_a_new_source_that_becomes_noisy_raises_the_alarm() -> None:
    monitor = changed("clean", content=0.02)
    assert monitor.alarm_at is None
    assert images_to_alarm(monitor, 1 / 385) <= 30
    assert monitor.new_source_at is not None and monitor.cause is Cause.NOISE


def test_too_few_images_since_the_change_are_undecided() -> None:
    monitor = DriftMonitor(384)
    while monitor.cause is None:
        monitor.update(1 / 385, "clean")
    assert (monitor.cause, monitor.new_source_at) == (Cause.UNDECIDED, None)


def ranked_streams(baseline: int, images: int, shift: float) -> Floats:
    """p-values of streams beside each other, each among its own baseline, (images, runs)."""
    rng = np.random.default_rng(4)
    runs = []
    for _ in range(RUNS):
        ranks = OnlineRanks(rng.normal(size=baseline))
        scores = rng.normal(shift, size=images)
        runs.append([ranks.p_value(float(score)) for score in scores])
    return np.array(runs).T


def test_a_baseline_of_thirty_keeps_the_guarantee_exactly() -> None:
    alarms = largest_evidence(ranked_streams(30, 200, 0.0)) >= np.log10(1 / DELTA)
    assert alarms.sum() <= MOST_ALARMS


@pytest.mark.parametrize(("baseline", "images"), [(30, 16), (50, 10), (100, 6)])
def test_a_baseline_finds_a_shift_within_few_images(baseline: int, images: int) -> None:
    found = largest_evidence(ranked_streams(baseline, images, 10.0)) >= np.log10(1 / 0.01)
    assert np.mean(found) >= 0.9


def test_equal_scores_are_ranked_at_random_and_evenly() -> None:
    ranks = OnlineRanks(np.zeros(50))
    found = [ranks.p_value(0.0) for _ in range(400)]
    assert 0.4 < np.mean(found) < 0.6 and min(found) < 0.05 and max(found) > 0.95


def test_ranks_take_constant_memory_and_merged_ones_are_never_too_small() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=MOST_SCORES + 3000)
    ranks, known = OnlineRanks(scores[:100]), list(scores[:100])
    for score in scores[100:]:
        found = ranks.p_value(float(score))
        exact = (1 + np.count_nonzero(np.array(known) >= score)) / (1 + len(known))
        known.append(score)
        assert exact - 1e-12 <= found <= exact + 0.01
        if exact * len(known) < EXACT_SCORES / 2:
            assert found == pytest.approx(exact)
    assert len(ranks) <= MOST_SCORES
