"""What is wrong with a result store that was damaged or edited, in a few words each."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Set
from contextlib import closing
from functools import cache
from typing import Any

from imc_bench.store.schema import ROW_COLUMNS, TABLES

__all__ = ["columns_of_tables", "facts_damage", "row_damage", "schema_damage"]

_FACTS: Mapping[str, type] = {
    "run_key": str,
    "arguments": dict,
    "versions": dict,
    "model": dict,
    "created": str,
    "machine": str,
    "command": str,
    "expected": int,
    "bad_rows": list,
}
"""What the table `run` holds beside the schema, with its types."""
_ARGUMENTS: Mapping[str, type] = {
    "data_set": str,
    "split": str,
    "conditions": list,
    "methods": list,
    "noise_at": str,
    "seed": int,
}
_MODEL: Mapping[str, type] = {"name": str, "fingerprint": str}

_TEXTS = frozenset(
    "run_key dataset split item_id image image_group topic image_noise text_noise noise_at method "
    "prediction answer perceived_kind".split()
)
_OPTIONAL = frozenset(["clean_p_value", "question_asked"])


@cache
def columns_of_tables() -> Mapping[str, frozenset[str]]:
    """The columns of every table of this schema."""
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(TABLES)
        named = empty.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in named.fetchall()]
        return {
            table: frozenset(
                name for (name,) in empty.execute("SELECT name FROM pragma_table_info(?)", [table])
            )
            for table in tables
        }


def schema_damage(found: Mapping[str, Set[str]]) -> str:
    """Which table or column is missing; empty where none is.

    Args:
        found: the columns of a store by table.
    """
    for table, columns in columns_of_tables().items():
        missing = sorted(columns - found.get(table, frozenset()))
        if missing:
            return f"its table {table} lacks {missing[0]!r}"
    return ""


def facts_damage(facts: Mapping[str, Any]) -> str:
    """Which fact of a run is missing or of a wrong type; empty where none is."""
    wrong = _wrong(facts, _FACTS)
    if wrong:
        return f"its table run has no valid {wrong!r}"
    for part, types in (("arguments", _ARGUMENTS), ("model", _MODEL)):
        wrong = _wrong(facts[part], types)
        if wrong:
            return f"its table run has no valid {wrong!r} in {part!r}"
    return ""


def row_damage(row: Mapping[str, Any]) -> str:
    """Which column of a row holds a value of a wrong type; empty where none does."""
    for name in ROW_COLUMNS:
        value = row[name]
        if name in _OPTIONAL and value is None:
            continue
        wanted = str if name in _TEXTS or name == "question_asked" else int | float
        if not isinstance(value, wanted):
            return f"{name!r} of a row holds {type(value).__name__}"
    return ""


def _wrong(held: Mapping[str, Any], types: Mapping[str, type]) -> str:
    """The first name whose value is missing or of another type."""
    return next(
        (
            name
            for name, wanted in types.items()
            if not isinstance(held.get(name), wanted) or isinstance(held.get(name), bool)
        ),
        "",
    )
