"""Features of clean references, computed once: in half precision, on disk beyond a bound."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vision.errors import BankRefused

ROOM = 256_000_000
"""Bytes held in memory; what does not fit is written to files."""

_NAME = "patches"
_LARGEST = 6e4
"""Largest magnitude in half precision."""


class FeatureStore:
    """Patches (tiles, patches, dim) of the clean references, by tap and number."""

    def __init__(self, folder: Path | None = None, room: int = ROOM) -> None:
        """Open a store.

        Args:
            folder: where files are written, an existing folder; None: a temporary one, removed with
                the store.
            room: bytes held in memory.
        """
        self.room = room
        self._held: dict[tuple[str, int], Tensor] = {}
        self._files: dict[tuple[str, int], Path] = {}
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def keep(self, tap: str, number: int, patches: Tensor) -> None:
        """Keep a copy in half precision.

        Raises BankRefused where a file cannot be written.
        """
        half = patches.detach().clamp(-_LARGEST, _LARGEST).to("cpu", torch.float16).contiguous()
        if half.nbytes <= self.room:
            self.room -= half.nbytes
            self._held[tap, number] = half.clone()  # a view would hold the whole batch
            return
        file = self._place() / f"clean-{tap}-{number}.safetensors"
        try:
            save_file({_NAME: half}, file)
        except (OSError, SafetensorError) as problem:
            why = getattr(problem, "strerror", None) or str(problem).partition("\n")[0][:120]
            raise BankRefused(
                f"features of the references cannot be written ({why}): free some space and run "
                "the same command again"
            ) from problem
        self._files[tap, number] = file

    def get(self, tap: str, number: int) -> Tensor:
        """The patches in single precision. KeyError where none were kept."""
        held = self._held.get((tap, number))
        if held is None:
            held = load_file(self._files[tap, number])[_NAME]
        return held.float()

    def _place(self) -> Path:
        if self._folder is not None:
            return self._folder
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="imc-features-")
        return Path(self._temporary.name)
