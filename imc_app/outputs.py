"""Where a command may write: checked before the work, so that no output destroys an input.

Every option that names an output (`--out`, `--plot`) is checked here. A file that is there is only
replaced where it is of the kind that the command writes and nothing that it reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from imc_app.refusals import InputRefused

__all__ = ["OutputKind", "check_output", "check_output_folder"]

_HEADER_LIMIT = 64_000_000
"""Bytes of a safetensors header that is looked into."""


class OutputKind(StrEnum):
    """What a command writes; the name is said in refusals."""

    PNG = "PNG picture"
    SVG = "SVG picture"
    BANK = "half of PDC"
    STORE = "result store"
    PAGE = "HTML page"
    TEXT = "text file"


_SUFFIXES = {OutputKind.PNG: ".png", OutputKind.SVG: ".svg", OutputKind.PAGE: ".html"}

_KEPT_BESIDE_INPUTS = (OutputKind.BANK, OutputKind.STORE)
"""A model half may lie in its model's folder, a store in that of its data: those are continued."""


def check_output(
    option: str, out: Path, kind: OutputKind, *, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse an output that cannot be written, or that would destroy what is there.

    Args:
        option: as typed, for the message: `--out`.
        out: the file to be written.
        kind: what will be written to it.
        inputs: files and folders that the command reads; None and what is no path are left out.

    Raises InputRefused: a folder, a device or another special file; no such folder, or one that
    cannot be written; an ending that is not the kind's; one of `inputs`, or a file in one of them;
    a file of another kind.
    """
    said = f"{option} {str(out)!r}"
    suffix = _SUFFIXES.get(kind)
    if suffix is not None and out.suffix.lower() != suffix:
        raise InputRefused(f"{said}: a {kind} is written: give a name that ends in {suffix}")
    try:
        if out.is_dir():
            raise InputRefused(f"{said}: it is a folder: give the name of a file in it")
        if not out.parent.is_dir():
            raise InputRefused(
                f"{said}: its folder does not exist: make it, or name a file in an existing folder"
            )
        there = os.path.lexists(out)
        if there and not out.is_file():
            what = "a link that leads nowhere" if out.is_symlink() else "a device or special file"
            raise InputRefused(f"{said}: it is {what}: name an ordinary file")
        if not os.access(out.parent, os.W_OK):
            raise InputRefused(f"{said}: its folder cannot be written: name a file in another one")
        if there:
            _check_replaced(said, out, kind, inputs)
    except (OSError, ValueError) as error:
        if isinstance(error, InputRefused):
            raise
        raise InputRefused(
            f"{said}: cannot be used ({_reason(error)}): name another file"
        ) from error


def check_output_folder(
    option: str, out: Path, *, inputs: Iterable[str | Path | None] = ()
) -> None:
    """The same for a folder of outputs, which need not exist yet.

    Raises InputRefused: a file; one of `inputs`; a model's folder.
    """
    said = f"{option} {str(out)!r}"
    try:
        if os.path.lexists(out) and not out.is_dir():
            raise InputRefused(f"{said}: it is a file: name a folder")
        if not out.is_dir():
            return
        for read in _paths(inputs):
            if read.is_dir() and os.path.samefile(out, read):
                raise InputRefused(f"{said}: it is read by this command: name another folder")
        if (out / "config.json").exists():
            raise InputRefused(f"{said}: it holds a model (config.json): name another folder")
    except (OSError, ValueError) as error:
        if isinstance(error, InputRefused):
            raise
        raise InputRefused(
            f"{said}: cannot be used ({_reason(error)}): name another folder"
        ) from error


def _check_replaced(
    said: str, out: Path, kind: OutputKind, inputs: Iterable[str | Path | None]
) -> None:
    """Refuse to replace an input, or a file of another kind."""
    real = out.resolve()
    for read in _paths(inputs):
        same = read.is_file() and os.path.samefile(out, read)
        own = kind in _KEPT_BESIDE_INPUTS and _is_kind(out, kind)
        if same or (read.is_dir() and real.is_relative_to(read.resolve()) and not own):
            raise InputRefused(
                f"{said}: it is read by this command and would be overwritten: name another file"
            )
    if not _is_kind(out, kind):
        raise InputRefused(
            f"{said}: a file that is no {kind} is there and would be overwritten: "
            "remove it, or name another file"
        )


def _paths(inputs: Iterable[str | Path | None]) -> list[Path]:
    return [Path(one) for one in inputs if one is not None and os.path.exists(one)]


def _is_kind(path: Path, kind: OutputKind) -> bool:
    """Whether an existing file is an earlier output of this kind; an empty one may be replaced."""
    with path.open("rb") as file:
        begin = file.read(16)
        if not begin:
            return True
        if kind is OutputKind.PNG:
            return begin.startswith(b"\x89PNG\r\n\x1a\n")
        if kind is OutputKind.SVG:
            return begin.startswith((b"<svg", b"<?xml"))
        if kind is OutputKind.PAGE:
            return begin.lower().startswith((b"<!doctype html", b"<html"))
        if kind is OutputKind.STORE:
            return begin.startswith(b"SQLite format 3\0")
        if kind is OutputKind.BANK:
            length = int.from_bytes(begin[:8], "little")
            file.seek(8)
            return length <= _HEADER_LIMIT and _names_a_bank(file.read(length))
    # a text file in a model's folder is the model's, but for the thresholds beside its bank
    a_models = (path.parent / "config.json").exists() and path.name != "questions.json"
    return b"\0" not in begin and not a_models


def _names_a_bank(header: bytes) -> bool:
    try:
        held = json.loads(header)
        return "imc" in held["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
