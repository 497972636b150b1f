"""A bank whose description or arrays are wrong is refused when it is loaded, in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vision.bank.prototype_bank import PrototypeBank
from vision.errors import BankRefused

Held = tuple[dict[str, Any], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def held(embedded_model: Path) -> Held:
    """Description and arrays of a good bank."""
    with safe_open(embedded_model / "prototypes.safetensors", framework="pt") as stored:
        about = json.loads(stored.metadata()["imc"])
        return about, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def refusal_of(held: Held, text: str | None, path: Path) -> str:
    about, tensors = held
    save_file(tensors, path, metadata={"imc": json.dumps(about) if text is None else text})
    with pytest.raises(BankRefused) as refusal:
        PrototypeBank.load(path, fingerprint=None)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kinds", []),
        ("kinds", "gaussian"),
        ("kinds", ["gaussian", "gaussian"]),
        ("kinds", ["fog\x1b[31m"]),
        ("kinds", [["gaussian"]]),
        ("kinds", ["no_such_class"]),
        ("severities", []),
        ("severities", ["3"]),
        ("severities", [9]),
        ("images", 0),
        ("images", "384"),
        ("images", True),
        ("side", 10**9),
        ("side", 112.5),
        ("seed", -1),
        ("classes", []),
        ("classes", [["clean", 0]]),
        ("classes", [["clean", 0], ["gaussian"]]),
        ("classes", [["gaussian", 1], ["clean", 0]]),
        ("classes", {"clean": 0}),
        ("taps", None),
        ("perception_tap", "block.99"),
        ("restored", []),
        ("restored", {"pixels": {"gaussian": "half"}}),
        ("restored", {"pixels": {"gaussian": float("nan")}}),
        ("fingerprint", 7),
        ("blocks", ["a"]),
    ],
)
def test_a_field_of_a_wrong_type_or_value_is_named(
    held: Held, field: str, value: Any, tmp_path: Path
) -> None:
    about, tensors = held
    message = refusal_of(({**about, field: value}, tensors), None, tmp_path / "bank.safetensors")
    named = "class" if field in ("kinds", "classes") else field.replace("_", " ")
    assert named in message.replace("_", " ") or field in message


@pytest.mark.parametrize(
    "text", ["[", "[]", "null", "3", "[" * 10**5 + "]" * 10**5, '{"format": "imc-prototypes-3"}']
)
def test_a_description_that_is_none_is_refused(held: Held, text: str, tmp_path: Path) -> None:
    _, tensors = held
    refusal_of(({}, tensors), text, tmp_path / "bank.safetensors")


@pytest.mark.parametrize("part", ["perceiver.density.joint.precision", "maps", "restorer.maps"])
@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.to(torch.int8),
        lambda one: one.bool(),
        lambda one: one.to(torch.complex64),
        lambda one: one.to(torch.float8_e4m3fn),
        lambda one: one[:0],
        lambda one: one.double() * 1e300,
    ],
    ids=["int8", "bool", "complex", "float8", "empty", "huge"],
)
def test_arrays_of_a_wrong_type_shape_or_size_are_refused(
    held: Held,
    part: str,
    change: Callable[[torch.Tensor], torch.Tensor],
    tmp_path: Path,
) -> None:
    about, tensors = held
    changed = {
        name: change(one) if name.startswith(part) else one for name, one in tensors.items()
    }
    refusal_of((about, changed), None, tmp_path / "bank.safetensors")


def test_a_bank_is_written_whole_or_not_at_all(
    embedded_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = PrototypeBank.load(embedded_model / "prototypes.safetensors", fingerprint=None)
    target = tmp_path / "bank.safetensors"
    target.write_bytes(b"the bank before")

    def full(tensors: Any, path: Path, **settings: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vision.bank.stored.save_file", full)
    with pytest.raises(BankRefused, match="No space left"):
        bank.save(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the bank before"]


def test_the_digest_is_that_of_the_file(embedded_model: Path) -> None:
    file = embedded_model / "prototypes.safetensors"
    bank = PrototypeBank.load(file, fingerprint=None)
    assert bank.digest == hashlib.sha256(file.read_bytes()).hexdigest()
