"""Which code is running: a digest of the source files of packages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PACKAGES", "program_digest", "sources_digest"]

PACKAGES = (
    "graphs",
    "imc_agents",
    "imc_bench",
    "imc_core",
    "imc_data",
    "imc_noise",
    "imc_reference",
    "prompts",
    "vision",
)
"""All that an answer of a run depends on; `imc_app` only asks for it."""
_TEXTS = frozenset([".py", ".tsv", ".txt", ".yaml"])
"""Endings of source files, tables and prompts; weights have digests of their own."""


def sources_digest(*packages: str, endings: Collection[str] = (".py", ".tsv")) -> str:
    """SHA-256 (64 hex digits) of every source file of these packages that are installed."""
    made = hashlib.sha256()
    for package in packages:
        found = find_spec(package)
        for folder in (found.submodule_search_locations or []) if found else []:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in endings and path.is_file():
                    made.update(path.read_bytes())
    return made.hexdigest()


@cache
def program_digest() -> str:
    """SHA-256 (16 hex digits) of this program: equal on machines that would do the same work."""
    return sources_digest(*PACKAGES, endings=_TEXTS)[:16]
