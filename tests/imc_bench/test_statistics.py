"""The statistics on cases small enough to count by hand, and rules that hold for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc_bench.errors import StatisticRefused
from imc_bench.metrics.statistics import (
    ClusterBootstrap,
    answer_flips,
    calibration_error,
    character_errors,
    confusion,
    corruption_error,
    false_alarms,
    flips,
    flips_removed,
    relative_corruption_error,
    share,
    state_matrix,
    worst_case,
)

GROUPS = [f"image {i // 4}" for i in range(200)]  # 50 images, 4 questions each
rights = st.lists(st.booleans(), min_size=1, max_size=40)


def drawn(rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(200) < rate).astype(float)


def test_a_mean_has_its_interval_and_counts() -> None:
    found = ClusterBootstrap(GROUPS).mean(drawn(0.7, 1))
    assert found.value == drawn(0.7, 1).mean()
    assert found.low < found.value < found.high
    assert (found.items, found.clusters) == (200, 50)


def test_the_draws_are_the_same_in_every_order_of_items() -> None:
    values = drawn(0.5, 2)
    order = np.random.default_rng(3).permutation(200)
    shuffled = ClusterBootstrap([GROUPS[i] for i in order]).mean(values[order])
    assert shuffled == pytest.approx(ClusterBootstrap(GROUPS).mean(values))


def test_clusters_that_answer_alike_widen_the_interval() -> None:
    by_image = np.repeat(drawn(0.5, 4)[:50], 4)
    clustered = ClusterBootstrap(GROUPS).mean(by_image)
    pretended = ClusterBootstrap([str(i) for i in range(200)]).mean(by_image)
    assert clustered.high - clustered.low > 1.5 * (pretended.high - pretended.low)


def test_the_interval_agrees_with_the_textbook_where_items_are_independent() -> None:
    values = (np.arange(400) < 240).astype(float)
    found = ClusterBootstrap(np.arange(400)).mean(values)
    half = 1.96 * np.sqrt(0.6 * 0.4 / 400)
    assert found.low == pytest.approx(0.6 - half, abs=0.01)
    assert found.high == pytest.approx(0.6 + half, abs=0.01)


def test_pairing_makes_a_small_steady_difference_claimable() -> None:
    before = drawn(0.5, 5)
    after = before.copy()
    after[np.flatnonzero(before == 0)[:15]] = 1
    bootstrap = ClusterBootstrap(GROUPS)
    found = bootstrap.difference(after, before)
    assert found.value == pytest.approx(15 / 200)
    assert found.claimed
    assert bootstrap.mean(after).low < bootstrap.mean(before).high, "unpaired they overlap"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_no_difference_has_no_interval(values: list[float], seed: int) -> None:
    found = ClusterBootstrap(np.arange(len(values)) // 2, draws=50, seed=seed).difference(
        values, values
    )
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert not found.claimed


def test_recovered_fraction_by_hand() -> None:
    clean, noisy, repaired = np.ones(200), np.zeros(200), np.zeros(200)
    noisy[::2], repaired[::2], repaired[1::8] = 1, 1, 1
    found = ClusterBootstrap(GROUPS).recovered(clean, noisy, repaired)
    assert found is not None
    assert found.value == pytest.approx(25 / 100)
    assert found.low < 0.25 < found.high


@pytest.mark.parametrize(("lost", "shown"), [(5, False), (6, True)])  # of 200: 2.5 and 3 points
def test_recovery_is_suppressed_under_three_points(lost: int, shown: bool) -> None:
    clean, noisy = np.ones(200), np.ones(200)
    noisy[:lost] = 0
    assert (ClusterBootstrap(GROUPS).recovered(clean, noisy, clean) is not None) is shown


def test_recovery_of_a_doubtful_drop_has_no_bounds() -> None:
    clean, noisy = np.zeros(200), np.zeros(200)
    clean[:48], noisy[48:88] = 1, 1  # 4 points lost, in two blocks of images
    found = ClusterBootstrap(GROUPS).recovered(clean, noisy, clean)
    assert found is not None
    assert found.value == pytest.approx(1)
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_the_share_taken_away_by_hand() -> None:
    bootstrap = ClusterBootstrap(GROUPS)
    before, after = np.zeros(200), np.zeros(200)
    before[:40], after[:10] = 1, 1
    found = bootstrap.removed_share(bootstrap.rate(before), bootstrap.rate(after))
    assert found is not None
    assert found.value == pytest.approx(0.75)
    none = bootstrap.rate(np.zeros(200))
    assert bootstrap.removed_share(none, bootstrap.rate(after)) is None


def test_a_rate_leaves_out_what_is_not_counted_and_draws_its_denominator() -> None:
    counted = np.arange(200) % 4 != 3
    rate = ClusterBootstrap(GROUPS).rate(np.arange(200) % 4 == 0, counted)
    assert rate.value == pytest.approx(1 / 3)
    assert rate.draws == pytest.approx(1 / 3)  # the same in every image
    assert np.isnan(ClusterBootstrap(["a"]).rate([1], [0]).value)


def test_a_quantile_is_the_least_value_that_reaches_its_share() -> None:
    bootstrap = ClusterBootstrap(["a", "a", "b", "c"])
    values = [4.0, 1.0, 3.0, 9.0]
    assert bootstrap.quantile(values, 0.5).value == 3.0
    assert bootstrap.quantile(values, 0.95).value == 9.0
    assert bootstrap.quantile(values, 0.5, [1, 1, 0, 0]).value == 1.0
    drawn = bootstrap.quantile(values, 0.5).draws
    assert set(np.unique(drawn)) <= set(values)
    assert len(np.unique(drawn)) > 1


def test_a_quantile_of_nothing_is_not_a_number() -> None:
    bootstrap = ClusterBootstrap(["a", "b"])
    assert np.isnan(bootstrap.quantile([1.0, 2.0], 0.5, [0, 0]).value)
    # draws that hold image b alone have none of the counted ones
    draws = bootstrap.quantile([1.0, 2.0], 0.5, [1, 0]).draws
    assert set(draws[~np.isnan(draws)]) == {1.0}
    assert np.isnan(draws).any()


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_quantile_of_no_share_is_refused(share: float) -> None:
    with pytest.raises(StatisticRefused, match="quantile"):
        ClusterBootstrap(["a"]).quantile([1.0], share)


def test_flips_by_hand() -> None:
    found = flips([1, 1, 1, 0, 0], [1, 0, 0, 1, 0])
    assert (found.destructive, found.corrective, found.items) == (2 / 5, 1 / 5, 5)
    assert found.net == pytest.approx(-1 / 5)


@given(rights, st.data())
def test_net_flips_are_the_change_of_accuracy(before: list[bool], data: st.DataObject) -> None:
    after = data.draw(st.lists(st.booleans(), min_size=len(before), max_size=len(before)))
    assert flips(before, after).net == pytest.approx(np.mean(after) - np.mean(before))
    assert flips(before, before).net == 0


def test_answer_flips_ignore_case_and_blanks_only() -> None:
    found = answer_flips(["Yes", "left lung", "ct"], ["yes ", "left  lung", "mri"])
    assert found.tolist() == [False, False, True]


def test_flips_removed() -> None:
    assert flips_removed([1, 1, 1, 1, 0], [1, 0, 0, 0, 0]) == pytest.approx(3 / 4)
    assert flips_removed([1, 0], [1, 1]) == pytest.approx(-1)
    assert flips_removed([0, 0], [1, 0]) is None


def test_character_errors_by_hand() -> None:
    found = character_errors(["mass?", "mass?", "mass?"], ["mass?", "amss?", "mas"])
    assert found.tolist() == [0, 1 / 5, 2 / 5]


@given(st.text(min_size=1, max_size=12), st.text(max_size=12))
def test_character_error_is_zero_only_for_an_exact_restore(clean: str, given: str) -> None:
    assert (character_errors([clean], [given])[0] == 0) == (clean == given)


def test_corruption_error_by_hand_and_floored() -> None:
    assert corruption_error([0.2, 0.4], [0.4, 0.8]) == pytest.approx(0.5)
    assert corruption_error([0.2, 0.4], [0, 0]) == pytest.approx(0.3 / 0.01)


def test_relative_corruption_error_by_hand_and_floored() -> None:
    assert relative_corruption_error([0.3, 0.5], 0.2, [0.5, 0.9], 0.3) == pytest.approx(0.4 / 0.8)
    # the baseline gains from noise: the floor keeps the sign
    assert relative_corruption_error([0.3, 0.3], 0.2, [0.1, 0.1], 0.3) == pytest.approx(10)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_baseline_beside_itself_is_one(errors: list[float]) -> None:
    assert corruption_error(errors, errors) == pytest.approx(1)


def test_worst_case_names_the_noise() -> None:
    assert worst_case({"motion": 0.4, "gaussian": 0.3, "bias_field": 0.3}) == ("bias_field", 0.3)


def test_calibration_error_by_hand() -> None:
    # bin (0.8, 0.9]: confident 0.9, right 1 of 2; bin (0.2, 0.3]: confident 0.3, right 1 of 2
    found = calibration_error([0.9, 0.9, 0.3, 0.3], [1, 0, 1, 0], bins=10)
    assert found == pytest.approx((0.4 + 0.2) / 2)


def test_calibration_error_takes_both_ends() -> None:
    assert calibration_error([0, 1], [0, 1]) == 0
    assert calibration_error([0, 1], [1, 0]) == 1
    with pytest.raises(StatisticRefused, match="outside 0 to 1"):
        calibration_error([1.2], [1])


@given(rights)
def test_a_confidence_that_is_the_accuracy_is_calibrated(right: list[bool]) -> None:
    level = float(np.mean(right))
    assert calibration_error([level] * len(right), right) == pytest.approx(0, abs=1e-12)


def test_state_matrix_by_hand() -> None:
    accuracy, count = state_matrix(
        ["clean", "noisy", "noisy", "calibrated"],
        ["clean", "refined", "refined", "noisy"],
        [1, 1, 0, 0],
    )
    assert accuracy[0, 0] == 1
    assert accuracy[1, 2] == 0.5
    assert accuracy[2, 1] == 0
    assert np.isnan(accuracy).sum() == 6
    assert count.tolist() == [[1, 0, 0], [0, 0, 2], [0, 1, 0]]


def test_confusion_has_truth_in_rows() -> None:
    labels = ("clean", "motion", "unknown")
    found = confusion(["motion", "motion", "clean"], ["motion", "unknown", "clean"], labels)
    assert found.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(StatisticRefused, match="unknown 'fog'"):
        confusion(["fog"], ["clean"], labels)


def test_no_false_alarm_in_a_hundred_does_not_exclude_some() -> None:
    found = false_alarms(["clean"] * 100)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.037, abs=0.001)
    assert false_alarms(["clean", "motion", "unknown", "clean"]).value == 0.5


@given(st.integers(1, 500), st.data())
def test_a_share_lies_in_its_interval(of: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, of))
    found = share(count, of)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_arrays_of_other_items_are_refused() -> None:
    with pytest.raises(StatisticRefused, match="each of 200 items"):
        ClusterBootstrap(GROUPS).mean([1, 0])
    with pytest.raises(StatisticRefused, match="same items"):
        flips([1], [1, 0])
    with pytest.raises(StatisticRefused, match="NaN"):
        ClusterBootstrap(["a"]).mean([np.nan])
    with pytest.raises(StatisticRefused, match="nothing to draw from"):
        ClusterBootstrap([])
