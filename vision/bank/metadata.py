"""What a file of fitted parts says of itself, checked field by field."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from vision.report import CLEAN

__all__ = [
    "ClassPairs",
    "Name",
    "NoisyPairs",
    "Share",
    "StoredHeader",
    "checked_pairs",
    "fits_acquisition",
    "stored_fingerprint",
    "stored_format",
]

_KEY = "imc"
"""Key of the JSON text among a safetensors file's metadata."""
_MOST_TEXT = 4_000_000
"""Characters of that text."""
_MOST_CLASSES = 10_000

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
"""Of a noise or a tap: ASCII without blanks."""
Share = Annotated[float, Field(allow_inf_nan=False)]


class StoredHeader(BaseModel):
    """What a file of fitted parts says of itself, kept as JSON in its header."""

    model_config = ConfigDict(frozen=True, strict=True)

    def to_header(self) -> dict[str, str]:
        """As metadata of a safetensors file; without what is at its default of nothing."""
        unset = {name for name in ("blocks",) if not getattr(self, name, None)}
        return {_KEY: json.dumps(self.model_dump(exclude=unset), sort_keys=True)}

    @staticmethod
    def format_of(header: dict[str, str] | None) -> object:
        """The format that a header names; None where it describes no such file."""
        held = _read(header)
        return held.get("format") if isinstance(held, dict) else None

    @classmethod
    def from_header(cls, header: dict[str, str] | None) -> Self:
        """Read and check. Raises ValueError naming the field that is wrong, not its value."""
        try:
            return cls.model_validate(_read(header))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            why = str(first["msg"]).removeprefix("Value error, ")
            raise ValueError(f"{where}: {why}" if where else why) from None


Pair = Annotated[list[Name | int], Field(min_length=2, max_length=2)]
"""[kind, severity]."""
ClassPairs = Annotated[list[Pair], Field(min_length=2, max_length=_MOST_CLASSES)]
"""Clean first with severity 0."""
NoisyPairs = Annotated[list[Pair], Field(max_length=_MOST_CLASSES)]
"""Without clean."""


def checked_pairs(classes: list[list[str | int]]) -> tuple[tuple[str, int], ...]:
    """Every class as (kind, severity). Raises ValueError where they are no such list."""
    for kind, severity in classes:
        if not isinstance(kind, str) or not isinstance(severity, int) or severity > 6:
            raise ValueError("classes are pairs of a kind and a severity")
    pairs = tuple((str(kind), int(severity)) for kind, severity in classes)
    if pairs[0] != (CLEAN, 0) or any(severity < 1 for _, severity in pairs[1:]):
        raise ValueError("its classes do not begin with clean, or another has no severity")
    if len(set(pairs)) != len(pairs):
        raise ValueError("its classes repeat")
    return pairs


def stored_format(path: Path) -> object:
    """The format that a file names; None where it is no such file."""
    return _stored(path, "format")


def stored_fingerprint(path: Path) -> str | None:
    """The fingerprint of the model that a file is for; None where it states none."""
    found = _stored(path, "fingerprint")
    return found if isinstance(found, str) else None


def fits_acquisition(path: Path, digest: str) -> bool:
    """Whether a model half was built beside this acquisition half, or beside none.

    True where the file does not say: what is wrong with it is said when it is loaded.
    """
    return _stored(path, "acquisition") in (None, "", digest)


def _stored(path: Path, name: str) -> object:
    try:
        with safe_open(path, framework="pt") as stored:
            held = _read(stored.metadata())
    except (SafetensorError, OSError, ValueError):
        return None
    return held.get(name) if isinstance(held, dict) else None


def _read(header: dict[str, str] | None) -> object:
    text = (header or {}).get(_KEY, "null")
    if len(text) > _MOST_TEXT:
        raise ValueError("its description is too long")
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("its description is nested too deeply") from None


def _refuse(_: str) -> float:
    return math.nan  # refused by the field that holds it, with its name
