"""The rows of `imc ask --batch FILE`: an image and a question each, as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imc_app.refusals import InputRefused

DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *LINES)
FORMATS = "a name that ends in .csv, .tsv or .jsonl"


@dataclass(frozen=True)
class BatchRow:
    """One row as it was written; `why` says what it lacks."""

    number: int
    """Of the row, from 1: the header of a CSV file is none, and so is an empty line."""
    id: str
    """The row's own name; empty where it has none."""
    image: str
    """Path, as written: relative to the folder of the file."""
    question: str
    why: str = ""
    """Why it cannot be asked; empty where it can."""


def read_rows(file: Path, content: bytes) -> list[BatchRow]:
    """Every row of a CSV file with the columns image, question and perhaps id, or of JSON lines
    with these keys; other columns are left out.

    Raises InputRefused for another format, for a CSV file without these columns, and for no row.
    """
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputRefused(f"--batch {file}: neither CSV nor JSON lines; give {FORMATS}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputRefused(f"--batch {file}: not UTF-8; save it as UTF-8 text") from None
    found = _json_rows(text) if suffix in LINES else _csv_rows(file, text, DELIMITERS[suffix])
    rows = [_row(number, values) for number, values in enumerate(found, start=1)]
    if not rows:
        raise InputRefused(f"--batch {file}: holds no row; write one for each question")
    return rows


def _csv_rows(file: Path, text: str, delimiters: str) -> Iterator[Mapping[str, Any] | str]:
    header = text.partition("\n")[0]
    delimiter = max(delimiters, key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [str(name).strip().lower() for name in reader.fieldnames or ()]
        missing = [name for name in ("image", "question") if name not in names]
        if missing:
            raise InputRefused(
                f"--batch {file}: has no column {' and no column '.join(missing)}; its first line "
                "names the columns: image,question and perhaps id"
            )
        reader.fieldnames = names
        yield from reader
    except csv.Error as error:
        raise InputRefused(
            f"--batch {file}: line {reader.line_num} is not CSV ({error}); save it again as CSV"
        ) from error


def _json_rows(text: str) -> Iterator[Mapping[str, Any] | str]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            yield "not JSON; write one object on each line"
            continue
        yield values if isinstance(values, dict) else "no JSON object; write one on each line"


def _row(number: int, values: Mapping[str, Any] | str) -> BatchRow:
    if isinstance(values, str):
        return BatchRow(number, "", "", "", values)
    image, question = values.get("image"), values.get("question")
    name = values.get("id")
    row = BatchRow(
        number,
        "" if name is None else str(name),
        image.strip() if isinstance(image, str) else "",
        question if isinstance(question, str) else "",
    )
    missing = [key for key in ("image", "question") if not getattr(row, key).strip()]
    if not missing:
        return row
    why = f"has no {' and no '.join(missing)}; write a path under image and text under question"
    return BatchRow(number, row.id, row.image, row.question, why)
