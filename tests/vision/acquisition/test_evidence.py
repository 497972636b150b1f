"""What speaks for and against a restoration, and the benefit that is predicted from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vision.acquisition.conftest import phantom
from vision.acquisition import AcquisitionHalf
from vision.acquisition.benefit import WORSE, BenefitPredictor, log_ratio
from vision.acquisition.evidence import EVIDENCE, Novelty, evidence
from vision.acquisition.restorer import MemberChanges
from vision.acquisition.scales import planes_of
from vision.acquisition.statistics import picture_statistics

MEMBERS = 6


def vector(
    half: AcquisitionHalf, planes: Tensor, changes: Tensor, mass: float = 1.0
) -> dict[str, float]:
    """The evidence by its name, for changes (members, planes, H, W)."""
    statistics = picture_statistics(planes)
    after = picture_statistics((planes + changes.mean(dim=0)).clamp(0.0, 1.0))
    found = evidence(
        planes,
        MemberChanges(changes[None], torch.full((1, 2), mass)),
        posterior=half.classifier.predict(statistics[None])[0],
        classifier=half.classifier,
        novelty=half.novelty,
        before=statistics,
        after=after,
    )
    assert found.shape == (len(EVIDENCE),)
    assert np.isfinite(found).all()
    return dict(zip(EVIDENCE, found.tolist(), strict=True))


@pytest.fixture(scope="module")
def planes() -> Tensor:
    return planes_of(phantom(0, ("gaussian", 4)), (112, 112))


def apart(scale: float, width: int) -> Tensor:
    """Changes of the members that differ in squares of `width` pixels."""
    cells = torch.randn(
        MEMBERS, 1, 112 // width, 112 // width, generator=torch.Generator().manual_seed(0)
    )
    return 0.05 + scale * torch.nn.functional.interpolate(cells, size=(112, 112))


def test_members_that_disagree_raise_the_disagreement(
    acquisition: AcquisitionHalf, planes: Tensor
) -> None:
    little, much = (vector(acquisition, planes, apart(scale, 2)) for scale in (0.001, 0.02))
    for name in EVIDENCE[:8]:
        assert much[name] > little[name], name
    assert much["disagreement"] - little["disagreement"] == pytest.approx(2 * np.log(20), abs=0.01)


def test_disagreement_is_told_by_its_band(acquisition: AcquisitionHalf, planes: Tensor) -> None:
    fine, coarse = (vector(acquisition, planes, apart(0.02, width)) for width in (1, 28))
    assert fine["disagreement, fine"] > fine["disagreement, coarse"]
    assert coarse["disagreement, coarse"] > coarse["disagreement, fine"]


def test_size_colour_and_mass_are_entries(acquisition: AcquisitionHalf, planes: Tensor) -> None:
    known = vector(acquisition, planes, apart(0.01, 2))
    unlike = vector(acquisition, planes, apart(0.01, 2), mass=0.0)
    assert known["kernel mass of gain prototypes"] > unlike["kernel mass of gain prototypes"]
    assert known["size"] == pytest.approx(np.log(0.5))
    assert known["colour"] == 0.0
    three = vector(acquisition, planes.expand(3, -1, -1), apart(0.01, 2).expand(-1, 3, -1, -1))
    assert three["colour"] == 1.0


def test_novelty_is_about_zero_for_the_usual_and_grows_with_distance() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5))
    usual = rng.normal(size=(4000, 5)) @ mixing + 7.0
    novelty = Novelty.fit(usual)
    assert float(np.exp(novelty(usual)).mean()) == pytest.approx(1.0, abs=0.1)
    far = novelty(usual[:1] + 50.0 * mixing[:1])
    assert float(far[0]) > float(novelty(usual).max())


def test_the_ratio_of_errors_has_a_grey_level_added() -> None:
    ratios = log_ratio(np.array([99.0, 0.0, 49.0]), np.array([49.0, 0.0, 99.0]))
    assert ratios.tolist() == pytest.approx([np.log(0.5), 0.0, np.log(2.0)])
    assert (ratios > np.log(WORSE)).tolist() == [False, False, True]


def test_harm_is_a_probability_and_the_share_is_below_one(acquisition: AcquisitionHalf) -> None:
    vectors = np.random.default_rng(0).normal(scale=20.0, size=(200, len(EVIDENCE)))
    harm, share = acquisition.benefit(vectors)
    assert 0.0 <= harm.min() <= harm.max() <= 1.0
    assert share.max() < 1.0


def test_a_predictor_of_other_outputs_is_refused(acquisition: AcquisitionHalf) -> None:
    tensors = acquisition.benefit.to_tensors()
    again = BenefitPredictor.from_tensors(tensors, 0.2)
    assert again.most_harm == 0.2
    one = np.zeros((1, len(EVIDENCE)))
    assert again(one)[0] == acquisition.benefit(one)[0]
    wide = torch.cat([tensors["weights"], tensors["weights"][:, :1]], dim=1)
    with pytest.raises(ValueError, match="one output"):
        BenefitPredictor.from_tensors({**tensors, "weights": wide}, 0.2)


def test_a_share_that_is_not_positive_is_declined(acquisition: AcquisitionHalf) -> None:
    """Whatever the risk: an error that is predicted to grow is not accepted."""
    regression = acquisition.benefit.regression
    growing = regression.weights.clone()
    growing[:] = 0.0
    growing[0, 0] = 0.5  # the constant: log of the error ratio
    benefit = replace(acquisition.benefit, regression=replace(regression, weights=growing))
    noisy = phantom(0, ("gaussian", 4))
    (found,) = replace(acquisition, benefit=benefit).restore_batch([noisy])
    assert found.image is noisy
    assert found.declined
