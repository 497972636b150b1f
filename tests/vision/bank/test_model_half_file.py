"""A model half's file is refused, in one line, where it does not fit the model or is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.vision.acquisition_stand_in import SmoothingAcquisition
from tests.vision.conftest import scan
from vision.bank.model_half import FORMAT, ModelHalf
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused


@pytest.fixture(scope="module")
def file(encoder: VisionEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    references = [scan(number) for number in range(16)]
    half = build_model_half(encoder, references, SmoothingAcquisition(), fewest=16)
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    half.save(path)
    return path


def refusal(path: Path, fingerprint: str | None = None, acquisition: str | None = None) -> str:
    with pytest.raises(BankRefused) as refused:
        ModelHalf.load(path, fingerprint=fingerprint, acquisition=acquisition)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def rewritten(file: Path, target: Path, header: Callable[[str], str]) -> Path:
    with safe_open(file, framework="pt") as stored:
        text = stored.metadata()["imc"]
    save_file(load_file(file), target, metadata={"imc": header(text)})
    return target


def test_of_another_model(file: Path) -> None:
    assert "another model" in refusal(file, fingerprint="0" * 64)


def test_for_another_acquisition_half(file: Path) -> None:
    said = refusal(file, acquisition="another")
    assert "another acquisition half" in said
    assert "imc prototypes build" in said


def test_of_another_format_version(file: Path, tmp_path: Path) -> None:
    newer = rewritten(
        file, tmp_path / "newer.safetensors", lambda text: text.replace("-half-3", "-half-9")
    )
    assert "not a model half of format 'imc-model-half-3'" in refusal(newer)


def test_a_prototype_bank_of_before_is_no_model_half(file: Path, tmp_path: Path) -> None:
    bank = rewritten(
        file, tmp_path / "bank.safetensors", lambda text: text.replace(FORMAT, "imc-prototypes-4")
    )
    assert "not a model half" in refusal(bank)


def test_weights_of_a_model_are_no_model_half(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    assert "not a model half" in refusal(tmp_path / "model.safetensors")


@pytest.mark.parametrize("content", [b"", b"no half at all", b"{}" * 50])
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "half.safetensors").write_bytes(content)
    assert "truncated or no safetensors file" in refusal(tmp_path / "half.safetensors")


def test_that_is_not_there(tmp_path: Path) -> None:
    assert "not a file" in refusal(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", 7),
        ("acquisition", None),
        ("images", 0),
        ("images", "384"),
        ("images", True),
        ("seed", -1),
        ("classes", []),
        ("classes", [["clean", 0]]),
        ("classes", [["clean", 0], ["gaussian"]]),
        ("classes", [["gaussian", 1], ["clean", 0]]),
        ("classes", [["clean", 0], ["gaussian", 3], ["gaussian", 3]]),
        ("classes", [["clean", 0], ["fog\x1b[31m", 3]]),
        ("classes", {"clean": 0}),
        ("taps", []),
        ("taps", ["embed", "embed"]),
        ("maps", {"restored": "embed"}),
        ("gains", {"restored": {"embed": {"gaussian": "half"}}}),
        ("blocks", ["a"]),
    ],
)
def test_with_a_field_of_a_wrong_type_or_value(
    file: Path, tmp_path: Path, field: str, value: object
) -> None:
    def changed(text: str) -> str:
        return json.dumps({**json.loads(text), field: value})

    said = refusal(rewritten(file, tmp_path / "wrong.safetensors", changed))
    assert field.rstrip("s") in said
    assert "\x1b" not in said


@pytest.mark.parametrize("text", ["[", "[]", "null", "3", "[" * 10**5 + "]" * 10**5])
def test_with_a_description_that_is_none(file: Path, tmp_path: Path, text: str) -> None:
    refusal(rewritten(file, tmp_path / "none.safetensors", lambda _: text))


@pytest.mark.parametrize("part", ["density.encoder.precision", "scorer.embed.weights"])
@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.to(torch.int8),
        lambda one: one.to(torch.complex64),
        lambda one: one.to(torch.float8_e4m3fn),
        lambda one: one[:0],
        lambda one: one.double() * 1e300,
    ],
    ids=["int8", "complex", "float8", "empty", "huge"],
)
def test_with_arrays_of_a_wrong_type_or_size(
    file: Path, tmp_path: Path, part: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    tensors = load_file(file)
    assert part in tensors
    save_file({**tensors, part: change(tensors[part])}, tmp_path / "w.safetensors", metadata=header)
    refusal(tmp_path / "w.safetensors")


def test_without_a_part(file: Path, tmp_path: Path) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    tensors = load_file(file)
    del tensors["spectrum.embed.centre"]
    save_file(tensors, tmp_path / "part.safetensors", metadata=header)
    assert "lacks a part" in refusal(tmp_path / "part.safetensors")


def test_it_is_written_whole_or_not_at_all(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = ModelHalf.load(file, fingerprint=None, acquisition=None)
    target = tmp_path / "half.safetensors"
    target.write_bytes(b"the half before")

    def full(tensors: object, path: Path, **settings: object) -> None:
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vision.bank.stored.save_file", full)
    with pytest.raises(BankRefused, match="No space left"):
        half.save(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the half before"]


def test_its_digest_is_that_of_the_file(file: Path) -> None:
    half = ModelHalf.load(file, fingerprint=None, acquisition=None)
    assert half.digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_of_which_half_is_missing(file: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.safetensors"
    short.write_bytes(file.read_bytes()[:-1000])
    assert "truncated" in refusal(short)


@pytest.mark.parametrize(
    "part", ["spectrum.embed", "scorer.embed", "density.encoder", "distance.embed.project"]
)
def test_with_arrays_of_another_shape(file: Path, tmp_path: Path, part: str) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    cut = {
        name: one[..., :-1].contiguous() if name.startswith(part) and one.numel() > 1 else one
        for name, one in load_file(file).items()
    }
    save_file(cut, tmp_path / "cut.safetensors", metadata=header)
    assert "does not fit together" in refusal(tmp_path / "cut.safetensors")


def test_with_values_that_are_not_finite(file: Path, tmp_path: Path) -> None:
    with safe_open(file, framework="pt") as stored:
        header = stored.metadata()
    tensors = load_file(file)
    tensors["spectrum.embed.centre"] = torch.full_like(tensors["spectrum.embed.centre"], torch.nan)
    save_file(tensors, tmp_path / "nan.safetensors", metadata=header)
    assert "not finite" in refusal(tmp_path / "nan.safetensors")
