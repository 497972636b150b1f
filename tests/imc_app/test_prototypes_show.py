"""`imc prototypes show`: what a bank knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from imc_agents.policy import Margins
from imc_reference import MODEL_DIR
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused
from tests.tiny_models import save_tiny
from vision.bank.prototype_bank import PrototypeBank
from vision.calibrate.cascade import CleanDistance, TapMaps
from vision.calibrate.moments import FittedMap
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.token_layout import infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.perceive.acquisition_statistics import acquisition_statistics
from vision.perceive.noise_classifier import NoiseClassifier, fit_noise_classifier

KINDS = ("gaussian", "motion")
REFERENCES = 108
TOKENS = token_statistics(torch.zeros(1, 1, 16, 8), infer_layout(16)).shape[1]
"""Statistics of tokens of 8 channels."""
RESTORED = {
    "pixels": {"gaussian": 0.81, "motion": 0.42},
    "embed": {"gaussian": 0.3, "motion": 0.07},
    "block.0": {"gaussian": 0.21},
}


def small_classifier() -> NoiseClassifier:
    """Of two views of each reference, clean and with each noise, all drawn at random."""
    rng = np.random.default_rng(0)
    classes = [("clean", 0), *((kind, 3) for kind in KINDS)]
    labels = np.repeat(np.arange(len(classes)), 2 * REFERENCES)
    numbers = np.tile(np.arange(REFERENCES), 2 * len(classes))
    sizes = {
        "encoder": TOKENS,
        "pixels": len(acquisition_statistics(rng.random((32, 32)))),
    }
    statistics = {
        name: rng.normal(size=(len(labels), size)) + labels[:, None] for name, size in sizes.items()
    }
    return fit_noise_classifier(statistics, labels, numbers, classes, rng)


def small_maps() -> TapMaps:
    """Maps of rank 2 over 8 channels."""
    scaler = FeatureScaler(torch.zeros(8), torch.ones(8))
    distance = CleanDistance(torch.ones(TOKENS, 3), torch.zeros(3), 1.0)
    context = scaler.context(torch.zeros(1, 1, 16, 8), infer_layout(16)).size
    fitted = FittedMap(torch.ones(context, 2), torch.ones(2, 8), gain=0.1)
    return TapMaps.of(scaler, distance, [fitted] * (len(KINDS) + 1), cap=1.0)


@pytest.fixture(scope="module")
def shown_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank made by hand, as a file."""
    classifier = small_classifier()
    path = tmp_path_factory.mktemp("shown") / "bank.safetensors"
    PrototypeBank(
        fingerprint="f" * 64,
        kinds=KINDS,
        severities=(3,),
        images=REFERENCES,
        seed=7,
        side=64,
        perception_tap="embed",
        noise_classifier=classifier,
        maps={"embed": small_maps(), "block.0": small_maps()},
        restored=RESTORED,
        residual_classifier=classifier,
    ).save(path)
    return path


def test_the_document_says_what_the_bank_holds(imc: Imc, shown_bank: Path) -> None:
    ran = imc("prototypes", "show", shown_bank, "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert (document["fingerprint"], document["fits"]) == ("f" * 64, None)
    assert (document["references"], document["seed"], document["side"]) == (REFERENCES, 7, 64)
    assert (document["kinds"], document["severities"]) == (list(KINDS), [3])
    assert (document["perception_tap"], document["taps"]) == ("embed", ["embed", "block.0"])
    assert document["pixel_stage"] is False
    assert document["second_perception"] == document["perception"]
    assert document["restored"] == RESTORED


def test_perception_says_how_small_a_p_value_can_be(imc: Imc, shown_bank: Path) -> None:
    document = json.loads(imc("prototypes", "show", shown_bank, "--json").out)
    perception = document["perception"]
    assert perception["witnesses"] == ["encoder", "pixels"]
    assert perception["conformal"] is True
    assert perception["clean_scores"] == 2 * REFERENCES
    assert perception["smallest_p_value"] == 1 / (2 * REFERENCES + 1)
    assert 0 < document["level"] < 0.1


def test_margins_beside_the_bank_are_shown(imc: Imc) -> None:
    shipped = MODEL_DIR / "prototypes.safetensors"

    found = json.loads(imc("prototypes", "show", shipped, "--json").out)["questions"]
    shown = imc("prototypes", "show", shipped).out

    assert found["margins"].keys() == Margins.model_fields.keys()
    assert f"of {found['questions']} clean questions edited" in " ".join(shown.split())


def test_a_bank_without_margins_says_that_the_shipped_ones_hold(imc: Imc, shown_bank: Path) -> None:
    assert json.loads(imc("prototypes", "show", shown_bank, "--json").out)["questions"] is None
    assert "shipped margins" in imc("prototypes", "show", shown_bank).out


def test_the_parts_add_up_to_the_file_less_its_header(imc: Imc, shown_bank: Path) -> None:
    document = json.loads(imc("prototypes", "show", shown_bank, "--json").out)
    header = 8 + int.from_bytes(shown_bank.read_bytes()[:8], "little")
    assert document["bytes"] == shown_bank.stat().st_size
    assert sum(document["parts"].values()) == document["bytes"] - header
    assert {f"maps.{tap}" for tap in document["taps"]} < set(document["parts"])


def test_a_person_reads_what_each_stage_removes(imc: Imc, shown_bank: Path) -> None:
    ran = imc("prototypes", "show", shown_bank)
    assert ran.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line}
    assert rows["built"][1:4] == [str(REFERENCES), "clean", "images,"]
    assert rows["noise"] == ["pixels", "embed", "block.0"]
    assert rows["gaussian"] == "81 30 21".split()
    assert rows["motion"] == "42 7".split()
    assert "share of the noise's effect removed, in %" in ran.out


def test_without_a_bank_the_embedded_models_is_shown(imc: Imc, embedded_model: Path) -> None:
    shown = json.loads(imc("prototypes", "show", "--json").out)
    assert shown["file"] == str(embedded_model / "prototypes.safetensors")


def test_a_model_without_a_bank_has_none_to_show(imc: Imc, tiny_llava: Path) -> None:
    ran = imc("prototypes", "show", "--model", tiny_llava)
    assert_refused(ran, "no prototype bank", "imc prototypes build")


def test_what_a_file_says_of_itself_is_never_executed(imc: Imc, tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    bank = PrototypeBank(
        "\x1b[2J", KINDS, (3,), 72, 0, 64, "embed", small_classifier(), {"embed": small_maps()}
    )
    bank.save(path)
    ran = imc("prototypes", "show", path)
    assert ran.code == 0
    assert "\x1b" not in ran.out and "\\u001b" in ran.out


@pytest.mark.slow
def test_a_bank_says_whether_it_is_the_models(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    other = save_tiny("llava_onevision", tmp_path / "other")
    for model, fits in ((tiny_llava, True), (other, False)):
        ran = imc("prototypes", "show", tiny_bank, "--model", model, "--json")
        assert json.loads(ran.out)["fits"] is fits
    assert "another model's" in imc("prototypes", "show", tiny_bank, "--model", other).out


def test_a_missing_bank_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("prototypes", "show", tmp_path / "nowhere.safetensors"), "nowhere")


def test_a_truncated_bank_is_refused(imc: Imc, tmp_path: Path, shown_bank: Path) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(shown_bank.read_bytes()[:1000])
    assert_refused(imc("prototypes", "show", part), "truncated")


def test_what_is_no_bank_is_refused(imc: Imc, tiny_llava: Path) -> None:
    ran = imc("prototypes", "show", tiny_llava / "model.safetensors")
    assert_refused(ran, "not a prototype bank")
