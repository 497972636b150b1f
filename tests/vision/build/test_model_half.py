"""The model half: the encoder's witness, distances to clean, and maps where they earn something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from imc_noise import UnknownNoise
from tests.vision.acquisition_stand_in import CLASSES, Decision, Sizes, SmoothingAcquisition
from tests.vision.conftest import corrupted, scan, small_llava, small_processor
from vision.bank.model_half import RESTORED, UNRESTORED, ModelHalf
from vision.build import model_half_steps
from vision.build.encoder_passes import EncoderPasses
from vision.build.feature_store import FeatureStore
from vision.build.model_half import build_model_half, witness_taps
from vision.build.workers import LocalWorkers
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage

REFERENCES = [scan(number) for number in range(52)]
OTHERS = [scan(number) for number in range(900, 916)]


@pytest.fixture(scope="module")
def half(encoder: VisionEncoder) -> ModelHalf:
    return build_model_half(encoder, REFERENCES, SmoothingAcquisition(), fewest=52)


def statistics_of(
    encoder: VisionEncoder, half: ModelHalf, images: list[MedicalImage]
) -> dict[str, torch.Tensor]:
    passes = EncoderPasses(encoder, half.taps, FeatureStore(), spectra=dict(half.spectra))
    with torch.inference_mode():
        return passes.statistics(images)


def as_arrays(statistics: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {tap: values.double().numpy() for tap, values in statistics.items()}


def test_it_reads_the_embedding_and_two_shallow_blocks(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    assert half.taps == witness_taps(encoder) == ("embed", "block.0")
    assert half.classes == CLASSES


def test_the_encoder_alone_names_the_kind_of_noise(encoder: VisionEncoder, half: ModelHalf) -> None:
    named = []
    for kind in ("gaussian", "low_contrast"):
        noisy = [corrupted(image, kind, 5) for image in OTHERS]
        found = half.witness.predict(as_arrays(statistics_of(encoder, half, noisy)))
        named += [half.witness.report(one, alpha=0.99).kind == kind for one in found]
    assert np.mean(named) > 0.85


def test_scores_of_the_acquisition_half_are_one_more_source(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    noisy = [corrupted(image, "gaussian", 5) for image in OTHERS]
    scores = SmoothingAcquisition().scores(noisy, [(80, 80)] * len(noisy))
    both = half.witness.predict(as_arrays(statistics_of(encoder, half, noisy)), scores)
    assert set(both[0].by_source) == {"encoder", "acquisition"}
    alone = half.witness.predict(None, scores)
    assert set(alone[0].by_source) == {"acquisition"}
    assert np.mean([one.clean_p_value for one in both]) < 0.05


def test_clean_images_are_nearer_to_clean_than_noisy_ones(
    encoder: VisionEncoder, half: ModelHalf
) -> None:
    clean = half.clean_distance(statistics_of(encoder, half, OTHERS))
    noisy = [corrupted(image, "gaussian", 5) for image in OTHERS]
    assert bool((half.clean_distance(statistics_of(encoder, half, noisy)) > clean).all())


def test_maps_of_pictures_as_they_came_explain_left_out_references(half: ModelHalf) -> None:
    assert half.maps_for(UNRESTORED)
    gains = half.gains[UNRESTORED]["embed"]
    assert gains["low_contrast"] > 0.5


def test_no_map_is_kept_where_restoring_leaves_nothing(encoder: VisionEncoder) -> None:
    class Oracle(SmoothingAcquisition):
        """Restores every draw of the references to the reference itself."""

        classes = (CLASSES[0], CLASSES[3])

        def scores(self, pictures: Sequence[MedicalImage], sizes: Sizes = None) -> (
            NDArray[np.float64]
        ):
            return super().scores(pictures, sizes)[:, [0, 3]]

        def restore_batch(  # type: ignore[override]
            self,
            pictures: Sequence[MedicalImage],
            sizes: Sequence[tuple[int, int]],
            **settings: object,
        ) -> list[Decision]:
            return [Decision(self._nearest(picture)) for picture in pictures]

        def _nearest(self, picture: MedicalImage) -> MedicalImage:
            return min(REFERENCES[:12], key=lambda one: _correlation_gap(one, picture))

    built = build_model_half(encoder, REFERENCES[:12], Oracle(), fewest=12)
    assert not built.maps_for(RESTORED)
    assert built.maps_for(UNRESTORED)


def _correlation_gap(one: MedicalImage, other: MedicalImage) -> float:
    grey = other.rgb[..., 0].astype(np.float64)
    reference = MedicalImage.from_rgb(one.rgb).rgb[..., 0].astype(np.float64)
    step = reference.shape[0] / grey.shape[0]
    rows = (np.arange(grey.shape[0]) * step).astype(int)
    return -float(np.corrcoef(grey.ravel(), reference[np.ix_(rows, rows)].ravel())[0, 1])


def test_no_array_has_a_row_for_each_reference(half: ModelHalf) -> None:
    """Nothing of a single picture is held: of the references, only sorted scores of them all."""
    tensors, _ = half.contents()
    views = 4 * len(REFERENCES)
    per_reference = [name for name, one in tensors.items() if {52, views} & set(one.shape)]
    assert sorted(per_reference) == [
        "density.acquisition.clean",
        "density.encoder.clean",
        "density.joint.clean",
    ]
    clean = tensors["density.encoder.clean"]
    assert bool((clean.diff() >= 0.0).all())


def test_it_is_the_same_after_storing(
    encoder: VisionEncoder, half: ModelHalf, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    half.save(path)
    again = ModelHalf.load(path, fingerprint=encoder.fingerprint, acquisition="stand-in")
    statistics = statistics_of(encoder, half, OTHERS)
    one, other = (
        each.witness.predict(as_arrays(statistics))[0].probabilities for each in (half, again)
    )
    assert np.allclose(one, other, atol=0.02)
    assert again.maps.keys() == half.maps.keys()
    assert again.gains == half.gains


def test_a_stopped_build_resumes_to_the_same_file(encoder: VisionEncoder, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def build(folder: Path | None, stop: str = "") -> ModelHalf:
        def progress(step: str, done: int, of: int) -> None:
            if step == stop:
                raise Stopped

        return build_model_half(
            encoder,
            REFERENCES[:12],
            SmoothingAcquisition(),
            fewest=12,
            unfinished=folder,
            progress=progress,
        )

    build(None).save(tmp_path / "one.safetensors")
    for stop in ("class gaussian 5", "class low_contrast 3", "witness"):
        with pytest.raises(Stopped):
            build(tmp_path / "partial", stop)
    build(tmp_path / "partial").save(tmp_path / "other.safetensors")
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "other"))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_features_that_are_held_on_disk_give_the_same_half(
    encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> dict[str, torch.Tensor]:
        built = build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition(), fewest=12)
        return built.contents()[0]

    in_memory = build()
    monkeypatch.setattr(model_half_steps, "FeatureStore", partial(FeatureStore, room=0))
    on_disk = build()
    assert [name for name in in_memory if not torch.equal(in_memory[name], on_disk[name])] == []


def test_the_file_does_not_depend_on_how_many_workers_there_are(encoder: VisionEncoder) -> None:
    built = [
        build_model_half(
            encoder, REFERENCES[:12], SmoothingAcquisition(), fewest=12, workers=LocalWorkers(jobs)
        )
        for jobs in (1, 2)
    ]
    assert built[0].digest == built[1].digest


def test_the_projector_alone_is_read_where_blocks_are_not_found() -> None:
    encoder = VisionEncoder(small_llava(), small_processor())
    encoder.taps = ("projector",)
    built = build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition(), fewest=12)
    assert built.taps == ("projector",)
    noisy = [corrupted(image, "gaussian", 5) for image in OTHERS]
    found = built.witness.predict(as_arrays(statistics_of(encoder, built, noisy)))
    named = [built.witness.report(one, alpha=0.99).kind == "gaussian" for one in found]
    assert np.mean(named) > 0.7


def test_features_that_are_not_finite_are_refused() -> None:
    encoder = VisionEncoder(small_llava(), small_processor())
    embedding = encoder.model.model.vision_tower.embeddings.patch_embedding
    embedding.register_forward_hook(lambda module, args, output: output * float("nan"))
    with pytest.raises(BankRefused, match="not finite at embed"):
        build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition(), fewest=12)


def test_unknown_kinds_are_refused_before_any_pass(
    encoder: VisionEncoder, count_forwards: Callable[[], int]
) -> None:
    classes = (("clean", 0), ("fog", 3))
    with pytest.raises(UnknownNoise):
        build_model_half(encoder, REFERENCES[:12], None, classes=classes, fewest=12)
    assert count_forwards() == 0


def test_classes_are_given_once(encoder: VisionEncoder) -> None:
    with pytest.raises(ValueError, match="either classes or an acquisition half"):
        build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition(), classes=CLASSES)
    with pytest.raises(ValueError, match="either classes or an acquisition half"):
        build_model_half(encoder, REFERENCES[:12], None)


def test_too_few_images_are_refused(encoder: VisionEncoder) -> None:
    with pytest.raises(BankRefused, match="at least 64 different clean images, got 12"):
        build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition())


def test_a_tower_without_readable_taps_is_refused() -> None:
    encoder = VisionEncoder(small_llava(), small_processor())
    encoder.taps = ()
    with pytest.raises(BankRefused, match="with the acquisition half alone"):
        build_model_half(encoder, REFERENCES[:12], SmoothingAcquisition(), fewest=12)
