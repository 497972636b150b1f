"""Prototype banks: built from clean images, kept as files, refused when they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from imc_noise import UnknownNoise
from tests.vision.conftest import KINDS, SEVERITIES, projected, scan, small_llava, small_processor
from tests.vision.conftest import corrupted as corrupt
from vision.build.draws import SEVERITY_ABOVE_MAX, noisy_draw
from vision.build.prototypes import PrototypeBank, build_bank
from vision.build.reference_checks import coloured_share
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage


@pytest.fixture
def saved(bank: PrototypeBank, tmp_path: Path) -> Path:
    """The bank on disk."""
    path = tmp_path / "bank.safetensors"
    bank.save(path)
    return path


def test_a_saved_bank_gives_the_same_answers(
    bank: PrototypeBank, saved: Path, encoder: VisionEncoder
) -> None:
    again = PrototypeBank.load(saved, fingerprint=encoder.fingerprint)
    assert (again.kinds, again.severities, again.images) == (KINDS, SEVERITIES, 52)
    image = corrupt(scan(900), "gaussian", 5)
    one, other = Calibrator(encoder, bank)(image), Calibrator(encoder, again)(image)
    assert one.perception is not None
    assert other.perception is not None
    assert one.perception.kind == other.perception.kind
    # Maps are stored in half precision.
    assert torch.allclose(projected(one.features), projected(other.features), atol=0.02)


def test_a_bank_says_how_well_it_restores(bank: PrototypeBank) -> None:
    assert set(bank.restored["embed"]) == set(KINDS)
    assert min(bank.restored["pixels"].values()) > 0.5


def test_another_model_s_bank_is_refused(saved: Path, bank: PrototypeBank) -> None:
    other = VisionEncoder(small_llava(seed=1), small_processor())
    with pytest.raises(BankRefused, match="another model"):
        PrototypeBank.load(saved, fingerprint=other.fingerprint)
    with pytest.raises(BankRefused, match="another model"):
        Calibrator(other, bank)


def test_a_truncated_bank_is_refused(saved: Path, encoder: VisionEncoder) -> None:
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(BankRefused, match="truncated"):
        PrototypeBank.load(saved, fingerprint=encoder.fingerprint)


@pytest.mark.parametrize("content", [b"", b"no bank at all", b"{}" * 50])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bank.safetensors"
    path.write_bytes(content)
    with pytest.raises(BankRefused):
        PrototypeBank.load(path, fingerprint=None)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BankRefused, match="not a file"):
        PrototypeBank.load(tmp_path / "none.safetensors", fingerprint=None)


def test_weights_that_are_no_bank_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(BankRefused, match="not a prototype bank"):
        PrototypeBank.load(path, fingerprint=None)


def _rewritten(path: Path, **changed: torch.Tensor) -> None:
    with safe_open(path, framework="pt") as stored:
        about = stored.metadata()
    save_file({**load_file(path), **changed}, path, metadata=about)


def test_a_bank_with_nan_is_refused(saved: Path, encoder: VisionEncoder) -> None:
    _rewritten(saved, **{"maps.embed.centre": torch.full((48,), float("nan"))})
    with pytest.raises(BankRefused, match="not finite"):
        PrototypeBank.load(saved, fingerprint=encoder.fingerprint)


def test_a_bank_that_lacks_a_part_is_refused(saved: Path, encoder: VisionEncoder) -> None:
    with safe_open(saved, framework="pt") as stored:
        about = stored.metadata()
    tensors = load_file(saved)
    del tensors["maps.embed.left"]
    save_file(tensors, saved, metadata=about)
    with pytest.raises(BankRefused, match="lacks a part"):
        PrototypeBank.load(saved, fingerprint=encoder.fingerprint)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("maps.embed.right", torch.ones(2, 2)),
        ("maps.embed.centre", torch.ones(7)),
        ("perceiver.reduction.pixels.centre", torch.ones(3)),
        ("perceiver.density.joint.means", torch.ones(2, 2)),
        ("perceiver.clean.joint", torch.ones(2, 2)),
        ("again.reduction.encoder.weights", torch.ones(3, 3)),
        ("restorer.maps", torch.ones(2, 2)),
        ("restorer.gaussian.gain.weights", torch.ones(5, 2)),
    ],
)
def test_a_part_of_another_shape_is_refused_when_it_is_loaded(
    saved: Path, name: str, changed: torch.Tensor
) -> None:
    assert name in load_file(saved)
    _rewritten(saved, **{name: changed})
    with pytest.raises(BankRefused, match=r"^[^\n]*does not fit together[^\n]*$"):
        PrototypeBank.load(saved, fingerprint=None)


@pytest.mark.parametrize(
    "changes", [{"restored": [1, 2]}, {"classes": [["clean"]]}, {"side": 10**9}, {"kinds": ["fog"]}]
)
def test_a_bank_with_wrong_metadata_is_refused(
    saved: Path, changes: dict[str, object]
) -> None:
    with safe_open(saved, framework="pt") as stored:
        about = json.loads(stored.metadata()["imc"])
    save_file(load_file(saved), saved, metadata={"imc": json.dumps({**about, **changes})})
    with pytest.raises(BankRefused, match="does not fit together"):
        PrototypeBank.load(saved, fingerprint=None)


def test_a_bank_keeps_only_maps_that_explain_enough(bank: PrototypeBank) -> None:
    assert set(bank.taps) <= set(bank.maps)
    assert bank.perception_tap in bank.maps
    for tap, maps in bank.maps.items():
        kinds = [kind for kind in KINDS for _ in SEVERITIES]
        by_kind = dict.fromkeys(KINDS, 0)
        for kind, rank in zip(kinds, maps.ranks.tolist(), strict=False):
            by_kind[kind] += rank
        assert {kind for kind in KINDS if by_kind[kind]} == {
            kind for kind in KINDS if bank.restored[tap][kind] > 0.0
        }


def test_features_that_are_not_finite_are_refused(encoder: VisionEncoder) -> None:
    embedding = encoder.model.model.vision_tower.embeddings.patch_embedding
    handle = embedding.register_forward_hook(lambda module, args, output: output * float("nan"))
    try:
        with pytest.raises(BankRefused, match="not finite at embed"):
            build_bank(encoder, [scan(number) for number in range(64)])
    finally:
        handle.remove()


def test_an_experiment_may_ask_for_fewer_references(encoder: VisionEncoder) -> None:
    with pytest.raises(BankRefused, match="at least 32"):
        build_bank(encoder, [scan(number) for number in range(31)], fewest=32)


def test_coloured_references_are_counted() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (3, 1, 1, 3), dtype=np.uint8)
    base[..., 0], base[..., 2] = 200, 20
    photographs = [MedicalImage.from_rgb(np.tile(one, (40, 40, 1))) for one in base]
    assert coloured_share(photographs) == 1.0
    assert coloured_share([*photographs, scan(1), scan(2), scan(3)]) == 0.5


def test_too_few_references_are_refused(encoder: VisionEncoder) -> None:
    with pytest.raises(BankRefused, match="at least 64"):
        build_bank(encoder, [scan(number) for number in range(63)])
    with pytest.raises(BankRefused, match="at least 64"):
        build_bank(encoder, [scan(1)] * 100)


def test_near_duplicates_are_refused(encoder: VisionEncoder) -> None:
    rgb = scan(1).rgb
    copies = []
    for number in range(64):
        pixel = rgb.copy()
        pixel[number % 60, 3] = 1 + number
        copies.append(MedicalImage.from_rgb(pixel))
    with pytest.raises(BankRefused, match="near-duplicates"):
        build_bank(encoder, copies)


def test_unknown_kinds_are_refused_before_any_work(encoder: VisionEncoder) -> None:
    begun = encoder.forwards
    with pytest.raises(UnknownNoise):
        build_bank(encoder, [scan(number) for number in range(64)], kinds=("fog",))
    assert encoder.forwards == begun


def test_two_builds_are_equal(encoder: VisionEncoder) -> None:
    references = [scan(number) for number in range(16)]
    few = {"kinds": ("low_contrast",), "severities": (4,), "more_kinds": (), "fewest": 16}
    one, other = (build_bank(encoder, references, seed=3, **few) for _ in range(2))
    assert torch.equal(one.maps["embed"].left, other.maps["embed"].left)
    assert np.array_equal(
        one.noise_classifier.clean_scores["joint"], other.noise_classifier.clean_scores["joint"]
    )


def test_a_draw_beyond_the_grid_is_stronger_than_the_strongest() -> None:
    def error(severity: int) -> float:
        lost = []
        for number in range(12):
            image = scan(number, side=64)
            noisy = noisy_draw(image, "gaussian", severity, 0, side=None, seed=0)
            lost.append(np.square(noisy.rgb.astype(float) - image.rgb).mean())
        return float(np.mean(lost))

    assert error(SEVERITY_ABOVE_MAX) > 1.2 * error(5)
