"""The restorer: its changes are linear in the features that its maps were fitted on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.vision.acquisition.conftest import phantom
from vision.acquisition import AcquisitionHalf
from vision.acquisition.restorer import (
    EnsembleRestorer,
    prototype_features,
    restorer_classes,
)
from vision.acquisition.scales import SCALES, planes_of, scale_index
from vision.report import UNKNOWN
from vision.restore.pixel_context import pixel_context
from vision.restore.thumbnails import loss_in_cells, thumbnail_vectors
from vision.restore.tone_curves import curve_covariates, tone_features


@pytest.fixture(scope="module")
def restorer(acquisition: AcquisitionHalf) -> EnsembleRestorer:
    return acquisition.restorer


@pytest.fixture(scope="module")
def planes() -> Tensor:
    """(1, 1, 112, 112)."""
    return planes_of(phantom(0, ("gaussian", 4)), (112, 112))[None]


def weights(restorer: EnsembleRestorer, **shares: float) -> Tensor:
    """(1, classes); classes are named by kind and severity, as `gaussian_4`."""
    found = torch.zeros(1, len(restorer.classes))
    for number, (kind, severity) in enumerate(restorer.classes):
        found[0, number] = shares.get(f"{kind}_{severity}", 0.0)
    assert float(found.sum()) == pytest.approx(sum(shares.values()))
    return found


@pytest.mark.parametrize("name", ["gaussian_4", "low_contrast_3", "unknown_0"])
def test_changes_are_the_maps_times_context_prototypes_and_tones(
    restorer: EnsembleRestorer, planes: Tensor, name: str
) -> None:
    found = restorer(planes, weights(restorer, **{name: 1.0}))
    kind, _, severity = name.rpartition("_")
    number = restorer.classes.index((kind, int(severity)))
    grey, known = planes[:, 0], restorer.prototypes[kind]
    plain, logarithmic = thumbnail_vectors(grey)
    for member, maps in enumerate(restorer.maps[scale_index(112)]):
        lost = loss_in_cells(known.additive(plain)[member])
        gain = known.gain(logarithmic)[member]
        phi = torch.cat(
            [
                pixel_context(grey),
                prototype_features(grey, lost, gain),
                tone_features(grey, curve_covariates(grey, lost, gain)),
            ],
            dim=1,
        )
        held = torch.einsum("c,nchw->nhw", maps[number], phi)
        assert torch.allclose(found.changes[:, member, 0], held, atol=1e-4)


def test_members_can_be_chosen(restorer: EnsembleRestorer, planes: Tensor) -> None:
    chosen = weights(restorer, low_contrast_3=1.0)
    every = restorer(planes, chosen).changes
    assert every.shape == (1, restorer.maps.shape[1], 1, 112, 112)
    some = restorer(planes, chosen, torch.tensor([2, 0])).changes
    assert torch.allclose(some, every[:, [2, 0]], atol=1e-5)
    assert not torch.allclose(every[:, 0], every[:, 2], atol=1e-5)


def test_a_mixture_is_the_mean_of_its_classes(restorer: EnsembleRestorer, planes: Tensor) -> None:
    one = restorer(planes, weights(restorer, gaussian_4=1.0)).changes
    other = restorer(planes, weights(restorer, bias_field_2=1.0)).changes
    both = restorer(planes, weights(restorer, gaussian_4=0.25, bias_field_2=0.75)).changes
    assert torch.allclose(both, 0.25 * one + 0.75 * other, atol=1e-4)


def test_zero_weights_change_nothing(restorer: EnsembleRestorer, planes: Tensor) -> None:
    found = restorer(planes, weights(restorer))
    assert not found.changes.any()
    assert not found.mass.any()


def test_planes_are_changed_each_by_itself(restorer: EnsembleRestorer, planes: Tensor) -> None:
    chosen = weights(restorer, low_contrast_3=0.5, gaussian_4=0.5)
    grey = restorer(planes, chosen).changes
    three = restorer(planes.expand(1, 3, -1, -1), chosen).changes
    for plane in range(3):
        assert torch.allclose(three[:, :, plane], grey[:, :, 0], atol=1e-4)
    tinted = planes * torch.tensor([1.0, 0.8, 0.4])[None, :, None, None]
    changes = restorer(tinted, chosen).changes
    assert not torch.allclose(changes[:, :, 0], changes[:, :, 2], atol=1e-3)


def test_pictures_of_a_batch_do_not_mix(restorer: EnsembleRestorer, planes: Tensor) -> None:
    both = torch.cat([planes, planes.flip(2)])
    chosen = torch.cat([weights(restorer, motion_3=1.0), weights(restorer, low_contrast_3=1.0)])
    together = restorer(both, chosen)
    for row in range(2):
        alone = restorer(both[row : row + 1], chosen[row : row + 1])
        assert torch.allclose(together.changes[row], alone.changes[0], atol=1e-5)
        assert torch.allclose(together.mass[row], alone.mass[0], atol=1e-5)


def test_it_is_the_same_after_storing(restorer: EnsembleRestorer, planes: Tensor) -> None:
    again = EnsembleRestorer.from_tensors(restorer.classes, restorer.to_tensors())
    chosen = weights(restorer, ghosting_3=1.0)
    assert torch.equal(again(planes, chosen).changes, restorer(planes, chosen).changes)


@pytest.mark.parametrize("name", ["maps", "gaussian.additive.weights", "motion.gain.landmarks"])
def test_arrays_that_do_not_fit_together_are_refused(restorer: EnsembleRestorer, name: str) -> None:
    tensors = restorer.to_tensors()
    with pytest.raises(ValueError, match="maps of shape|outputs|fit together"):
        EnsembleRestorer.from_tensors(
            restorer.classes, {**tensors, name: tensors[name][..., :-1]}
        )
    del tensors[name]
    with pytest.raises(KeyError):
        EnsembleRestorer.from_tensors(restorer.classes, tensors)


def test_maps_are_of_every_noisy_class_and_of_unknown() -> None:
    classes = restorer_classes((("clean", 0), ("gaussian", 2), ("motion", 4)))
    assert classes == (("gaussian", 2), ("motion", 4), (UNKNOWN, 0))


@pytest.mark.parametrize(
    ("shorter", "scale"), [(16, 112), (112, 112), (150, 112), (170, 224), (5000, 672)]
)
def test_a_picture_takes_the_nearest_scale_in_logarithm(shorter: int, scale: int) -> None:
    assert SCALES[scale_index(shorter)] == scale
