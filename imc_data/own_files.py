"""A user's own data: one JSON object a line with image, question, answer, answer_type, group."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from imc_bench.datasets.rows import (
    Collected,
    Row,
    RowRefused,
    answer_of,
    closed_of,
    identifier_of,
    is_yes_no,
    label_of,
    text_of,
)
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem

PUBLISHED = "nowhere: it is your own"
LAYOUT = (
    "one .jsonl file of lines like "
    '{"image": "a.png", "question": "...", "answer": "...", "answer_type": "OPEN", "group": "p1"}'
)


def read(source: Path, split: str) -> Collected:
    """Items of a `.jsonl` file, or of the only one in a folder (of `SPLIT.jsonl` with a split).

    Image paths are relative to the file's folder or absolute. Without `answer_type`, yes and no
    are closed; without `group`, the image is the group; without `id`, the id is a digest of image,
    question and answer, so that it survives edits elsewhere in the file.

    Raises:
        DataRefused: no such file, more than one, or bytes that are not UTF-8.
    """
    file = _file(source, split)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataRefused(
            f"{file.name} cannot be read as UTF-8 text ({type(error).__name__}); expected {LAYOUT}"
        ) from error
    collected = Collected()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            collected.items.append(_item(_parsed(line), file.parent))
        except RowRefused as why:
            collected.refuse(f"{file.name} line {number}", str(why))
    return collected


def _file(source: Path, split: str) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob(f"{split}.jsonl" if split else "*.jsonl"))
    if len(found) != 1:
        wanted = f"{split}.jsonl" if split else "one .jsonl file"
        raise DataRefused(
            f"jsonl: expected {wanted} in {str(source)!r}, found {len(found)}; give the file itself"
        )
    return found[0]


def _parsed(line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise RowRefused("not JSON") from error
    if not isinstance(row, dict):
        raise RowRefused(f"a JSON {type(row).__name__}, not an object")
    return row


def _item(row: Row, folder: Path) -> BenchItem:
    image, question, answer = text_of(row, "image"), text_of(row, "question"), answer_of(row)
    options = row.get("options") or ()
    if not isinstance(options, list | tuple) or not all(isinstance(o, str) for o in options):
        raise RowRefused("options is not a list of texts")
    digest = hashlib.sha256("\x1f".join((image, question, answer)).encode()).hexdigest()[:16]
    return BenchItem(
        item_id=identifier_of(row, "id") if "id" in row else digest,
        image=folder / image,
        image_group=identifier_of(row, "group") if "group" in row else image,
        question=question,
        answer=answer,
        closed=closed_of(row) if "answer_type" in row else is_yes_no(answer),
        topic=label_of(row, "topic"),
        options=tuple(options),
    )
