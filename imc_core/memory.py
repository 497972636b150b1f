"""Batches that are divided when memory runs out, on a CPU or an accelerator."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["MemoryBound", "OutOfMemory", "flattened", "is_out_of_memory"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_SAID = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
)
"""What libraries say of it in a RuntimeError: PyTorch of CUDA, MPS and CPU, and cuBLAS."""


class OutOfMemory(Exception):
    """Not even one item fits; raised from the library's own error."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory for a computation could not be had."""
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _SAID)


class MemoryBound:
    """Runs items in batches; a batch that does not fit is halved, and its size remembered.

    Attributes:
        fits: largest size of a batch so far that is believed to fit; None: no batch has failed.
    """

    def __init__(self, free: Callable[[], object] | None = None) -> None:
        """Args:
        free: gives back what is cached or held, before a smaller batch is tried; where it says
            that something was held, one item that does not fit is tried again, once.
        """
        self.fits: int | None = None
        self._free = free or (lambda: False)

    def run(
        self,
        items: Sequence[Item],
        compute: Callable[[Sequence[Item]], Result],
        *,
        size: Callable[[Sequence[Item]], int] = len,
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Compute on `items`, all at once where that fits.

        Args:
            items: in order.
            compute: called with consecutive items; whatever it began is begun anew after a failure.
            size: of a batch, in proportion to the memory that it takes.

        Yields:
            The parts, in order, each with what `compute` returned for it.

        Raises:
            OutOfMemory: one item alone does not fit.
        """
        begin = 0
        while begin < len(items):
            part, again = self._part(items[begin:], size), True
            while True:
                failed = False
                try:
                    result = compute(part)
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if len(part) == 1:
                        if not again or not self._free():
                            raise OutOfMemory from error
                        again = False
                    failed = True
                if not failed:
                    break
                # outside of the handler: the error's frames hold the failed batch
                if len(part) > 1:
                    part = part[: (len(part) + 1) // 2]
                    self.fits = size(part)
                gc.collect()
                self._free()
            yield part, result
            begin += len(part)

    def _part(
        self, items: Sequence[Item], size: Callable[[Sequence[Item]], int]
    ) -> Sequence[Item]:
        """The first items, as many as are believed to fit, at least one."""
        if self.fits is None or size(items) <= self.fits:
            return items
        low, high = 1, len(items)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if size(items[:middle]) <= self.fits else (low, middle - 1)
        return items[:low]


def flattened(parts: Iterable[tuple[Sequence[Item], Sequence[Result]]]) -> Iterator[Result]:
    """What `MemoryBound.run` found for each item, where `compute` returns one result an item."""
    for _, results in parts:
        yield from results
