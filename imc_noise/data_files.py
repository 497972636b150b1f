"""The room's own data files (package data under `data/`), read once when first needed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def read_table(name: str) -> tuple[tuple[str, ...], ...]:
    """The rows of `data/<name>`: tab-separated fields; blank lines and `#` comments skipped."""
    text = (files("imc_noise") / "data" / name).read_text(encoding="utf-8")
    return tuple(
        tuple(line.split("\t")) for line in text.splitlines() if line.strip() and line[0] != "#"
    )
