"""The pieces of `benchmarks/pdc_ablations.py` that could be wrong without a message."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from imc_noise import CORE_IMAGE
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from ablations.cells import CLEAN, GRID, MIXED, NOISY, Cell  # noqa: E402
from ablations.figures import of_kind  # noqa: E402
from ablations.plan import NONE, SHIPPED, _variants  # noqa: E402
from ablations.variants import (  # noqa: E402
    ChangedClassifier,
    Halves,
    OneMember,
    RememberingRestorer,
    deranged,
    true_weights,
)

from imc_reference import BANK_PATH  # noqa: E402
from vision.acquisition import AcquisitionHalf  # noqa: E402
from vision.acquisition.parts import HalfParts  # noqa: E402
from vision.acquisition.restorer import EnsembleRestorer, MemberChanges  # noqa: E402
from vision.bank.model_half import ModelHalf  # noqa: E402
from vision.perceive.noise_density import NoisePosterior  # noqa: E402
from vision.perceive.pixel_classifier import PixelClassifier  # noqa: E402

CLASSES = (("clean", 0), *((kind, severity) for kind in CORE_IMAGE for severity in (3, 4, 5)))


def posterior() -> NoisePosterior:
    """Another probability for every class."""
    values = np.arange(1.0, len(CLASSES) + 2.0)
    return NoisePosterior(values / values.sum(), 0.3, {})


class FixedClassifier(PixelClassifier):
    """Gives one posterior for every picture."""

    def from_scores(self, scores: np.ndarray) -> list[NoisePosterior]:
        return [posterior() for _ in scores]


def test_the_wrong_kind_is_never_the_right_one() -> None:
    order = deranged(CLASSES)
    assert sorted(order) == list(range(len(CLASSES) + 1))
    assert order[0] == 0 and order[-1] == len(CLASSES)
    for place, (kind, severity) in enumerate(CLASSES[1:], start=1):
        source_kind, source_severity = CLASSES[order[place]]
        assert source_kind != kind and source_severity == severity
    with pytest.raises(ValueError, match="nothing to swap"):
        deranged([("clean", 0), ("gaussian", 1)])


def test_true_weights_are_shared_by_the_noises_of_a_condition() -> None:
    both = true_weights(CLASSES, MIXED[0])
    assert both[CLASSES.index(("low_contrast", 3))] == both[CLASSES.index(("gaussian", 4))] == 0.5
    assert both.sum() == 1.0
    assert true_weights(CLASSES, CLEAN).tolist() == [1.0, *np.zeros(len(CLASSES))]


@dataclass(frozen=True)
class Half:
    """The parts of an acquisition half that a change of posteriors touches."""

    classifier: PixelClassifier
    residual_classifier: PixelClassifier
    classes: tuple[tuple[str, int], ...] = CLASSES


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> Halves:
    monkeypatch.setattr(PixelClassifier, "from_scores", FixedClassifier.from_scores)
    plain = PixelClassifier(CLASSES, lambda rows: rows, None)  # type: ignore[arg-type]
    return Halves(Half(plain, plain), None)  # type: ignore[arg-type]


def first_posterior(halves: Halves) -> NoisePosterior:
    return halves.acquisition.classifier.predict(np.zeros((1, 1)))[0]


def test_true_classes_keep_the_gate_as_perceived_unless_it_is_never_wrong(halves: Halves) -> None:
    noisy = Cell((("motion", 5),))
    gated = first_posterior(halves.true_classes(noisy, gated=True))
    assert gated.probabilities[CLASSES.index(("motion", 5))] == 1.0
    assert gated.clean_p_value == 0.3
    assert first_posterior(halves.true_classes(noisy, gated=False)).clean_p_value == 0.0
    assert first_posterior(halves.true_classes(CLEAN, gated=False)).clean_p_value == 1.0


def test_later_rounds_classify_by_themselves_but_for_the_wrong_kind(halves: Halves) -> None:
    true = halves.true_classes(Cell((("motion", 5),)), gated=True).acquisition
    assert not isinstance(true.residual_classifier, ChangedClassifier)
    wrong = halves.wrong_kind().acquisition
    (later,) = wrong.residual_classifier.predict(np.zeros((1, 1)))
    own = posterior().probabilities
    assert later.probabilities[0] == own[0]
    assert sorted(later.probabilities) == sorted(own)
    assert (later.probabilities[1:-1] != own[1:-1]).all()


def test_a_change_reaches_what_pictures_of_the_domain_are_restored_by() -> None:
    half = AcquisitionHalf.shipped()
    bank = ModelHalf.load(BANK_PATH, fingerprint=None, acquisition=half.digest)
    assert bank.domain is not None and bank.domain.own is not None
    plain = bank.domain.beside(half)
    scores = np.zeros((1, len(half.classes)))

    def beside(changed: Halves) -> HalfParts:
        assert changed.model is not None and changed.model.domain is not None
        return changed.model.domain.beside(changed.acquisition)

    halves = Halves(half, bank)
    true = beside(halves.true_classes(Cell((("motion", 5),)), gated=False))
    (first,) = true.classifier.from_scores(scores)
    assert first.clean_p_value == 0.0
    assert first.probabilities[list(half.classes).index(("motion", 5))] == 1.0
    (later,) = true.residual_classifier.from_scores(scores)
    (as_before,) = plain.residual_classifier.from_scores(scores)
    assert np.array_equal(later.probabilities, as_before.probabilities)
    assert beside(halves.with_most_harm(0.5)).benefit.most_harm == plain.benefit.most_harm / 2
    assert isinstance(beside(halves.with_member(0)).restorer, OneMember)


@dataclass(frozen=True)
class Counting(EnsembleRestorer):
    """Three members' changes, and how often they were computed."""

    calls: list[float] = field(default_factory=list)

    def __call__(
        self, planes: torch.Tensor, weights: torch.Tensor, members: torch.Tensor | None = None
    ) -> MemberChanges:
        self.calls.append(float(weights.sum()))
        return MemberChanges(CHANGES, torch.zeros(1, 2))


CHANGES = torch.tensor([1.0, 3.0, 8.0])[None, :, None, None, None]
EMPTY: tuple[Any, ...] = ((), torch.zeros(0), {})
PLANES, WEIGHTS = torch.zeros(1, 1, 4, 4), torch.ones(1, 3)


def test_one_member_moves_the_mean_and_keeps_the_disagreement() -> None:
    found = OneMember(*EMPTY, whole=Counting(*EMPTY), member=2)(PLANES, WEIGHTS).changes
    assert float(found.mean()) == 8.0
    torch.testing.assert_close(found - found.mean(), CHANGES - CHANGES.mean())


def test_a_change_is_computed_once_for_equal_pictures_and_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(*EMPTY)
    monkeypatch.setattr(EnsembleRestorer, "__call__", counting.__call__)
    restorer = RememberingRestorer(*EMPTY)
    for planes, weights in (
        (PLANES, WEIGHTS),
        (PLANES.clone(), WEIGHTS),
        (PLANES, 2.0 * WEIGHTS),
        (PLANES + 0.1, WEIGHTS),
    ):
        torch.testing.assert_close(restorer(planes, weights).changes, CHANGES)
    assert counting.calls == [3.0, 6.0, 3.0]


def test_the_decision_alone_is_changed_by_the_allowed_risk() -> None:
    by_name = {variant.name: variant for variant in _variants()}
    assert by_name[SHIPPED].alpha is None and NONE not in by_name
    assert len(by_name) == 12
    assert {one.max_rounds for one in by_name.values()} == {1, 2, 3}


def test_conditions_have_names_and_draws_of_their_own() -> None:
    assert len({cell.name for cell in (CLEAN, *NOISY)}) == 1 + len(GRID) + len(MIXED) == 15
    assert [cell.name for cell in of_kind("motion")] == ["motion 3", "motion 5"]
    rgb = np.full((24, 24, 3), 90, np.uint8)
    grain = Cell((("gaussian", 3),))
    assert np.array_equal(grain.corrupt(rgb, "a"), grain.corrupt(rgb, "a"))
    assert not np.array_equal(grain.corrupt(rgb, "a"), grain.corrupt(rgb, "b"))
    assert np.array_equal(CLEAN.corrupt(rgb, "a"), rgb)
