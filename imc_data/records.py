"""The fields of one record, checked: what is usable becomes an item, what is not is listed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from imc_data.errors import DataRefused, RecordRefused

Record = Mapping[str, object]
"""Values by field name."""

YES_NO = ("yes", "no")


def text_of(record: Record, name: str) -> str:
    """A field that must hold words, without blanks at its ends.

    Raises:
        RecordRefused: the field is missing, empty or not text.
    """
    value = record.get(name)
    if not isinstance(value, str):
        raise RecordRefused(f"{name} is {_kind(value)}, not text")
    if not value.strip():
        raise RecordRefused(f"{name} is empty")
    if any("\ud800" <= c <= "\udfff" for c in value):  # JSON can write half a surrogate pair
        raise RecordRefused(f"{name} holds half a character")
    return " ".join(value.split())


def optional_text(record: Record, name: str) -> str | None:
    """A field that may be missing or empty: its text without blanks at its ends, or None."""
    value = record.get(name)
    return value.strip() or None if isinstance(value, str) else None


def answer_of(record: Record, name: str = "answer") -> str:
    """An answer: text, or a number written as one (VQA-RAD holds five integers).

    Raises:
        RecordRefused: the answer is missing, empty, or neither text nor a number.
    """
    value = record.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(record, name)


def label_of(record: Record, name: str, default: str = "other") -> str:
    """A label for grouping: lower-case; the first of several; `default` where there is none."""
    value = record.get(name)
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or not str(value).strip():
        return default
    return str(value).split(",")[0].strip().lower()


def closed_of(record: Record, name: str = "answer_type") -> bool:
    """Whether the record says CLOSED (any case, blanks ignored).

    Raises:
        RecordRefused: it says neither OPEN nor CLOSED.
    """
    kind = text_of(record, name).upper()
    if kind not in ("OPEN", "CLOSED"):
        raise RecordRefused(f"{name} is neither OPEN nor CLOSED")
    return kind == "CLOSED"


def identifier_of(record: Record, name: str) -> str:
    """An identifier, text or integer, as text.

    Raises:
        RecordRefused: the field is missing or something else.
    """
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(record, name)


def is_yes_no(answer: str) -> bool:
    """Whether an answer is yes or no: closed, in sets that do not say."""
    return answer.lower() in YES_NO


def image_in(folder: Path, name: str) -> Path:
    """The path of image `name` under `folder`.

    Raises:
        RecordRefused: the name leads out of the folder.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise RecordRefused("the image name leads out of the data folder")
    return folder / name


def json_records(file: Path) -> Iterator[tuple[str, Record]]:
    """(where, record) of a JSON file that holds a list of objects.

    Raises:
        DataRefused: the file cannot be read, is not JSON, or holds something else.
        RecordRefused: never; a row that is no object gives an empty record, whose fields refuse it.
    """
    rows = parse_json(file)
    if not isinstance(rows, list):
        raise DataRefused(f"{file.name}: expected a JSON list of rows, got {_kind(rows)}")
    yield from named_records(file.name, rows)


def named_records(name: str, rows: Iterable[object]) -> Iterator[tuple[str, Record]]:
    """(where, record), counted from 1; a row that is no object gives an empty record."""
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
