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
    UsualOpinion,
    row_of,
    second_opinion,
)
from vision.acquisition.statistics import picture_statistics
from vision.perceive.content import KnownContent

KINDS = ("gaussian", "low_contrast")
GRAIN = ("gaussian", 4)


def usual(rng: np.random.Generator, each: int = 2000) -> UsualOpinion:
    """Opinions around 0 on grain, around 5 on low contrast and around 10 on all else."""
    found = np.repeat([0, 1, 2], each)
    opinions = rng.normal(size=(len(found), len(OPINION))) + 5.0 * found[:, None]
    return UsualOpinion.fit(opinions, found, KINDS)


def test_a_kind_is_compared_with_itself() -> None:
    rng = np.random.default_rng(0)
    known = usual(rng)
    for kind, centre in (("gaussian", 0.0), ("low_contrast", 5.0), ("motion", 10.0)):
        assert not known.doubts(np.full(2, centre), kind)
        assert known.doubts(np.full(2, centre + 3.0), kind)
        drawn = rng.normal(size=(1000, 2)) + centre
        share = np.mean([known.doubts(one, kind) for one in drawn])
        assert share == pytest.approx(DOUBTED, abs=0.04)


def test_a_favourable_opinion_is_never_doubted() -> None:
    assert not usual(np.random.default_rng(0)).doubts(np.full(2, -50.0), "gaussian")


def test_a_kind_with_few_trials_is_judged_by_all() -> None:
    rng = np.random.default_rng(1)
    opinions = rng.normal(size=(100, 2))
    found = np.zeros(100, dtype=np.int64)
    found[: FEW - 1] = 1
    known = UsualOpinion.fit(opinions, found, KINDS)
    assert np.allclose(known.centre[1], opinions.mean(axis=0))
    assert np.allclose(known.centre[0], opinions[FEW - 1 :].mean(axis=0))


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


def test_a_picture_that_seems_noisy_after_it_is_less_credible(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, GRAIN)
    size = (noisy.height, noisy.width)
    trial, planes = acquisition.trial(noisy, size), planes_of(noisy, size)
    with torch.inference_mode():
        restored, untouched = (
            second_opinion(acquisition, planes, trial.posterior, after)
            for after in (trial.statistics, picture_statistics(planes))
        )
    assert restored[0] == untouched[0] and restored[1] < untouched[1]


def domain_of(acquisition: AcquisitionHalf, most: float) -> Domain:
    """The acquisition half itself as the domain's own, doubted above `most`."""
    content = KnownContent.of([phantom(number) for number in range(12)])
    content = replace(content, farthest=np.full_like(content.farthest, 1e9))
    rows = len(KINDS) + 1
    opinion = UsualOpinion(KINDS, np.zeros((rows, 2)), np.ones((rows, 2)), np.full(rows, most))
    chosen = tuple(pair for pair in acquisition.classes if pair[0] in KINDS)
    places = [acquisition.restorer.classes.index(pair) for pair in chosen]
    restorer = replace(
        acquisition.restorer,
        classes=chosen,
        maps=1.1 * acquisition.restorer.maps[:, :, places],
        prototypes={kind: acquisition.restorer.prototypes[kind] for kind in KINDS},
    )
    own = OwnRestorer(restorer, acquisition.benefit, opinion)
    return Domain(content, acquisition.classifier.density, own=own)


def test_what_is_doubted_is_restored_as_any_other_picture(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, GRAIN)
    (by_origins,) = acquisition.restore_batch([noisy], alpha=0.04)
    assert by_origins.restored
    (trusted,) = acquisition.restore_batch(
        [noisy], alpha=0.04, domain=domain_of(acquisition, np.inf)
    )
    assert trusted.restored and not trusted.doubted
    assert not np.array_equal(trusted.image.rgb, by_origins.image.rgb)
    (doubted,) = acquisition.restore_batch(
        [noisy], alpha=0.04, domain=domain_of(acquisition, -np.inf)
    )
    assert np.array_equal(doubted.image.rgb, by_origins.image.rgb)
    assert doubted.rounds == by_origins.rounds


def test_what_is_doubted_and_not_restored_otherwise_is_declined(
    acquisition: AcquisitionHalf,
) -> None:
    careful = replace(acquisition, benefit=replace(acquisition.benefit, most_harm=0.0))
    noisy = phantom(0, GRAIN)
    (found,) = careful.restore_batch([noisy], alpha=0.04, domain=domain_of(acquisition, -np.inf))
    assert found.image is noisy and found.doubted
    assert found.declined == (
        "a correction for gaussian 4 by fits on the references was doubted by fits on other origins"
    )
