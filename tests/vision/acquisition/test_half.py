"""The acquisition half: clean pictures are left, noisy ones restored where that is surely good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vision.acquisition.conftest import error, phantom
from vision.acquisition import AcquisitionHalf
from vision.acquisition import half as acquisition_half
from vision.acquisition.domain import Domain
from vision.acquisition.half import ALPHA, DOMAIN_ALPHA
from vision.perceive.content import KnownContent
from vision.reading.medical_image import MedicalImage
from vision.restore.stripes import STRIPES

GRAIN = ("gaussian", 4)
NUMBERS = range(3)


def test_a_clean_picture_comes_back_as_the_same_object(acquisition: AcquisitionHalf) -> None:
    for number in NUMBERS:
        image = phantom(number)
        (found,) = acquisition.restore_batch([image])
        assert found.image is image
        assert (found.restored, found.predicted_share, found.declined) == (False, None, "")
        assert found.perception is not None
        assert (found.perception.kind, found.perception.severity) == ("clean", 0)


def test_a_noisy_picture_comes_nearer_to_the_clean_one(acquisition: AcquisitionHalf) -> None:
    for number in NUMBERS:
        clean, noisy = phantom(number), phantom(number, GRAIN)
        (found,) = acquisition.restore_batch([noisy])
        assert found.restored, found.declined
        assert error(found.image, clean) < 0.6 * error(noisy, clean)
        assert found.perception is not None
        assert found.perception.kind == "gaussian"
        assert found.rounds[0].startswith("gaussian")
        assert found.predicted_share is not None
        assert 0.2 < found.predicted_share < 1.0


def test_nothing_is_restored_where_no_risk_of_harm_is_allowed(acquisition: AcquisitionHalf) -> None:
    careful = replace(acquisition, benefit=replace(acquisition.benefit, most_harm=0.0))
    for number in NUMBERS:
        noisy = phantom(number, GRAIN)
        (found,) = careful.restore_batch([noisy])
        assert found.image is noisy
        assert found.predicted_share is None
        assert "a correction for gaussian" in found.declined
        assert "risk of harm" in found.declined


def test_a_picture_above_the_level_is_left(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, GRAIN)
    (found,) = acquisition.restore_batch([noisy], alpha=1e-6)
    assert found.image is noisy
    assert found.perception is not None
    assert found.perception.kind == "clean"


def test_a_domain_decides_on_pictures_that_show_what_its_references_show(
    acquisition: AcquisitionHalf,
) -> None:
    density = acquisition.classifier.density
    # a domain where whatever is found counts as clean
    lenient = replace(density, clean_scores=np.full(300, 1e9))
    content = KnownContent.of([phantom(number) for number in range(12)])
    noisy = phantom(0, GRAIN)
    (elsewhere,) = acquisition.restore_batch([noisy])
    assert elsewhere.perception is not None and elsewhere.perception.alpha == ALPHA
    own = replace(content, farthest=np.full_like(content.farthest, 1e9))
    (found,) = acquisition.restore_batch([noisy], domain=Domain(own, lenient))
    assert found.perception is not None
    assert (found.perception.kind, found.perception.alpha) == ("clean", DOMAIN_ALPHA)
    foreign = replace(content, farthest=np.zeros_like(content.farthest))
    (found,) = acquisition.restore_batch([noisy], domain=Domain(foreign, lenient))
    assert found.perception == elsewhere.perception
    (found,) = acquisition.restore_batch([noisy], domain=Domain(own, lenient), alpha=0.5)
    assert found.perception is not None and found.perception.alpha == 0.5


def test_perceiving_alone_changes_nothing(acquisition: AcquisitionHalf) -> None:
    noisy = phantom(0, GRAIN)
    (found,) = acquisition.restore_batch([noisy], restore=False)
    assert found.image is noisy
    assert acquisition.perceive_batch([noisy]) == [found.perception]


def striped(image: MedicalImage) -> MedicalImage:
    """With one strong wave, as a spike in k-space leaves."""
    rows, columns = np.mgrid[0 : image.height, 0 : image.width]
    wave = 180.0 * np.cos(2.0 * np.pi * (0.37 * rows + 0.21 * columns) + 0.4)
    levels = image.rgb.astype(np.float64) + wave[:, :, None]
    return MedicalImage.from_rgb(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def thorough(acquisition: AcquisitionHalf) -> AcquisitionHalf:
    """Finds noise in a restored picture as it does in one that comes in, and takes every risk."""
    benefit = replace(acquisition.benefit, most_harm=1.0)
    return replace(acquisition, residual_classifier=acquisition.classifier, benefit=benefit)


def test_two_noises_at_once_take_two_rounds(thorough: AcquisitionHalf) -> None:
    for number in NUMBERS:
        clean, noisy = phantom(number), striped(phantom(number, GRAIN))
        once, twice = (
            thorough.restore_batch([noisy], max_rounds=rounds)[0] for rounds in (1, 2)
        )
        assert once.rounds == [STRIPES]
        assert (len(twice.rounds), twice.rounds[0]) == (2, STRIPES)
        assert not np.array_equal(once.image.rgb, twice.image.rgb)
        assert error(twice.image, clean) < 0.1 * error(noisy, clean)
        assert once.predicted_share is not None and twice.predicted_share is not None
        assert once.predicted_share < twice.predicted_share < 1.0


def test_without_a_budget_nothing_is_restored(thorough: AcquisitionHalf) -> None:
    noisy = phantom(0, GRAIN)
    (found,) = thorough.restore_batch([noisy], max_rounds=0)
    assert found.image is noisy
    assert found.perception is not None
    assert found.perception.kind == "gaussian"


def test_stripes_are_removed_first(acquisition: AcquisitionHalf) -> None:
    for number in NUMBERS:
        clean, noisy = phantom(number), striped(phantom(number))
        (found,) = acquisition.restore_batch([noisy])
        assert found.rounds[0] == STRIPES
        assert STRIPES not in found.rounds[1:]
        assert error(found.image, clean) < 0.5 * error(noisy, clean)


def test_a_clean_picture_is_not_searched_for_stripes(
    acquisition: AcquisitionHalf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(grey: Tensor) -> Tensor:
        raise AssertionError("searched for stripes")

    monkeypatch.setattr(acquisition_half, "remove_stripes", refuse)
    acquisition.restore_batch([phantom(0)])
    with pytest.raises(AssertionError, match="searched"):
        acquisition.restore_batch([phantom(0, GRAIN)])


def test_a_grey_picture_stays_grey_and_a_coloured_one_keeps_its_planes(
    acquisition: AcquisitionHalf,
) -> None:
    noisy = phantom(1, GRAIN)
    (grey,) = acquisition.restore_batch([noisy])
    assert np.array_equal(grey.image.rgb[..., 0], grey.image.rgb[..., 2])
    tinted = noisy.rgb.copy()
    tinted[..., 2] = np.rint(0.8 * tinted[..., 2])
    (coloured,) = acquisition.restore_batch([MedicalImage.from_rgb(tinted)])
    assert coloured.restored, coloured.declined
    red, blue = (coloured.image.rgb[..., plane].astype(float) for plane in (0, 2))
    assert blue.mean() / red.mean() == pytest.approx(0.8, abs=0.05)


def test_a_large_picture_keeps_its_own_size(acquisition: AcquisitionHalf) -> None:
    noisy, clean = phantom(2, GRAIN, side=224), phantom(2, side=224)
    (found,) = acquisition.restore_batch([noisy], [(112, 112)])
    assert (found.image.height, found.image.width) == (224, 224)
    assert found.restored == (error(found.image, clean) < error(noisy, clean))


def test_a_batch_is_its_pictures_one_by_one(acquisition: AcquisitionHalf) -> None:
    images = [phantom(0), phantom(1, GRAIN), phantom(2, ("motion", 4), side=112)]
    together = acquisition.restore_batch(images)
    for image, one in zip(images, together, strict=True):
        (alone,) = acquisition.restore_batch([image])
        assert np.array_equal(one.image.rgb, alone.image.rgb)
        assert (one.rounds, one.perception) == (alone.rounds, alone.perception)


def test_scores_are_those_behind_the_posterior_and_nan_for_a_small_picture(
    acquisition: AcquisitionHalf,
) -> None:
    noisy = phantom(0, GRAIN)
    small = MedicalImage.from_rgb(noisy.rgb[:12])
    scores = acquisition.scores([noisy, small])
    (found,) = acquisition.restore_batch([noisy])
    assert found.scores is not None
    assert np.allclose(scores[0], found.scores)
    assert np.isnan(scores[1]).all()
    assert acquisition.perceive_batch([small]) == [None]


def test_pixels_are_clipped_and_rounded_as_a_file_holds_them() -> None:
    stored = acquisition_half.as_stored(torch.tensor([-0.3, 0.1004, 1.7]))
    assert stored.tolist() == pytest.approx([0.0, 26 / 255, 1.0])
