"""Reading rows one at a time: what is usable becomes an item, what is not is listed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imc_bench.errors import DataRefused
from imc_bench.items import BadRow, BenchItem
from imc_core.errors import IMCError

Row = Mapping[str, object]

YES_NO = ("yes", "no")


class RowRefused(IMCError):
    """One row that cannot be used; the message becomes its `BadRow.why`."""


@dataclass
class Collected:
    """Items and bad rows, gathered in the order of the file."""

    items: list[BenchItem] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)

    def refuse(self, where: str, why: str) -> None:
        """List a row that is left out."""
        self.bad_rows.append(BadRow(where, why))


def text_of(row: Row, name: str) -> str:
    """A field that must hold words, without blanks at its ends.

    Raises:
        RowRefused: the field is missing, empty or not text.
    """
    value = row.get(name)
    if not isinstance(value, str):
        raise RowRefused(f"{name} is {_kind(value)}, not text")
    if not value.strip():
        raise RowRefused(f"{name} is empty")
    return " ".join(value.split())


def answer_of(row: Row, name: str = "answer") -> str:
    """An answer: text, or a number written as one (VQA-RAD holds five integers).

    Raises:
        RowRefused: the answer is missing, empty, or neither text nor a number.
    """
    value = row.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(row, name)


def label_of(row: Row, name: str, default: str = "other") -> str:
    """A label for grouping: lower-case; the first of several; `default` where there is none."""
    value = row.get(name)
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or not str(value).strip():
        return default
    return str(value).split(",")[0].strip().lower()


def closed_of(row: Row, name: str = "answer_type") -> bool:
    """Whether the row says CLOSED (any case, blanks ignored).

    Raises:
        RowRefused: it says neither OPEN nor CLOSED.
    """
    said = text_of(row, name).upper()
    if said not in ("OPEN", "CLOSED"):
        raise RowRefused(f"{name} is neither OPEN nor CLOSED")
    return said == "CLOSED"


def identifier_of(row: Row, name: str) -> str:
    """An identifier, text or integer, as text.

    Raises:
        RowRefused: the field is missing or something else.
    """
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(row, name)


def is_yes_no(answer: str) -> bool:
    """Whether an answer is yes or no: closed, in sets that do not say."""
    return answer.lower() in YES_NO


def image_in(folder: Path, name: str) -> Path:
    """The path of image `name` under `folder`.

    Raises:
        RowRefused: the name leads out of the folder.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise RowRefused("the image name leads out of the data folder")
    return folder / name


def json_rows(file: Path) -> Iterator[tuple[str, Row]]:
    """(where, row) of a JSON file that holds a list of objects.

    Raises:
        DataRefused: the file cannot be read, is not JSON, or holds something else.
        RowRefused: never; a row that is no object is yielded empty and its fields refuse it.
    """
    rows = parse_json(file)
    if not isinstance(rows, list):
        raise DataRefused(f"{file.name}: expected a JSON list of rows, got {_kind(rows)}")
    yield from named_rows(file.name, rows)


def named_rows(name: str, rows: Iterable[object]) -> Iterator[tuple[str, Row]]:
    """(where, row), counted from 1 as an editor shows a list; no object gives an empty row."""
    for number, row in enumerate(rows, start=1):
        yield f"{name} row {number}", row if isinstance(row, Mapping) else {}


def parse_json(file: Path) -> object:
    """The content of a JSON file (UTF-8, with or without a byte order mark).

    Raises:
        DataRefused: it cannot be read or is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataRefused(f"{file.name} cannot be read: {error.strerror}") from error
    except ValueError as error:  # broken JSON, or bytes that are not UTF-8
        raise DataRefused(
            f"{file.name} is not JSON in UTF-8 ({type(error).__name__}); fetch it again"
        ) from error


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
