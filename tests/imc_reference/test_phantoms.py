"""Phantoms keep the truth they claim."""

import numpy as np
import pytest

from imc_reference import tomography
from imc_reference.phantoms import MODALITIES, make_phantom
from imc_reference.questions import PHRASINGS, phantom_pairs


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_same_seed_draws_the_same_phantom(modality):
    first, second = (make_phantom(np.random.default_rng(3), modality, 64) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.lesions == second.lesions


@pytest.mark.parametrize("modality", MODALITIES)
def test_lesions_lie_on_the_side_they_are_said_to(modality):
    for seed in range(30):
        phantom = make_phantom(np.random.default_rng(seed), modality, 32)
        for lesion in phantom.lesions:
            assert (lesion.x < 0) == (phantom.side == "left")
        assert (phantom.side is None) == (phantom.count == 0)


def test_a_lesion_changes_the_picture_where_it_lies():
    for modality in ("ct", "mri", "ultrasound", "dermoscopy"):
        contrasts = []
        for seed in range(60):
            phantom = make_phantom(np.random.default_rng(seed), modality, 112)
            if phantom.size != "large" or phantom.count != 1:
                continue
            share = np.kron(phantom.lesion_fraction(14), np.ones((8, 8)))
            grey = phantom.image.mean(-1) if phantom.image.ndim == 3 else phantom.image
            contrasts.append(abs(grey[share > 0.9].mean() - np.median(grey[share == 0])))
        assert np.mean(contrasts) > 10


def test_colour_is_colour_and_grey_is_grey():
    rng = np.random.default_rng(0)
    assert make_phantom(rng, "dermoscopy", 48).image.shape == (48, 48, 3)
    assert make_phantom(rng, "ct", 48).image.shape == (48, 48)


def test_an_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="choose from"):
        make_phantom(np.random.default_rng(0), "pet")  # type: ignore[arg-type]


def test_reconstruction_recovers_a_disc_of_known_density():
    disc = np.array([[0.1, -0.2, 0.4, 0.4, 0.0, 0.7]])
    image = tomography.reconstruct(tomography.line_integrals(disc), 96)
    axis = (np.arange(96) + 0.5) / 96 * 2 - 1
    xx, yy = np.meshgrid(axis, axis)
    inside = (xx - 0.1) ** 2 + (yy + 0.2) ** 2 < 0.3**2
    outside = ((xx - 0.1) ** 2 + (yy + 0.2) ** 2 > 0.5**2) & (xx**2 + yy**2 < 0.9)
    assert image[inside].mean() == pytest.approx(0.7, abs=0.04)
    assert abs(image[outside].mean()) < 0.04


def test_fewer_photons_give_a_noisier_sinogram():
    sinogram = np.full((tomography.ANGLES, tomography.DETECTORS), 1.5)
    rng = np.random.default_rng(0)
    many = tomography.count_photons(sinogram, 1e6, rng).std()
    few = tomography.count_photons(sinogram, 1e3, rng).std()
    assert few > 10 * many


def test_every_topic_is_asked_and_verification_is_balanced():
    rng = np.random.default_rng(1)
    pairs = [p for _ in range(200) for p in phantom_pairs(make_phantom(rng, size=16), rng)]
    assert {p.topic for p in pairs} == set(PHRASINGS)
    answers = [p.answer for p in pairs if p.topic == "verification"]
    assert 0.35 < answers.count("yes") / len(answers) < 0.65
