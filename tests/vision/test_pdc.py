"""PDC: noise is found and corrected, clean images keep their features, in one or two passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vision.acquisition_stand_in import GRAIN_ALONE, REMOVED, TOO_SMALL, SmoothingAcquisition
from tests.vision.conftest import corrupted, projected, scan, small_llava, small_processor
from vision.bank.model_half import ModelHalf
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage
from vision.report import CalibrationReport, NoisePerception

CLEAN = scan(500)
NOISY = corrupted(scan(501), "gaussian", 5)
FLAT = corrupted(scan(502), "low_contrast", 5)


@pytest.fixture(scope="module")
def pixels(encoder: VisionEncoder) -> Calibrator:
    """Without a model half."""
    return Calibrator(encoder, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def half(encoder: VisionEncoder) -> ModelHalf:
    references = [scan(number) for number in range(24)]
    return build_model_half(encoder, references, SmoothingAcquisition(), fewest=24)


@pytest.fixture(scope="module")
def both(encoder: VisionEncoder, half: ModelHalf) -> Calibrator:
    """With a model half."""
    return Calibrator(encoder, half, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]


@pytest.fixture(params=["pixels", "both"])
def calibrator(request: pytest.FixtureRequest) -> Calibrator:
    found: Calibrator = request.getfixturevalue(request.param)
    return found


def test_a_clean_image_takes_one_pass_and_keeps_its_features_bit_for_bit(
    calibrator: Calibrator, encoder: VisionEncoder, count_forwards: Callable[[], int]
) -> None:
    result = calibrator(CLEAN)
    assert count_forwards() == 1
    assert torch.equal(projected(result.features), projected(encoder.encode(CLEAN)))
    assert not result.report.applied
    assert result.restored is None
    assert "no noise detected" in result.report.reason


def test_without_a_model_half_the_restored_picture_is_encoded_in_one_pass(
    pixels: Calibrator, encoder: VisionEncoder, count_forwards: Callable[[], int]
) -> None:
    result = pixels(NOISY)
    assert count_forwards() == 1
    assert result.restored is not None
    plain = projected(encoder.encode(NOISY))
    assert torch.equal(projected(result.features), projected(encoder.encode(result.restored)))
    assert not torch.equal(projected(result.features), plain)


def test_few_grey_levels_are_counted_in_the_picture_as_it_came(
    pixels: Calibrator, encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MedicalImage] = []

    def few(image: MedicalImage) -> str:
        asked.append(image)
        return "the picture holds 8 grey levels"

    assert pixels(NOISY).restored is not None
    monkeypatch.setattr("vision.pdc.few_levels_declined", few)
    result = pixels(NOISY)
    assert len(asked) == 1 and asked[0] is NOISY
    assert result.restored is None and not result.report.applied
    assert result.report.declined == "the picture holds 8 grey levels"
    assert result.perception is not None and result.perception.kind == "gaussian"
    assert torch.equal(projected(result.features), projected(encoder.encode(NOISY)))


def test_with_a_model_half_a_noisy_image_takes_two_passes_and_has_two_witnesses(
    both: Calibrator, count_forwards: Callable[[], int]
) -> None:
    result = both(NOISY)
    assert count_forwards() == 2
    assert result.report.applied, result.report.reason
    assert result.perception is not None
    assert set(result.perception.witnesses) == {"encoder", "pixels"}
    assert result.report.distance_before is not None
    assert result.report.distance_after is not None


def test_features_come_nearer_to_those_of_the_clean_image(
    calibrator: Calibrator, encoder: VisionEncoder
) -> None:
    nearer = []
    for number in range(600, 606):
        noisy = corrupted(scan(number), "gaussian", 5)
        clean = projected(encoder.encode(scan(number)))
        after = float((projected(calibrator(noisy).features) - clean).norm())
        nearer.append(after < float((projected(encoder.encode(noisy)) - clean).norm()))
    assert np.mean(nearer) > 0.8


def test_the_report_says_what_was_found_and_done_and_how_sure_that_is(pixels: Calibrator) -> None:
    report = pixels(NOISY).report
    assert (report.applied, report.taps, report.rounds) == (True, ["pixels"], ["gaussian 5"])
    assert report.predicted_share == REMOVED
    assert "noise detected (gaussian, severity 5" in report.reason
    assert "picture corrected for gaussian 5, predicted to remove 60% of the error" in report.reason
    assert "(features not calibrated: no model half was given)" in report.reason


def test_a_declined_correction_leaves_the_image_and_says_why(
    calibrator: Calibrator, encoder: VisionEncoder
) -> None:
    result = calibrator(FLAT)
    assert torch.equal(projected(result.features), projected(encoder.encode(FLAT)))
    assert (result.report.applied, result.report.declined) == (False, GRAIN_ALONE)
    assert f"correction declined, {GRAIN_ALONE}: image left as it was" in result.report.reason
    assert result.perception is not None
    assert result.perception.kind == "low_contrast"


def test_features_have_the_name_of_the_image_that_came_in(calibrator: Calibrator) -> None:
    features = calibrator(NOISY).features
    assert (features.name, features.size) == (NOISY.sha256, (NOISY.height, NOISY.width))


def test_a_batch_agrees_with_single_images(calibrator: Calibrator) -> None:
    images = [CLEAN, NOISY, FLAT]
    for image, together in zip(images, calibrator.calibrate_batch(images), strict=True):
        alone = calibrator(image)
        assert together.report.applied == alone.report.applied
        assert together.perception == alone.perception or calibrator.model_half is not None
        assert torch.allclose(projected(together.features), projected(alone.features), atol=1e-3)


def test_a_batch_of_clean_images_is_one_pass(
    calibrator: Calibrator, count_forwards: Callable[[], int]
) -> None:
    calibrator.calibrate_batch([CLEAN, scan(503), scan(504)])
    assert count_forwards() == 1


def test_perceiving_alone_changes_nothing_and_runs_no_encoder(
    pixels: Calibrator, encoder: VisionEncoder, count_forwards: Callable[[], int]
) -> None:
    found = pixels.perceive_batch([NOISY, CLEAN])
    assert count_forwards() == 0
    assert [one.kind for one in found] == ["gaussian", "clean"]
    result = pixels(NOISY, calibrate=False)
    assert result.perception == found[0]
    assert "correction was not requested" in result.report.reason
    assert torch.equal(projected(result.features), projected(encoder.encode(NOISY)))


@pytest.mark.parametrize("settings", [{"perceive": False}, {}])
def test_images_may_be_encoded_without_noise_detection(
    pixels: Calibrator, encoder: VisionEncoder, settings: dict[str, bool]
) -> None:
    off = pixels if settings else pixels.with_stages([])
    result = off.calibrate_batch([NOISY], **settings)[0]
    assert result.perception is None
    assert "switched off" in result.report.reason
    assert torch.equal(projected(result.features), projected(encoder.encode(NOISY)))


def test_a_picture_too_small_to_examine_is_encoded_as_it_is(
    pixels: Calibrator, encoder: VisionEncoder
) -> None:
    small = MedicalImage.from_rgb(np.zeros((8, 12, 3), dtype=np.uint8))
    result = pixels(small)
    assert result.perception is None
    assert f"noise was not examined ({TOO_SMALL})" in result.report.reason
    assert torch.equal(projected(result.features), projected(encoder.encode(small)))
    with pytest.raises(BankRefused, match="too small"):
        pixels.perceive(small)


class Worsening(SmoothingAcquisition):
    """Restores by adding noise."""

    def smoothed(self, picture: MedicalImage) -> MedicalImage:
        return corrupted(corrupted(picture, "impulse", 5), "gaussian", 5)


def test_a_restored_picture_whose_features_are_farther_from_clean_is_not_used(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    calibrator = Calibrator(encoder, half, acquisition=Worsening())  # type: ignore[arg-type]
    # by the encoder's own measure: a little grain, then a lot
    noisy = corrupted(scan(505), "gaussian", 3)
    result = calibrator(noisy)
    assert not result.report.applied
    assert "farther from clean" in result.report.declined
    assert torch.equal(projected(result.features), projected(encoder.encode(noisy)))


def test_features_that_are_not_finite_stay_and_the_report_says_so(
    both: Calibrator, encoder: VisionEncoder
) -> None:
    embedding = encoder.model.model.vision_tower.embeddings.patch_embedding
    handle = embedding.register_forward_hook(lambda module, args, output: output * float("nan"))
    try:
        result = both(NOISY)
        alone = both.with_stages(["features"])
        unseen = alone(NOISY)
        with pytest.raises(BankRefused, match="not finite"):
            alone.perceive(NOISY)
    finally:
        handle.remove()
    assert (result.report.applied, result.restored) == (False, None)
    assert "not finite" in result.report.reason
    assert unseen.perception is None
    assert "not finite" in unseen.report.reason


def test_a_model_half_of_another_acquisition_half_is_refused(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    class Another(SmoothingAcquisition):
        digest = "another"

    with pytest.raises(BankRefused, match="another acquisition half"):
        Calibrator(encoder, half, acquisition=Another())  # type: ignore[arg-type]


def test_a_model_half_of_another_model_is_refused(half: ModelHalf) -> None:
    other = VisionEncoder(small_llava(seed=1), small_processor())
    with pytest.raises(BankRefused, match="another model"):
        Calibrator(other, half, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]


def test_a_model_half_of_other_blocks_is_refused(encoder: VisionEncoder, half: ModelHalf) -> None:
    deeper = replace(half, spectra={**half.spectra, "block.9": half.spectra["embed"]})
    with pytest.raises(BankRefused, match=r"taps that this encoder lacks \(block\.9\)"):
        Calibrator(encoder, deeper, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]


def test_a_model_half_is_read_with_its_calibrator(half: ModelHalf, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    half.save(path)
    loaded = Calibrator.load(
        small_llava(),
        small_processor(),
        path,
        acquisition=SmoothingAcquisition(),  # type: ignore[arg-type]
    )
    assert loaded.model_half is not None
    assert loaded.model_half.taps == half.taps
    assert loaded(NOISY).report.applied


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_alpha_is_a_probability(encoder: VisionEncoder, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        Calibrator(encoder, alpha=alpha)


@pytest.mark.parametrize(
    ("stages", "error", "says"),
    [(["pixel"], ValueError, "no such stage: pixel"), (["features"], BankRefused, "model half")],
)
def test_stages_that_cannot_be_are_refused(
    encoder: VisionEncoder, stages: Sequence[str], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Calibrator(encoder, stages=stages)


def test_reports_survive_json(calibrator: Calibrator) -> None:
    result = calibrator(NOISY)
    assert result.perception is not None
    again = NoisePerception.model_validate_json(result.perception.model_dump_json())
    assert again == result.perception
    report = CalibrationReport.model_validate_json(result.report.model_dump_json())
    assert report == result.report
