"""Landmarks: means over several references, so that none is anybody's picture."""

from __future__ import annotations

import pytest
import torch

from vision.build.acquisition.landmark_fit import PICTURES_EACH, fit_landmarks
from vision.restore.landmarks import LandmarkRegression, squared_distances

MEMBERS = ((), (0,), (1,), (0, 1))


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def wanted(vectors: torch.Tensor) -> torch.Tensor:
    return torch.stack([vectors[:, 0].sin(), vectors[:, 1] ** 2], dim=1)


@pytest.fixture(scope="module")
def fitted() -> LandmarkRegression:
    vectors = normal(600, 4, seed=0)
    folds = torch.arange(600) % 3
    return fit_landmarks(vectors, wanted(vectors), torch.arange(600), folds, MEMBERS, seed=0)


def test_every_member_predicts_for_vectors_that_it_has_not_met(fitted: LandmarkRegression) -> None:
    new = normal(200, 4, seed=1)
    predicted = fitted(new)
    assert predicted.shape == (len(MEMBERS), 200, 2)
    for member in predicted:
        assert float((member - wanted(new)).square().mean()) < 0.4 * float(wanted(new).var())
    assert torch.equal(fitted(new, torch.tensor([2])), predicted[2:3])


def test_a_member_does_not_know_the_folds_that_it_leaves_out() -> None:
    vectors, folds = normal(300, 4, seed=0), torch.arange(300) % 3
    targets = wanted(vectors)
    changed = torch.where((folds == 1)[:, None], targets + 5.0, targets)
    one, other = (
        fit_landmarks(vectors, some, torch.arange(300), folds, MEMBERS, seed=0)
        for some in (targets, changed)
    )
    same = [torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True)]
    assert same == [False, False, True, True]


def test_a_landmark_is_near_vectors_of_at_least_five_pictures() -> None:
    """Ten groups of vectors: half of the groups are of many pictures, half of two each."""
    centres = 30.0 * torch.eye(10)
    rows, pictures = [], []
    for number, centre in enumerate(centres):
        many = number % 2 == 0
        rows.append(centre + normal(48 if many else 16, 10, seed=number))
        own = torch.arange(48) if many else torch.arange(16) % 2
        pictures.append(1000 * number + own)
    vectors = torch.cat(rows)
    found = fit_landmarks(
        vectors, vectors[:, :1], torch.cat(pictures), torch.arange(len(vectors)) % 2, MEMBERS, 0
    )
    landmarks = found.landmarks * found.scale + found.centre
    nearest = squared_distances(landmarks, centres).argmin(dim=1)
    assert len(landmarks)
    assert bool((nearest % 2 == 0).all())
    # the mean of several vectors is none of them
    assert float(squared_distances(landmarks, vectors).min()) > 0.05


@pytest.mark.parametrize("pictures", [1, PICTURES_EACH - 1])
def test_few_pictures_have_no_landmark_and_a_linear_fit_alone(pictures: int) -> None:
    vectors = normal(80, 4, seed=0)
    numbers, folds = torch.arange(80) % pictures, torch.arange(80) % 2
    found = fit_landmarks(vectors, vectors[:, :1], numbers, folds, [()], seed=0)
    assert len(found.landmarks) == 0
    assert found.mass(vectors).tolist() == [0.0] * 80
    correlation = torch.corrcoef(torch.stack([found(vectors)[0, :, 0], vectors[:, 0]]))
    assert float(correlation[0, 1]) > 0.9


def test_it_is_the_same_after_storing(fitted: LandmarkRegression) -> None:
    again = LandmarkRegression.from_tensors(fitted.to_tensors(), len(MEMBERS))
    assert torch.equal(again(normal(5, 4, seed=2)), fitted(normal(5, 4, seed=2)))
    with pytest.raises(ValueError, match="do not fit together"):
        LandmarkRegression.from_tensors(fitted.to_tensors(), len(MEMBERS) + 1)
