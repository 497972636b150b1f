"""Where a model's weights lie and how it computes: device, number format, map, attention."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from imc_agents.errors import ModelRefused

__all__ = ["ATTENTIONS", "DTYPES", "Attention", "Dtype", "Placement"]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]

DTYPES: tuple[Dtype, ...] = ("auto", "float32", "bfloat16", "float16")
ATTENTIONS: tuple[Attention, ...] = ("auto", "sdpa", "eager", "flash_attention_2")


@dataclass(frozen=True)
class Placement:
    """Where and how a model runs; checked against the machine when a model is loaded.

    Attributes:
        device: `auto` (CUDA, else Apple's MPS, else CPU), `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: number format of the weights; `auto`: float32 for small models (under 2 GB), else the
            checkpoint's own where the device has it.
        device_map: `auto`: the layers are divided over all accelerators, and what does not fit over
            the CPU, by accelerate; None: one device.
        attention: of transformers' implementations; `auto`: the one it takes for the family.

    Raises ModelRefused for a value that is none of these, or values that exclude each other.
    """

    device: str = "auto"
    dtype: str = "auto"
    device_map: str | None = None
    attention: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what no machine has."""
        for name, value, known in (
            ("dtype", self.dtype, DTYPES),
            ("attention", self.attention, ATTENTIONS),
            ("device map", self.device_map or "auto", ("auto",)),
        ):
            if value not in known:
                raise ModelRefused(f"unknown {name} {value!r}: use {_either(known)}")
        if self.device_map is not None and self.device != "auto":
            raise ModelRefused(
                f"device {self.device!r} and device map {self.device_map!r}: the map uses every "
                "device; give one of the two"
            )

    @classmethod
    def of(cls, placement: Placement | None, device: str, dtype: str) -> Placement:
        """A placement, or that of `device` and `dtype` alone where there is none.

        Raises TypeError where both are given, and ModelRefused as the constructor does.
        """
        if placement is None:
            return cls(device, dtype)
        if (device, dtype) != ("auto", "auto"):
            raise TypeError("give placement= alone, or device= and dtype=")
        return placement

    def find_device(self) -> Any:
        """The `torch.device`: with a device map the first of its devices.

        Raises ModelRefused where this machine has no such device.
        """
        import torch

        if self.device == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            chosen = torch.device(self.device)
        except RuntimeError as error:
            raise ModelRefused(
                f"unknown device {self.device!r}: use auto, cpu, cuda or mps"
            ) from error
        counts = {"cpu": 1, "mps": int(torch.backends.mps.is_available())}
        counts["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
        count = counts.get(chosen.type, 0)
        if not count:
            raise ModelRefused(
                f"device {self.device!r} is not usable on this machine: use cpu or auto"
            )
        if chosen.index is not None and chosen.index >= count:
            there = _either([f"{chosen.type}:{number}" for number in range(count)])
            raise ModelRefused(f"device {self.device!r} is not on this machine: use {there}")
        return chosen

    def find_dtype(self, device: Any, stored: Any, *, small: bool) -> Any:
        """The `torch.dtype` that the weights are loaded in; "auto": the checkpoint's own.

        Args:
            device: of `find_device`.
            stored: the checkpoint's `torch.dtype`; None: unknown.
            small: whether float32 is then both quick and exact.

        Raises ModelRefused where the device has no arithmetic of that format.
        """
        import torch

        if self.dtype != "auto":
            wanted = getattr(torch, self.dtype)
            if _lacks(device, wanted):
                others = [
                    one for one in DTYPES[1:]
                    if one != self.dtype and not _lacks(device, getattr(torch, one))
                ]
                raise ModelRefused(
                    f"device {device.type!r} has no arithmetic in {self.dtype}: "
                    f"use {_either(others) or 'another device'}"
                )
            return wanted
        if small:
            return torch.float32
        if device.type == "cpu" and stored == torch.float16:
            return torch.bfloat16  # float16 arithmetic is slow or missing on CPUs
        if isinstance(stored, torch.dtype) and _lacks(device, stored):
            return torch.float32
        return "auto"

    def loading_arguments(self, device: Any, *, quantized: bool) -> dict[str, Any]:
        """What `from_pretrained` is given for device map and attention.

        Args:
            device: of `find_device`.
            quantized: whether the checkpoint is: its weights cannot all be moved afterwards.

        Raises ModelRefused where a package is not installed, or the attention needs another device.
        """
        found: dict[str, Any] = {}
        if self.device_map is not None:
            if not _is_installed("accelerate"):
                raise ModelRefused(
                    "device map 'auto' needs the package accelerate: pip install "
                    "'imc-agents[accelerate]', or give one device"
                )
            found["device_map"] = self.device_map
        elif quantized and _is_installed("accelerate"):
            found["device_map"] = {"": device}
        if self.attention == "flash_attention_2" and (
            device.type != "cuda" or not _is_installed("flash_attn")
        ):
            raise ModelRefused(
                "attention 'flash_attention_2' needs a CUDA device and the package flash-attn: "
                "use sdpa or eager"
            )
        if self.attention != "auto":
            found["attn_implementation"] = self.attention
        return found


def _lacks(device: Any, dtype: Any) -> bool:
    """Whether a device has no arithmetic in a number format; an emulation does not count."""
    import torch

    if device.type == "cuda" and dtype == torch.bfloat16:
        with torch.cuda.device(device):
            return not torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        ones = torch.ones(2, 2, device=device, dtype=dtype)
        return not bool(torch.isfinite((ones @ ones).softmax(dim=-1)).all())
    except (NotImplementedError, RuntimeError, TypeError):
        return True


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _either(names: Any) -> str:
    """`a, b or c`."""
    *most, last = [*names] or [""]
    return f"{', '.join(most)} or {last}" if most else last
