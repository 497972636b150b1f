"""Local HuggingFace copies: parquet files, or the arrow files of `save_to_disk`.

Needs pyarrow, which is asked for only when such a file is met.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from imc_data.errors import DataRefused
from imc_data.items import ReadItems, VQAItem
from imc_data.records import (
    Record,
    answer_of,
    is_yes_no,
    text_of,
)

COLUMNS = ("image", "question", "answer")


@dataclass(frozen=True)
class TableSource:
    """An image inside a HuggingFace table: file, batch (row group) and row in that batch."""

    file: Path
    batch: int
    row: int

    def content(self) -> bytes:
        """The encoded image.

        Raises:
            DataRefused: pyarrow is missing, or the file is damaged.
        """
        cells = _cached_rows(self.file, self.batch)[self.row]
        return cell_bytes(cells.get("image"), self.file.name)


def find_files(folder: Path, split: str) -> list[Path]:
    """Files of `split`, in order: `[data/]SPLIT-*.parquet` or `SPLIT/data-*.arrow`."""
    patterns = (
        f"{split}-*.parquet",
        f"{split}.parquet",
        f"data/{split}-*.parquet",
        f"{split}/*.parquet",
        f"{split}/data-*.arrow",
    )
    for pattern in patterns:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def read(files: list[Path], split: str) -> ReadItems:
    """Items of tables with image, question and answer; images are grouped by their bytes.

    Yes and no are the closed answers: the mirrors publish no answer type. One batch of the table
    is in memory at a time.

    Raises:
        DataRefused: pyarrow is missing, or a file is damaged or lacks a column.
    """
    found = ReadItems()
    number = 0
    for file in files:
        table = _TableFile(file)
        for batch in range(table.batches):
            for row, cells in enumerate(table.rows(batch)):
                try:
                    source = TableSource(file, batch, row)
                    found.items.append(_item(cells, source, f"{split}-{number}"))
                except DataRefused as why:
                    found.refuse(f"{file.name} row {number + 1}", str(why))
                number += 1
    return found


def _item(cells: Record, source: TableSource, item_id: str) -> VQAItem:
    answer = answer_of(cells)
    closed = is_yes_no(answer)
    picture = cell_bytes(cells.get("image"), source.file.name)
    return VQAItem(
        item_id=item_id,
        image=source,
        image_group=hashlib.sha256(picture).hexdigest()[:16],
        question=text_of(cells, "question"),
        answer=answer,
        closed=closed,
        topic="yes/no" if closed else "open",
    )


def cell_bytes(cell: object, where: str) -> bytes:
    """The encoded file inside an image cell: raw bytes or HuggingFace's {"bytes", "path"}.

    Raises:
        DataRefused: the cell holds no file.
    """
    inside = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(inside, bytes) or not inside:
        raise DataRefused(
            f"{where}: an image cell holds no file; save the data set with its images embedded"
        )
    return inside


@lru_cache(maxsize=1)
def _cached_rows(file: Path, batch: int) -> list[Record]:
    """The batch read last: items are asked for in order, and a batch may hold a thousand rows."""
    return _TableFile(file).rows(batch)


class _TableFile:
    """One table file, opened: how many batches it holds, and each of them.

    Raises DataRefused where pyarrow is missing, or the file is damaged or lacks a column.
    """

    def __init__(self, file: Path) -> None:
        self._name = file.name
        self._parquet = file.suffix == ".parquet"
        arrow, reader = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
        with self._readable():
            if self._parquet:
                self._file: Any = reader.ParquetFile(file)
                self.batches = int(self._file.num_row_groups)
                names = self._file.schema_arrow.names
            else:
                # mapped, not read: only the pages of the batch in use are in memory
                table = arrow.ipc.open_stream(arrow.memory_map(str(file))).read_all()
                self._file = table.to_batches()
                self.batches = len(self._file)
                names = table.schema.names
        for name in COLUMNS:
            if name not in names:
                raise DataRefused(
                    f"{file.name} has no column {name!r}; it holds {', '.join(names)}"
                )

    def rows(self, batch: int) -> list[Record]:
        """All rows of one batch as plain values."""
        with self._readable():
            if self._parquet:
                table = self._file.read_row_group(batch, columns=list(COLUMNS))
            else:
                table = self._file[batch]
            rows: list[Record] = table.to_pylist()
        return rows

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
            raise DataRefused(
                f"{self._name} is no readable table ({type(error).__name__}); fetch it again"
            ) from error


def _pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataRefused(
            "reading parquet or arrow files needs pyarrow: pip install pyarrow"
        ) from error
