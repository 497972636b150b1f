"""Plug-ins: Python files of a user's own that register noises and methods.

A file is run once in each process, when a person names it; nothing is searched for. What it
imports must be installed. A file that fails leaves nothing registered.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from imc_core.errors import IMCError, where_raised

__all__ = ["OwnEntries", "PluginRefused", "load_plugins"]

T = TypeVar("T")

_TABLES: list[OwnEntries[Any]] = []
_LOADED: dict[Path, str] = {}
"""Digest of each file that this process has run."""


class PluginRefused(IMCError):
    """A plug-in that cannot be run, or that registers what cannot be used."""


class OwnEntries(dict[str, T]):
    """What plug-ins and programs have registered in this process, by name."""

    def __init__(self) -> None:
        super().__init__()
        _TABLES.append(self)


def load_plugins(files: Iterable[Path]) -> dict[str, str]:
    """Run each file once in this process; SHA-256 (16 digits) by file name.

    Raises:
        PluginRefused: a file cannot be read or run, has changed since this process ran it, or two
            files have one name.
    """
    digests: dict[str, str] = {}
    for file in files:
        if digests.setdefault(file.name, made := _load(file)) != made:
            raise PluginRefused(f"two plug-ins are called {file.name!r}; rename one of them")
    return digests


def _load(file: Path) -> str:
    if file.suffix != ".py":
        raise PluginRefused(f"plug-in {str(file)!r}: give a Python file, whose name ends in .py")
    try:
        source, place = file.read_bytes(), file.resolve()
    except OSError as error:
        raise PluginRefused(f"plug-in {str(file)!r}: {error.strerror or error}") from error
    digest = hashlib.sha256(source).hexdigest()[:16]
    if place in _LOADED:
        if _LOADED[place] != digest:
            raise PluginRefused(
                f"plug-in {file.name!r} has changed since this process ran it; start anew"
            )
        return digest
    with _all_or_nothing():
        _run(file, place, f"imc_plugin_{digest}")
    _LOADED[place] = digest
    return digest


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Where the block fails, every table is as it was; one that was made in it is empty."""
    before = {id(table): dict(table) for table in _TABLES}
    try:
        yield
    except BaseException:
        for table in _TABLES:
            table.clear()
            table.update(before.get(id(table), {}))
        raise


def _run(file: Path, place: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:  # cannot be, for a file that ends in .py
        raise PluginRefused(f"plug-in {str(file)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickles of worker processes look their module up by its name
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, IMCError):
            where = where_raised(error, place).partition(" at ")[2]
            raise PluginRefused(f"plug-in {where or file.name}: {error}") from error
        if isinstance(error, Exception | SystemExit):
            raise PluginRefused(
                f"plug-in {file.name!r} cannot be run: {where_raised(error, place)}"
            ) from error
        raise
