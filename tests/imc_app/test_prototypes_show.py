"""`imc prototypes show`: what a model half knows and holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from imc_agents.policy import Margins
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused
from tests.tiny_models import save_tiny
from tests.vision.acquisition_stand_in import CLASSES
from vision.bank.model_half import ModelHalf
from vision.pdc import WITNESS_ALPHA


@pytest.fixture(scope="module")
def half(tiny_bank: Path) -> ModelHalf:
    return ModelHalf.load(tiny_bank, fingerprint=None, acquisition=None)


def test_the_document_says_what_the_file_holds(imc: Imc, tiny_bank: Path, half: ModelHalf) -> None:
    ran = imc("prototypes", "show", tiny_bank, "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert (document["format"], document["file"]) == ("model half", str(tiny_bank))
    assert (document["fingerprint"], document["fits"]) == (half.fingerprint, None)
    assert (document["references"], document["seed"], document["acquisition"]) == (16, 0, "")
    assert (document["kinds"], document["classes"]) == (["gaussian"], len(CLASSES[:3]))
    assert document["taps"] == list(half.taps)
    assert document["restored"] == half.gains
    assert document["level"] == WITNESS_ALPHA
    assert (document["witnesses"], document["conformal"]) == (["encoder"], False)
    assert document["clean_scores"] == 4 * 16  # four views of each reference


def test_the_parts_add_up_to_the_file_less_its_header(imc: Imc, tiny_bank: Path) -> None:
    document = json.loads(imc("prototypes", "show", tiny_bank, "--json").out)
    header = 8 + int.from_bytes(tiny_bank.read_bytes()[:8], "little")
    assert document["bytes"] == tiny_bank.stat().st_size
    assert sum(document["parts"].values()) == document["bytes"] - header
    assert {"spectrum", "scorer", "density", "distance"} <= set(document["parts"])


def test_a_person_reads_what_it_holds_and_what_maps_explain(
    imc: Imc, tiny_bank: Path, half: ModelHalf, tmp_path: Path
) -> None:
    file = tmp_path / "half.safetensors"
    replace(half, gains={"unrestored": {"embed": {"gaussian": 0.3}}}).save(file)
    ran = imc("prototypes", "show", file)
    assert ran.code == 0
    said = " ".join(ran.out.split())
    assert "16 clean images, seed 0" in said
    assert "no image, thumbnail or feature of a single one" in said
    assert "tokens are the only witness" in said
    assert "share of the noise's effect removed, in %" in said
    assert ran.out.splitlines()[-1].split() == ["gaussian", "30"]


def test_margins_beside_the_file_are_shown(imc: Imc, embedded_model: Path) -> None:
    shipped = embedded_model / "prototypes.safetensors"
    found = json.loads(imc("prototypes", "show", shipped, "--json").out)["questions"]
    assert found["margins"].keys() == Margins.model_fields.keys()
    shown = " ".join(imc("prototypes", "show", shipped).out.split())
    assert f"of {found['questions']} clean questions edited" in shown


def test_a_file_without_margins_says_that_the_shipped_ones_hold(imc: Imc, tiny_bank: Path) -> None:
    assert json.loads(imc("prototypes", "show", tiny_bank, "--json").out)["questions"] is None
    assert "shipped margins" in imc("prototypes", "show", tiny_bank).out


def test_without_a_file_the_embedded_models_is_shown(imc: Imc, embedded_model: Path) -> None:
    shown = json.loads(imc("prototypes", "show", "--json").out)
    assert shown["file"] == str(embedded_model / "prototypes.safetensors")


def test_a_model_without_a_half_has_none_to_show(imc: Imc, tiny_llava: Path) -> None:
    ran = imc("prototypes", "show", "--model", tiny_llava)
    assert_refused(ran, "no model half", "imc prototypes build")


def test_what_a_file_says_of_itself_is_never_executed(
    imc: Imc, half: ModelHalf, tmp_path: Path
) -> None:
    file = tmp_path / "half.safetensors"
    replace(half, fingerprint="\x1b[2J").save(file)
    ran = imc("prototypes", "show", file)
    assert ran.code == 0
    assert "\x1b" not in ran.out and "\\u001b" in ran.out


def test_a_half_says_whether_it_is_the_models(
    imc: Imc, tmp_path: Path, tiny_llava: Path, tiny_bank: Path
) -> None:
    other = save_tiny("llava_onevision", tmp_path / "other")
    for model, fits in ((tiny_llava, True), (other, False)):
        ran = imc("prototypes", "show", tiny_bank, "--model", model, "--json")
        assert json.loads(ran.out)["fits"] is fits
    assert "another model's" in imc("prototypes", "show", tiny_bank, "--model", other).out


def test_a_missing_file_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("prototypes", "show", tmp_path / "nowhere.safetensors"), "nowhere")


def test_a_truncated_file_is_refused(imc: Imc, tmp_path: Path, tiny_bank: Path) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(tiny_bank.read_bytes()[:1000])
    assert_refused(imc("prototypes", "show", part), "truncated")


def test_what_is_neither_half_is_refused(imc: Imc, tiny_llava: Path) -> None:
    ran = imc("prototypes", "show", tiny_llava / "model.safetensors")
    assert_refused(ran, "not a model half")
