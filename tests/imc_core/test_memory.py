"""Batches that do not fit into memory are halved, and the size that fits is remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from imc_core.memory import MemoryBound, OutOfMemory, flattened, is_out_of_memory


class Machine:
    """Squares numbers, as many at once as its memory holds."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.tried: list[int] = []

    def squares(self, items: Sequence[int]) -> list[int]:
        self.tried.append(len(items))
        if len(items) > self.holds:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [item * item for item in items]


def test_a_batch_that_does_not_fit_is_halved_and_goes_on() -> None:
    machine, bound, freed = Machine(3), None, []
    bound = MemoryBound(lambda: freed.append(1))
    found = [*flattened(bound.run(range(10), machine.squares))]
    assert found == [n * n for n in range(10)]
    assert machine.tried == [10, 5, 3, 3, 3, 1]
    assert freed == [1, 1]


def test_the_size_that_fitted_is_remembered() -> None:
    machine, bound = Machine(3), MemoryBound()
    [*bound.run(range(10), machine.squares)]
    machine.tried.clear()
    [*bound.run(range(7), machine.squares)]
    assert machine.tried == [3, 3, 1]


def test_sizes_may_count_what_items_take() -> None:
    bound = MemoryBound()
    bound.fits = 10
    parts = [list(part) for part, _ in bound.run([4, 4, 4, 20, 1], len, size=sum)]
    assert parts == [[4, 4], [4], [20], [1]]  # one item is always tried


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemory) as raised:
        [*MemoryBound().run([1], Machine(0).squares)]
    assert "CUDA" in str(raised.value.__cause__)


def test_one_item_is_tried_once_more_where_something_was_held() -> None:
    machine = Machine(0)

    def free() -> bool:
        machine.holds = 1
        return True

    assert [*flattened(MemoryBound(free).run([3], machine.squares))] == [9]
    assert machine.tried == [1, 1]


@pytest.mark.parametrize(("held", "tries"), [(True, 2), (False, 1)])
def test_one_item_is_not_tried_for_ever(held: bool, tries: int) -> None:
    machine = Machine(0)
    with pytest.raises(OutOfMemory):
        list(MemoryBound(lambda: held).run([3], machine.squares))
    assert machine.tried == [1] * tries


def test_other_errors_are_raised_as_they_are() -> None:
    def broken(_: Sequence[int]) -> None:
        raise RuntimeError("shapes do not agree")

    with pytest.raises(RuntimeError, match="shapes"):
        [*MemoryBound().run([1, 2], broken)]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("expected scalar type Half"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_shortage_is_recognised(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one
