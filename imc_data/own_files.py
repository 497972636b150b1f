"""A user's own data: a JSON-lines or CSV file, one question about one image on each line or row.

One schema for both. Fields of a line, columns of a table:

    image        path of the image file, relative to the data file's folder or absolute
    question     text
    answer       text, or a number
    answer_type  OPEN or CLOSED; without it, answers yes and no are closed
    group        patient or study: items of one group are resampled together; default: the image
    options      answers to choose from: a JSON list, in CSV texts separated by |
    topic        label for tables by topic
    id           unique; default: a digest of image, question and answer

Only the first three are required. Other fields and columns are ignored.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from imc_data.errors import DataRefused, RecordRefused
from imc_data.items import ReadItems, VQAItem
from imc_data.records import (
    Record,
    answer_of,
    closed_of,
    identifier_of,
    is_yes_no,
    label_of,
    text_of,
)

PUBLISHED = "nowhere: it is your own"
REQUIRED = ("image", "question", "answer")
JSONL_LAYOUT = (
    "one .jsonl file of lines like "
    '{"image": "a.png", "question": "...", "answer": "...", "answer_type": "OPEN", "group": "p1"}'
)
CSV_LAYOUT = (
    "one .csv file with the header image,question,answer[,answer_type,group,options,topic,id] and "
    "options separated by |"
)
DELIMITERS = ",;\t"
"""Spreadsheets of other countries write semicolons; the one that splits the header is taken."""

Parsed = Iterator[tuple[str, Record | RecordRefused]]
"""(where, record, or why there is none) of each line or row."""


def read_jsonl(source: Path, split: str) -> ReadItems:
    """Items of a `.jsonl` file, or of the only one in a folder (of `SPLIT.jsonl` with a split).

    Raises:
        DataRefused: no such file, more than one, or bytes that are not UTF-8.
    """
    return _read(source, split, "jsonl", JSONL_LAYOUT, _json_lines)


def read_csv(source: Path, split: str) -> ReadItems:
    """Items of a `.csv` file (comma, semicolon or tab), or of the only one in a folder.

    Raises:
        DataRefused: no such file, more than one, bytes that are not UTF-8, no table, or a header
            that lacks a required column or names one twice.
    """
    return _read(source, split, "csv", CSV_LAYOUT, _csv_rows)


def _read(
    source: Path, split: str, ending: str, layout: str, parse: Callable[[str, str], Parsed]
) -> ReadItems:
    file = _file(source, split, ending)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataRefused(
            f"{file.name} cannot be read as UTF-8 text ({type(error).__name__}); expected {layout}"
        ) from error
    found = ReadItems()
    for where, record in parse(text, file.name):
        try:
            if isinstance(record, RecordRefused):
                raise record
            found.items.append(_item(record, file.parent))
        except RecordRefused as why:
            found.refuse(where, str(why))
    return found


def _file(source: Path, split: str, ending: str) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob(f"{split}.{ending}" if split else f"*.{ending}"))
    if len(found) != 1:
        wanted = f"{split}.{ending}" if split else f"one .{ending} file"
        raise DataRefused(
            f"{ending}: expected {wanted} in {str(source)!r}, found {len(found)}; give the file "
            "itself"
        )
    return found[0]


def _json_lines(text: str, name: str) -> Parsed:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name} line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield where, RecordRefused("not JSON")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            yield where, RecordRefused(f"a JSON {type(record).__name__}, not an object")


def _csv_rows(text: str, name: str) -> Parsed:
    header = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=lambda one: _columns_named(header, one))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [cell.strip().lower() for cell in next(rows, [])]
        missing = [column for column in REQUIRED if column not in columns]
        twice = sorted({one for one in columns if one and columns.count(one) > 1})
        if missing or twice:
            what = f"no column {missing[0]!r}" if missing else f"two columns {twice[0]!r}"
            raise DataRefused(f"{name}: the header has {what}; expected {CSV_LAYOUT}")
        for number, cells in enumerate(rows, start=2):
            if any(cell.strip() for cell in cells):
                yield f"{name} row {number}", _csv_record(columns, cells)
    except csv.Error as error:
        raise DataRefused(
            f"{name} is no CSV table at line {rows.line_num}: check its quotation marks; expected "
            f"{CSV_LAYOUT}"
        ) from error


def _columns_named(header: str, delimiter: str) -> int:
    return sum(cell.strip(' "\r').lower() in REQUIRED for cell in header.split(delimiter))


def _csv_record(columns: list[str], cells: list[str]) -> Record | RecordRefused:
    if len(cells) != len(columns):
        return RecordRefused(f"{len(cells)} cells where the header names {len(columns)} columns")
    record: dict[str, object] = dict(zip(columns, cells, strict=True))
    # an empty cell is a field that is not given, except where one is required
    for column, cell in zip(columns, cells, strict=True):
        if not cell.strip() and column not in REQUIRED:
            del record[column]
    if isinstance(options := record.get("options"), str):
        record["options"] = [one.strip() for one in options.split("|")]
    return record


def _item(record: Record, folder: Path) -> VQAItem:
    image, question = text_of(record, "image"), text_of(record, "question")
    answer = answer_of(record)
    if not (folder / image).is_file():
        raise RecordRefused(f"image {image!r} is not there")
    options = record.get("options") or ()
    if not isinstance(options, list | tuple) or not all(
        isinstance(one, str) and one.strip() for one in options
    ):
        raise RecordRefused("options is not a list of texts")
    digest = hashlib.sha256("\x1f".join((image, question, answer)).encode()).hexdigest()[:16]
    return VQAItem(
        item_id=identifier_of(record, "id") if "id" in record else digest,
        image=folder / image,
        image_group=identifier_of(record, "group") if "group" in record else image,
        question=question,
        answer=answer,
        closed=closed_of(record) if "answer_type" in record else is_yes_no(answer),
        topic=label_of(record, "topic"),
        options=tuple(options),
    )
