"""Noises and methods of one's own, from a Python file that is named on the command line.

The file is run once in each process and registers what it has by
`imc_bench.noises.register_noise` and `imc_bench.methods.register`; what it imports must be
installed. Nothing is looked for: only files that a person names are run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from imc_bench.conditions import RunRefused
from imc_bench.errors import NoiseRefused, PluginRefused
from imc_core.errors import where_raised

_LOADED: dict[Path, str] = {}
"""Digest of each file that this process has run."""


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
        source = file.read_bytes()
    except OSError as error:
        raise PluginRefused(f"plug-in {str(file)!r}: {error.strerror or error}") from error
    digest, place = hashlib.sha256(source).hexdigest()[:16], file.resolve()
    if place in _LOADED:
        if _LOADED[place] != digest:
            raise PluginRefused(
                f"plug-in {file.name!r} has changed since this process ran it; start anew"
            )
        return digest
    _run(file, place, f"imc_plugin_{digest}")
    _LOADED[place] = digest
    return digest


def _run(file: Path, place: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:  # cannot be, for a file that ends in .py
        raise PluginRefused(f"plug-in {str(file)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickles of worker processes look their module up by its name
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (NoiseRefused, RunRefused) as error:
        del sys.modules[name]
        raise PluginRefused(f"plug-in {file.name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginRefused(
            f"plug-in {file.name!r} cannot be run: {where_raised(error)}"
        ) from error
