"""The public data sets and a user's own, read into checked items; answers matched strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_data.clean_images import clean_origins
    from imc_data.errors import DataRefused
    from imc_data.items import LoadedSet, VQAItem
    from imc_data.own_files import read_csv, read_jsonl
    from imc_data.strict_match import is_right, normalise_answer

__all__ = [
    "DataRefused",
    "LoadedSet",
    "VQAItem",
    "clean_origins",
    "is_right",
    "normalise_answer",
    "read_csv",
    "read_jsonl",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_data.clean_images": ("clean_origins",),
        "imc_data.errors": ("DataRefused",),
        "imc_data.items": ("LoadedSet", "VQAItem"),
        "imc_data.own_files": ("read_csv", "read_jsonl"),
        "imc_data.strict_match": ("is_right", "normalise_answer"),
    },
)
