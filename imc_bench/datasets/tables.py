"""Local HuggingFace copies: parquet files, or the arrow files of `save_to_disk`.

Needs pyarrow, which is asked for only when such a file is met.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from imc_bench.datasets.rows import (
    Collected,
    Row,
    RowRefused,
    answer_of,
    is_yes_no,
    text_of,
)
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem, TableSource, cell_bytes


def table_files(folder: Path, split: str) -> list[Path]:
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


def read(files: list[Path], split: str) -> Collected:
    """Items of tables with image, question and answer; images are grouped by their bytes.

    Yes and no are the closed answers: the mirrors publish no answer type. One batch of the table
    is in memory at a time.

    Raises:
        DataRefused: pyarrow is missing, or a file is damaged or lacks a column.
    """
    collected = Collected()
    number = 0
    for file in files:
        for batch in range(_opened(file).batches):
            for row, cells in enumerate(_rows(file, batch)):
                try:
                    source = TableSource(file, batch, row)
                    collected.items.append(_item(cells, source, f"{split}-{number}"))
                except (RowRefused, DataRefused) as why:
                    collected.refuse(f"{file.name} row {number + 1}", str(why))
                number += 1
    return collected


def _item(cells: Row, source: TableSource, item_id: str) -> BenchItem:
    answer = answer_of(cells)
    closed = is_yes_no(answer)
    picture = cell_bytes(cells.get("image"), source.file.name)
    return BenchItem(
        item_id=item_id,
        image=source,
        image_group=hashlib.sha256(picture).hexdigest()[:16],
        question=text_of(cells, "question"),
        answer=answer,
        closed=closed,
        topic="yes/no" if closed else "open",
    )


def table_row(source: TableSource) -> Row:
    """One row of a table, by its source.

    Raises:
        DataRefused: pyarrow is missing, or the file is damaged.
    """
    return _cached_rows(source.file, source.batch)[source.row]


@lru_cache(maxsize=1)
def _cached_rows(file: Path, batch: int) -> list[Row]:
    """The batch read last: items are asked for in order, and a batch may hold a thousand rows."""
    return list(_rows(file, batch))


class _Table:
    """One table file: how many batches it holds, and each of them."""

    def __init__(self, file: Path) -> None:
        self._parquet = file.suffix == ".parquet"
        if self._parquet:
            self._file: Any = _pyarrow("pyarrow.parquet").ParquetFile(file)
            self.batches = int(self._file.num_row_groups)
        else:
            with file.open("rb") as stream:
                self._file = _pyarrow("pyarrow.ipc").open_stream(stream).read_all().to_batches()
            self.batches = len(self._file)

    def rows(self, batch: int) -> list[dict[str, object]]:
        """All rows of one batch as plain values."""
        table = self._file.read_row_group(batch) if self._parquet else self._file[batch]
        rows: list[dict[str, object]] = table.to_pylist()
        return rows


def _opened(file: Path) -> _Table:
    try:
        return _Table(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        if isinstance(error, DataRefused):
            raise
        raise DataRefused(
            f"{file.name} is no readable table ({type(error).__name__}); fetch it again"
        ) from error


def _rows(file: Path, batch: int) -> Iterator[Row]:
    rows = _opened(file).rows(batch)
    for name in ("image", "question", "answer"):
        if rows and name not in rows[0]:
            raise DataRefused(f"{file.name} has no column {name!r}; it holds {', '.join(rows[0])}")
    yield from rows


def _pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataRefused(
            "reading parquet or arrow files needs pyarrow: pip install pyarrow"
        ) from error
