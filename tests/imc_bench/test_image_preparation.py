"""A file is read once for all conditions of its chunk, and not held beyond it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphs.context import IMCContext
from imc_bench.conditions import make_conditions
from imc_bench.datasets import load_pixels
from imc_bench.methods import Tools, get_methods
from imc_bench.phantom_items import PhantomSource
from imc_bench.plan import CHUNK_IMAGES, Plan
from imc_bench.run import image_preparation
from imc_bench.run.image_preparation import ImagePreparer, PreparedImages
from imc_data.items import VQAItem
from vision.reading.medical_image import MedicalImage

CONDITIONS = make_conditions(["gaussian", "motion", "typo", "swapped"], [3])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The images that were read, one after the other."""
    log: list[object] = []

    def logged(item: VQAItem) -> MedicalImage:
        log.append(item.image)
        return load_pixels(item)

    monkeypatch.setattr(image_preparation, "load_pixels", logged)
    return log


def plan(images: int) -> Plan:
    items = [
        VQAItem(f"{n}", PhantomSource(0, n), f"{n}", "Is it?", "yes", True, "any")
        for n in range(images)
    ]
    return Plan(items, CONDITIONS, 0)


def shown(of: Plan, context: IMCContext, noise_at: str = "input") -> list[PreparedImages]:
    methods, tools = get_methods(["none"]), Tools(context)
    view = ImagePreparer(of, methods, tools, noise_at=noise_at, seed=0)
    return [view.prepare(of.unit(number), {}, lambda: None) for number in range(len(of))]


def keys(seen: list[PreparedImages]) -> list[list[str]]:
    """Names of what was shown, by unit."""
    return [[one.key for one in unit.values()] for unit in seen]


@pytest.mark.parametrize("noise_at", ["input", "native"])
def test_every_condition_corrupts_the_same_reading(
    bench_context: IMCContext, read: list[object], noise_at: str
) -> None:
    shown(plan(3), bench_context, noise_at)
    assert len(read) == len(set(read)) == 3


def test_a_chunk_is_let_go_with_its_last_condition(
    bench_context: IMCContext, read: list[object]
) -> None:
    two_chunks = plan(CHUNK_IMAGES + 2)
    view = ImagePreparer(
        two_chunks, get_methods(["none"]), Tools(bench_context), noise_at="input", seed=0
    )
    for number in range(len(two_chunks)):
        view.prepare(two_chunks.unit(number), {}, lambda: None)
    assert set(view._pixels) == {item.image for item in two_chunks.chunks[1]}


def test_pixels_beyond_the_bound_are_read_again_and_are_the_same(
    bench_context: IMCContext, read: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = keys(shown(plan(3), bench_context))
    del read[:]
    monkeypatch.setattr(image_preparation, "HELD_BYTES", 0)
    assert keys(shown(plan(3), bench_context)) == held
    assert len(read) > 3


def test_noise_does_not_reach_the_pixels_that_are_kept(bench_context: IMCContext) -> None:
    forwards = plan(3)
    backwards = replace_conditions(forwards)
    first = {
        str(unit): names
        for unit, names in zip(
            forwards.conditions, keys(shown(forwards, bench_context)), strict=True
        )
    }
    second = {
        str(unit): names
        for unit, names in zip(
            backwards.conditions, keys(shown(backwards, bench_context)), strict=True
        )
    }
    assert first == second


def replace_conditions(of: Plan) -> Plan:
    """The same items, their conditions in the other order."""
    return Plan([replace(item) for item in of.items], of.conditions[::-1], 0)
