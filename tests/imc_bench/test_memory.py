"""A run holds one unit in memory, however many items it has."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from graphs.context import IMCContext
from imc_bench.methods import PDC, Method, PreparedImage, Tools, get_methods
from imc_bench.plan import CHUNK_ITEMS
from imc_bench.run.runner import Advance
from imc_bench.run.session import RunRequest, check_request, open_run
from imc_bench.store.units import RunProgress
from vision.reading.medical_image import MedicalImage

ITEMS = 256
"""Questions on about 40 phantoms: the features of all of them would take 4 MB."""
ALLOWED = 1_000_000
"""Bytes that a run may hold more at its end than after a third: what its bounded caches of question
texts gather, with room."""


@dataclass
class Held:
    """Bytes held between units, and the most that Python and NumPy held within one."""

    between: list[int] = field(default_factory=list)
    within: list[int] = field(default_factory=list)

    def note(self, progress: RunProgress) -> None:
        """After a unit; tensors are looked for only where they will be compared."""
        self.within.append(tracemalloc.get_traced_memory()[1])
        if progress.units_done * 3 >= progress.units * (len(self.between) + 1):
            gc.collect()
            self.between.append(tracemalloc.get_traced_memory()[0] + tensor_bytes())
        tracemalloc.reset_peak()

    @property
    def grown_between(self) -> int:
        """From the end of the first third to the end of the run."""
        return self.between[-1] - self.between[0]

    @property
    def grown_within(self) -> int:
        """From the first third's largest unit to the last third's."""
        third = len(self.within) // 3
        return max(self.within[-third:]) - max(self.within[:third])


def tensor_bytes() -> int:
    """Of all live tensors, each storage once: `tracemalloc` does not see them."""
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if type(one) in (torch.Tensor, torch.nn.Parameter)
    }
    return sum(storages.values())


class Hoarder(PDC):
    """A method that keeps everything it has seen."""

    name = image_side = "hoarder"

    def __init__(self) -> None:
        self.kept: list[PreparedImage] = []

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        seen = super().prepare_images(images, tools)
        self.kept += seen
        return seen


def held_by(methods: Sequence[Method], context: IMCContext, folder: Path) -> Held:
    """What a run of these methods holds, from unit to unit."""
    # the first unit pays for what is loaded once, the lexicon above all
    _run(methods, context, folder / "first.db", CHUNK_ITEMS, lambda progress: None)
    held = Held()
    tracemalloc.start()
    try:
        _run(methods, context, folder / "run.db", ITEMS, held.note)
    finally:
        tracemalloc.stop()
    return held


def _run(
    methods: Sequence[Method], context: IMCContext, out: Path, items: int, advance: Advance
) -> None:
    request = RunRequest("phantom", noises=("gaussian",), severities=(3,), limit=items)
    checked = replace(check_request(request), methods=tuple(methods))
    runner, store = open_run(checked, context, out)
    tracemalloc.reset_peak()  # reading the items and the bank is not the run
    with store:
        runner.run(store, advance)


@pytest.mark.slow
def test_a_run_holds_no_more_after_three_times_the_items(
    bench_context: IMCContext, tmp_path: Path
) -> None:
    held = held_by(get_methods(["none", "pdc", "sms"]), bench_context, tmp_path)
    assert held.grown_between < ALLOWED
    assert held.grown_within < ALLOWED


@pytest.mark.slow
def test_what_a_method_keeps_is_noticed(bench_context: IMCContext, tmp_path: Path) -> None:
    held = held_by([Hoarder()], bench_context, tmp_path)
    assert held.grown_between > ALLOWED
