"""Fitting an acquisition half: passes that a stopped fit resumes, and fits without an origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vision.build.acquisition.small_fits import CLASSES, EACH, small_fits, write_origins
from tests.vision.conftest import corrupted, scan
from vision.acquisition import AcquisitionHalf
from vision.acquisition.scales import planes_of
from vision.build.acquisition import AcquisitionFit, OriginReferences, passes
from vision.build.acquisition.benefit_fit import HARM_ALLOWED, harm_threshold
from vision.build.acquisition.references import FOLDS, Reference
from vision.errors import BankRefused


class Stopped(Exception):
    """What stops a fit from outside."""


@dataclass
class Resumed:
    """A fit that was stopped in its last pass but one, and run again."""

    fit: AcquisitionFit
    folder: Path
    references: OriginReferences
    computed: list[int] = field(default_factory=list)
    """References of which statistics were computed anew when it was run again."""
    steps: list[str] = field(default_factory=list)
    announced: int = 0


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resumed]:
    folder = tmp_path_factory.mktemp("fit")
    references = OriginReferences.of(write_origins(folder))
    unfinished = folder / "half.partial"

    def stop(step: str, done: int, of: int) -> None:
        if step == "first 1":
            raise Stopped

    with small_fits() as patch:
        with pytest.raises(Stopped):
            AcquisitionFit(references, CLASSES, unfinished=unfinished, progress=stop).run()
        found = Resumed(None, unfinished, references)  # type: ignore[arg-type]

        def note(step: str, done: int, of: int) -> None:
            found.steps.append(step)
            found.announced = of

        def count(reference: Reference, **settings: object) -> passes.Arrays:
            found.computed.append(reference.number)
            return original(reference, **settings)  # type: ignore[arg-type]

        original = passes.compute_statistics
        patch.setattr(passes, "compute_statistics", count)
        found.fit = AcquisitionFit(references, CLASSES, unfinished=unfinished, progress=note).run()
        patch.setattr(passes, "compute_statistics", original)
        yield found


@pytest.fixture(scope="module")
def half(resumed: Resumed) -> AcquisitionHalf:
    return resumed.fit.half()


def test_a_stopped_fit_goes_on_where_it_was(resumed: Resumed) -> None:
    assert resumed.computed == []
    assert len(resumed.steps) == resumed.announced
    first = resumed.references.references[0]
    again = passes.compute_statistics(first, CLASSES, seed=0)
    stored = resumed.fit.statistics
    own = stored.references == first.number
    assert np.array_equal(stored.arrays["statistics"][own], again["statistics"])


def test_an_unfinished_fit_of_other_settings_or_images_is_refused(
    resumed: Resumed, tmp_path: Path
) -> None:
    with pytest.raises(BankRefused, match="unfinished build of another model, other images"):
        AcquisitionFit(resumed.references, CLASSES, seed=1, unfinished=resumed.folder)
    fewer = OriginReferences(resumed.references.references[1:])
    with pytest.raises(BankRefused, match="other images"):
        AcquisitionFit(fewer, CLASSES, unfinished=resumed.folder)


def test_a_half_knows_every_origin_and_has_a_member_for_each_fold(half: AcquisitionHalf) -> None:
    assert half.origins == {f"origin-{number}": EACH for number in range(FOLDS)}
    assert half.classes == (("clean", 0), *CLASSES)
    assert half.kinds == ("gaussian", "low_contrast")
    assert half.restorer.maps.shape[1] == FOLDS
    assert len(half.classifier.density.clean_scores) == FOLDS * EACH * passes.VIEWS


def test_a_half_fitted_without_an_origin_has_not_met_it(
    resumed: Resumed, half: AcquisitionHalf
) -> None:
    left = resumed.fit.half(leave_out="origin-2")
    assert left.origins == {name: EACH for name in half.origins if name != "origin-2"}
    assert left.restorer.maps.shape[1] == FOLDS - 1
    assert len(left.classifier.density.clean_scores) == (FOLDS - 1) * EACH * passes.VIEWS
    assert not torch.equal(left.classifier.scorer.weights, half.classifier.scorer.weights)
    assert not torch.equal(left.restorer.maps[:, 0], half.restorer.maps[:, 0])
    with pytest.raises(KeyError):
        resumed.fit.half(leave_out="nowhere")


def test_grain_is_found_and_removed_from_new_pictures(half: AcquisitionHalf) -> None:
    kinds, ratios = [], []
    weights = torch.zeros(1, len(half.restorer.classes))
    weights[0, half.restorer.classes.index(("gaussian", 4))] = 1.0
    for number in range(900, 906):
        clean = planes_of(scan(number, side=112), (112, 112))
        image = corrupted(scan(number, side=112), "gaussian", 4)
        noisy = planes_of(image, (112, 112))
        (perception,) = half.perceive_batch([image], alpha=0.999)
        assert perception is not None
        kinds.append(perception.kind == "gaussian")
        restored = noisy + half.restorer(noisy[None], weights).changes[0].mean(dim=0)
        ratios.append(float((restored - clean).square().mean() / (noisy - clean).square().mean()))
    assert np.mean(kinds) > 0.6
    assert np.median(ratios) < 0.6


def test_a_fitted_half_is_stored_and_read(half: AcquisitionHalf, tmp_path: Path) -> None:
    half.save(tmp_path / "half.safetensors")
    again = AcquisitionHalf.load(tmp_path / "half.safetensors")
    assert (again.origins, again.classes) == (half.origins, half.classes)
    image = corrupted(scan(900, side=112), "gaussian", 4)
    one, other = (each.perceive_batch([image])[0] for each in (half, again))
    assert one is not None and other is not None
    assert other.clean_p_value == pytest.approx(one.clean_p_value, abs=1e-3)


def test_the_threshold_keeps_at_most_the_share_of_harm_that_is_allowed() -> None:
    rng = np.random.default_rng(0)
    harm = rng.uniform(0.0, 0.5, size=4000)
    worse = rng.random(4000) < harm**2
    weights = rng.uniform(0.5, 2.0, size=4000)
    most = harm_threshold(harm, worse, weights)
    kept = harm <= most
    assert 0.0 < most < 0.5
    assert (weights * worse)[kept].sum() / weights[kept].sum() <= HARM_ALLOWED
    assert harm_threshold(harm, np.ones(4000, dtype=bool), weights) == 0.0
    assert harm_threshold(harm[:0], worse[:0], weights[:0]) == 0.0
