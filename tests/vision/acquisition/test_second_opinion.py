"""Restorations that rest on one domain's references, as fits on every origin see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vision.acquisition.conftest import phantom
from vision.acquisition import AcquisitionHalf
from vision.acquisition.domain import Domain, OwnRestorer
from vision.acquisition.scales import planes_of
from vision.acquisition.second_opinion import (
    DOUBTED,
    FEW,
    OPINION,
    Opinion,
    UsualOpinion,
    disagreement,
    row_of,
    seems_left,
)
from vision.acquisition.statistics import picture_statistics
from vision.perceive.content import KnownContent

KINDS = ("gaussian", "low_contrast")


def usual(rng: np.random.Generator, each: int = 2000) -> UsualOpinion:
    """Opinions around 0 on grain, around 5 on low contrast and around 10 on all else; 1 more on
    pictures that had been restored before."""
    found, again = np.repeat([0, 1, 2], each), np.arange(3 * each) % 2 == 1
    opinions = rng.normal(size=(len(found), len(OPINION))) + (5.0 * found + again)[:, None]
    return UsualOpinion.fit(opinions, found, again, KINDS)


@pytest.mark.parametrize("again", [False, True])
def test_a_kind_is_compared_with_itself(again: bool) -> None:
    rng = np.random.default_rng(0)
    known = usual(rng)
    for kind, centre in (("gaussian", 0.0), ("low_contrast", 5.0), ("motion", 10.0)):
        centre += again
        assert not known.doubts(np.full(2, centre), kind, again=again)
        assert known.doubts(np.full(2, centre + 3.0), kind, again=again)
        drawn = rng.normal(size=(1000, 2)) + centre
        share = np.mean([known.doubts(one, kind, again=again) for one in drawn])
        assert share == pytest.approx(DOUBTED, abs=0.04)


def test_a_favourable_opinion_is_never_doubted() -> None:
    assert not usual(np.random.default_rng(0)).doubts(np.full(2, -50.0), "gaussian")


def test_a_kind_with_few_trials_is_judged_by_all() -> None:
    rng = np.random.default_rng(1)
    opinions = rng.normal(size=(100, 2))
    found = np.zeros(100, dtype=np.int64)
    found[: FEW - 1] = 1
    known = UsualOpinion.fit(opinions, found, np.zeros(100, dtype=bool), KINDS)
    assert np.allclose(known.centre[0, 1], opinions.mean(axis=0))
    assert np.allclose(known.centre[0, 0], opinions[FEW - 1 :].mean(axis=0))
    # where no trial was a second one, second ones are judged as first ones are
    assert np.allclose(known.centre[1], known.centre[0, 1])


def test_a_picture_that_seems_noisy_after_it_is_less_credible(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, ("low_contrast", 5))
    size = (noisy.height, noisy.width)
    trial, planes = acquisition.trial(noisy, size), planes_of(noisy, size)
    before = picture_statistics(planes)
    with torch.inference_mode():
        found = disagreement(acquisition, planes, trial.posterior)
        left = [seems_left(acquisition, one) for one in (trial.statistics, before)]
        assert left[0] < left[1]
        opinion = Opinion(acquisition, knows(found + sum(left) / 2.0))
        assert not opinion.doubts(planes, trial, again=False)
        assert opinion.doubts(planes, replace(trial, statistics=before), again=False)
        grain = replace(trial, statistics=before, noise="gaussian 3")
        assert not opinion.doubts(planes, grain, again=False)


def knows(most: float) -> UsualOpinion:
    """Sums of opinions, as they are, up to `most` are usual."""
    rows = len(KINDS) + 1
    return UsualOpinion(
        KINDS, np.zeros((2, rows, 2)), np.ones((2, rows, 2)), np.full((2, rows), most)
    )


def test_rows() -> None:
    assert [row_of(kind, KINDS) for kind in (*KINDS, "unknown")] == [0, 1, 2]


def test_arrays_come_back_and_are_checked() -> None:
    known = usual(np.random.default_rng(0))
    tensors = known.to_tensors()
    again = UsualOpinion.from_tensors(KINDS, tensors)
    assert np.array_equal(again.most, known.most) and again.kinds == KINDS
    with pytest.raises(ValueError, match="fit together"):
        UsualOpinion.from_tensors(("gaussian",), tensors)
    with pytest.raises(ValueError, match="spread"):
        UsualOpinion.from_tensors(KINDS, {**tensors, "scale": 0.0 * tensors["scale"]})


def domain_of(acquisition: AcquisitionHalf, most: float) -> Domain:
    """The acquisition half itself as the domain's own, doubted above `most`."""
    content = KnownContent.of([phantom(number) for number in range(12)])
    content = replace(content, farthest=np.full_like(content.farthest, 1e9))
    chosen = tuple(pair for pair in acquisition.classes if pair[0] in KINDS)
    places = [acquisition.restorer.classes.index(pair) for pair in chosen]
    restorer = replace(
        acquisition.restorer,
        classes=chosen,
        maps=1.1 * acquisition.restorer.maps[:, :, places],
        prototypes={kind: acquisition.restorer.prototypes[kind] for kind in KINDS},
    )
    own = OwnRestorer(restorer, acquisition.benefit, knows(most))
    return Domain(content, acquisition.classifier.density, own=own)


FIELD = ("low_contrast", 4)


def test_what_is_doubted_is_restored_as_any_other_picture(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, FIELD)
    (by_origins,) = acquisition.restore_batch([noisy], alpha=0.04)
    assert by_origins.restored
    trusted, doubted = (
        acquisition.restore_batch([noisy], alpha=0.04, domain=domain_of(acquisition, most))[0]
        for most in (np.inf, -np.inf)
    )
    assert trusted.restored and not trusted.doubted
    assert not np.array_equal(trusted.image.rgb, by_origins.image.rgb)
    assert np.array_equal(doubted.image.rgb, by_origins.image.rgb)
    assert doubted.rounds == by_origins.rounds


def test_what_is_doubted_and_not_restored_otherwise_is_declined(
    acquisition: AcquisitionHalf,
) -> None:
    noisy = phantom(0, FIELD)
    domain = domain_of(acquisition, -np.inf)
    careful = replace(acquisition, benefit=replace(acquisition.benefit, most_harm=0.0))
    (found,) = careful.restore_batch([noisy], alpha=0.04, domain=domain)
    assert found.image is noisy and found.doubted
    assert found.declined.startswith("a correction for low contrast ")
    assert found.declined.endswith(
        " by fits on the references was doubted by fits on other origins"
    )


def test_grain_is_not_doubted(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, ("gaussian", 4))
    domain = domain_of(acquisition, -np.inf)
    (found,) = acquisition.restore_batch([noisy], alpha=0.04, domain=domain)
    assert found.rounds[0].startswith("gaussian") and not found.doubted
