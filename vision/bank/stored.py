"""Files of fitted parts: written whole or not at all, read with every value checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from imc_core.files import replacing
from vision.errors import BankRefused

__all__ = ["check_values", "named_below", "reading", "write_parts"]

_DTYPES = (torch.float16, torch.float32, torch.float64, torch.int64)
_LARGEST = 1e15
"""Fitted values stay below some millions."""


def write_parts(
    path: str | Path, tensors: Mapping[str, Tensor], header: dict[str, str], what: str
) -> None:
    """Write one safetensors file, whole or not at all.

    Raises BankRefused where it cannot be written: a full disk leaves what was there.
    """
    target = Path(path)
    try:
        with replacing(target) as writing:
            save_file(dict(tensors), writing, metadata=header)
    except (OSError, SafetensorError) as problem:
        said = getattr(problem, "strerror", None) or str(problem)
        why = str(said).partition("\n")[0][:120]
        raise BankRefused(
            f"{what} {target.name!r} cannot be written ({why}): free some space or name another "
            "folder, and run the same command again"
        ) from problem


@contextmanager
def reading(named: str, remedy: str) -> Iterator[None]:
    """Context in which whatever goes wrong while a file is read is a BankRefused in one line."""
    try:
        yield
    except BankRefused:
        raise
    except (SafetensorError, OSError) as problem:
        raise BankRefused(f"{named} is truncated or no safetensors file: {remedy}") from problem
    except KeyError as problem:
        raise BankRefused(f"{named} lacks a part ({problem}): {remedy}") from problem
    except Exception as problem:  # whatever arrays of a wrong shape or type run into
        why = str(problem).partition("\n")[0][:200] or type(problem).__name__
        raise BankRefused(f"{named} does not fit together ({why}): {remedy}") from problem


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Refuse values that are not finite, and types that hold no such values, by ValueError."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise ValueError(f"{name!r} is stored as {tensor.dtype}")
        if not tensor.numel():
            continue
        lowest, highest = map(float, torch.aminmax(tensor))
        if not math.isfinite(lowest + highest):
            raise ValueError(f"it holds values that are not finite in {name!r}")
        if max(-lowest, highest) > _LARGEST:
            raise ValueError(f"it holds values above {_LARGEST:.0e} in {name!r}")


def named_below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins with `prefix`, without it; half precision as single."""
    return {
        name.removeprefix(prefix): tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
