"""A domain's own restorer: better on its pictures, judged by trials, made of nobody's picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vision.conftest import corrupted, scan
from vision.acquisition import AcquisitionHalf
from vision.acquisition.domain import Domain
from vision.build.acquisition.members import without_two
from vision.build.domain import fit as domain_fit
from vision.build.domain import restorer_fit, trials
from vision.build.domain.draws import DomainDrawer
from vision.build.domain.fit import DomainFit, acquisition_density, content_of
from vision.build.domain.restorer_fit import PAIRS, fold_of
from vision.build.workers import IN_PROCESS, Workers
from vision.reading.medical_image import MedicalImage

Shared = TypeVar("Shared")
Task = TypeVar("Task")
SIDE = 80
REFERENCES = [scan(number, SIDE) for number in range(30)]
OTHERS = [scan(number, SIDE) for number in range(900, 910)]
KIND = "low_contrast"


@dataclass
class Made:
    """Makes every step in this process and keeps it."""

    known: dict[str, dict[str, Tensor]]
    workers: Workers = IN_PROCESS

    def step(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        self.known[name] = make()
        return self.known[name]

    def side_by_side(
        self,
        work: Callable[[Shared, Task], dict[str, Tensor]],
        shared: Shared,
        tasks: Mapping[str, Task],
    ) -> dict[str, dict[str, Tensor]]:
        made = self.workers.results(work, shared, tasks.values())
        return {name: self.step(name, partial(next, made)) for name in tasks}


@pytest.fixture(scope="module")
def half() -> AcquisitionHalf:
    return AcquisitionHalf.shipped()


@pytest.fixture(scope="module")
def steps() -> dict[str, dict[str, Tensor]]:
    """Arrays of the steps that were made, by name."""
    return {}


@pytest.fixture(scope="module")
def fitted(half: AcquisitionHalf, steps: dict[str, dict[str, Tensor]]) -> Iterator[DomainFit]:
    drawer = DomainDrawer(REFERENCES, [(SIDE, SIDE)] * len(REFERENCES), half.classes, SIDE, 0)
    versions = {"0": REFERENCES} | {
        str(label): [drawer.drawn(label, number, 0) for number in range(0, len(REFERENCES), 10)]
        for label in range(1, len(half.classes))
    }
    scores = {
        label: torch.from_numpy(half.scores(some, [(SIDE, SIDE)] * len(some)))
        for label, some in versions.items()
    }
    known = Domain(content_of(REFERENCES, 0), acquisition_density(scores, len(half.classes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain_fit, "restored_kinds", lambda classes: [KIND])
        patch.setattr(restorer_fit, "MAPS_OF", 12)
        patch.setattr(trials, "EACH", 2)
        with torch.inference_mode():
            yield DomainFit.of(half, known, drawer, Made(steps))


def left(half: AcquisitionHalf, pictures: list[MedicalImage], domain: Domain | None) -> list[float]:
    """Squared error after restoring each picture under low contrast, over that of leaving it.

    Whatever the risk: what few trials on few references say of it is chance.
    """
    noisy = [corrupted(picture, KIND, 5) for picture in pictures]
    half = replace(half, benefit=replace(half.benefit, most_harm=1.1))
    if domain is not None and domain.own is not None:
        own = domain.own
        trusting = replace(own.usual, most=np.full_like(own.usual.most, np.inf))
        benefit = replace(own.benefit, most_harm=1.1)
        domain = replace(domain, own=replace(own, benefit=benefit, usual=trusting))
    sizes = [(SIDE, SIDE)] * len(noisy)
    done = half.restore_batch(noisy, sizes, alpha=0.5, max_rounds=1, domain=domain)
    return [
        error(one.image, clean) / error(before, clean)
        for one, before, clean in zip(done, noisy, pictures, strict=True)
    ]


def error(image: MedicalImage, wanted: MedicalImage) -> float:
    return float(np.square(image.rgb.astype(np.float64) - wanted.rgb).mean())


def test_pictures_of_the_domain_are_restored_better_than_by_fits_on_every_origin(
    half: AcquisitionHalf, fitted: DomainFit
) -> None:
    everyone, own = (left(half, OTHERS, domain) for domain in (None, fitted.domain))
    assert np.median(own) < 0.2
    assert np.mean(own) < 0.5 * np.mean(everyone)


def test_a_picture_of_another_domain_is_restored_by_fits_on_every_origin(
    half: AcquisitionHalf, fitted: DomainFit
) -> None:
    rng = np.random.default_rng(0)
    stripes = np.repeat(rng.integers(0, 256, (1, SIDE, 3)), SIDE, axis=0).astype(np.uint8)
    foreign = MedicalImage.from_rgb(stripes)
    assert foreign not in fitted.domain.content
    one, other = (
        half.restore_batch([corrupted(foreign, KIND, 5)], domain=domain)[0].image
        for domain in (None, fitted.domain)
    )
    assert np.array_equal(one.rgb, other.rgb)


def test_kinds_that_it_does_not_know_are_restored_as_before(
    half: AcquisitionHalf, fitted: DomainFit
) -> None:
    assert fitted.domain.own is not None
    own = fitted.domain.own.restorer
    members = own.maps.shape[1]
    merged = half.restorer.with_kinds(own)
    row = merged.classes.index(("gaussian", 3))
    assert torch.equal(merged.maps[:, :, row], half.restorer.maps[:, :members, row])
    assert merged.prototypes[KIND] is not half.restorer.prototypes[KIND]
    weights = torch.zeros(1, len(merged.classes))
    weights[0, row] = 1.0
    picture = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    there = half.restorer(picture, weights, torch.arange(members)).changes
    assert torch.allclose(merged(picture, weights).changes, there, atol=1e-6)


def test_no_member_of_a_trial_has_met_its_reference() -> None:
    for number in range(6):
        fold = fold_of(number)
        for member in without_two(PAIRS, fold).tolist():
            assert fold in PAIRS[member]
    assert len(set(map(fold_of, range(6)))) == restorer_fit.FOLDS


def test_the_benefit_is_learnt_from_trials_of_every_class(
    fitted: DomainFit, steps: dict[str, dict[str, Tensor]]
) -> None:
    rows = steps["trial restorations"]
    assert len(rows["evidence"]) == len(rows["errors"]) == len(rows["folds"]) > 50
    assert len(rows["scores"]) == len(rows["labels"])
    assert fitted.domain.own is not None and 0.0 < fitted.domain.own.benefit.most_harm <= 0.5


def test_what_is_usual_of_second_opinions_is_learnt_from_trials_that_came_nearer(
    fitted: DomainFit, steps: dict[str, dict[str, Tensor]]
) -> None:
    rows = steps["trial restorations"]
    assert len(rows["opinions"]) == len(rows["found"]) == len(rows["errors"])
    before, after = rows["errors"].T
    alone = rows["alone"].bool() & ~rows["again"].bool()
    opinions = rows["opinions"][(after < before) & alone].numpy()
    assert fitted.domain.own is not None
    usual = fitted.domain.own.usual
    assert usual.kinds == (KIND,)
    doubted = [usual.doubts(one, "another kind") for one in opinions]
    assert 0.0 < np.mean(doubted) < 0.25


def test_draws_are_given_to_domains_that_have_not_met_them(fitted: DomainFit) -> None:
    numbers = [4, 0, 3, 5]
    found = {i: domain for domain, positions in fitted.not_met(numbers) for i in positions}
    assert sorted(found) == [0, 1, 2, 3]
    assert all(found[i] is fitted.apart[fold_of(number)] for i, number in enumerate(numbers))
    alone = DomainFit(replace(fitted.domain, own=None))
    assert alone.not_met(numbers) == [(alone.domain, [0, 1, 2, 3])]


def test_landmarks_are_means_of_several_references(fitted: DomainFit) -> None:
    assert fitted.domain.own is not None
    landmarks = fitted.domain.own.restorer.prototypes[KIND].additive.landmarks
    assert 0 < len(landmarks) <= 6 * 2 * len(REFERENCES) // 5
