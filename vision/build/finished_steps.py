"""Results of the finished steps of a build, in a folder: a build that was stopped can resume.

One safetensors file per step and one JSON file that identifies the build; no other file is read or
written. Without a folder nothing is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from imc_core.files import WRITING, replace_file, replacing
from vision.errors import BankRefused

_ABOUT = "build.json"
_STEP = ".safetensors"


class FinishedSteps:
    """Results of steps by name; a file is renamed into place when it is complete."""

    def __init__(self, folder: Path | None, of: Mapping[str, object]) -> None:
        """Open `folder`, or make it.

        Args:
            folder: where results are stored; None: nowhere.
            of: identity of the build in plain JSON values; another build's results are refused.

        Raises BankRefused where the folder is another build's, damaged or cannot be made.
        """
        self.folder = folder
        if folder is None:
            return
        about = folder / _ABOUT
        try:
            if about.is_file():
                known = json.loads(about.read_text(encoding="utf-8"))
                if known != json.loads(json.dumps(of)):
                    raise BankRefused(
                        f"{folder.name!r} holds an unfinished build of another model, other images "
                        "or other settings: repeat that one, or remove the folder"
                    )
                return
            folder.mkdir(exist_ok=True)
            # a build that was killed while it wrote the first file may have left half of that
            if any(file.name != about.name + WRITING for file in folder.iterdir()):
                raise BankRefused(
                    f"{folder.name!r} holds files that are no unfinished build: move them, or name "
                    "another output"
                )
            replace_file(about, json.dumps(of, sort_keys=True))
        except (OSError, ValueError, RecursionError) as problem:
            if isinstance(problem, BankRefused):
                raise
            raise BankRefused(
                f"{folder.name!r}, for an unfinished build, cannot be used "
                f"({type(problem).__name__}): remove it, or name another output"
            ) from problem

    def has(self, step: str) -> bool:
        """Whether a step was finished."""
        return self.folder is not None and self._file(self.folder, step).is_file()

    def load(self, step: str) -> dict[str, Tensor] | None:
        """A finished step's result; None where it is not finished.

        Raises BankRefused where its file is damaged.
        """
        if self.folder is None or not self.has(step):
            return None
        try:
            known: dict[str, Tensor] = load_file(self._file(self.folder, step))
        except (SafetensorError, OSError) as problem:
            raise BankRefused(
                f"{self.folder.name!r}, an unfinished build, is damaged at the step {step!r}: "
                "remove the folder"
            ) from problem
        return known

    def save(self, step: str, result: Mapping[str, Tensor]) -> None:
        """Store a finished step's result.

        Raises BankRefused where it cannot be written; the steps before it stay.
        """
        if self.folder is None:
            return
        # cloned: safetensors takes no two tensors that share their memory
        tensors = {name: one.clone().contiguous() for name, one in result.items()}
        try:
            with replacing(self._file(self.folder, step)) as writing:
                save_file(tensors, writing)
        except (OSError, SafetensorError) as problem:
            why = getattr(problem, "strerror", None) or str(problem).partition("\n")[0][:120]
            raise BankRefused(
                f"{self.folder.name!r}, an unfinished build, cannot be written ({why}): free some "
                "space and run the same command again, it goes on where it was"
            ) from problem

    def remove(self, step: str) -> None:
        """Remove a step's result, if there is one."""
        if self.folder is not None:
            self._file(self.folder, step).unlink(missing_ok=True)

    @staticmethod
    def _file(folder: Path, step: str) -> Path:
        return folder / f"{step.replace(' ', '-')}{_STEP}"


def remove_steps(folder: Path) -> None:
    """Remove the folder of a completed build with the files of this module; no other file."""
    if not (folder / _ABOUT).is_file():
        return
    for file in folder.iterdir():
        if file.name == _ABOUT or file.suffix in (_STEP, WRITING):
            file.unlink()
    folder.rmdir()
