"""A run: the same rows in one go, killed and resumed, by two processes and in any batch."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphs.context import IMCContext
from imc_bench.conditions import Condition, RunRefused
from imc_bench.errors import StoreRefused
from imc_bench.phantom_items import PhantomSource
from imc_bench.plan import CHUNK_IMAGES, CHUNK_ITEMS, Plan
from imc_bench.run.session import RunRequest, check_request, open_run
from imc_bench.store.result_store import Store
from imc_data.items import VQAItem
from tests.conftest import REPOSITORY

REQUEST = RunRequest(
    "phantom", noises=("gaussian", "typo", "low_dose+typo"), severities=(3,), limit=12
)
COMMAND = (
    "bench run --dataset phantom --noises gaussian,typo,low_dose+typo --severities 3 --limit 12"
).split()

Rows = list[dict[str, Any]]


def measured(request: RunRequest, context: IMCContext, out: Path) -> Rows:
    runner, store = open_run(check_request(request), context, out)
    with store:
        assert runner.run(store).complete
        return rows_of(store)


def rows_of(store: Store) -> Rows:
    """All rows, less the time they took."""
    return [{k: v for k, v in row.items() if k != "ms"} for row in store.rows()]


@pytest.fixture(scope="module")
def unbroken(bench_context: IMCContext, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of a run in one go."""
    return measured(REQUEST, bench_context, tmp_path_factory.mktemp("whole") / "run.db")


def test_every_item_meets_every_condition_and_method_once(unbroken: Rows) -> None:
    assert len(unbroken) == 12 * 4 * 4
    assert {row["method"] for row in unbroken} == {"none", "pdc", "sms", "imc"}
    assert not any(row["question_asked"] for row in unbroken)
    clean = [row for row in unbroken if not row["image_noise"] and not row["text_noise"]]
    assert len(clean) == 12 * 4
    assert not any(row["question_noisy"] or row["cer_before"] for row in clean)


def test_methods_share_the_noise_and_touch_their_own_side_alone(unbroken: Rows) -> None:
    def cells(method: str, column: str) -> list[Any]:
        return [row[column] for row in unbroken if row["method"] == method]

    assert cells("none", "cer_before") == cells("imc", "cer_before")
    assert not any(cells("none", "touched") + cells("sms", "touched"))
    assert not any(cells("none", "question_edited") + cells("pdc", "question_edited"))
    assert any(cells("pdc", "touched")) and any(cells("sms", "question_edited"))
    assert cells("imc", "touched") == cells("pdc", "touched")
    assert not any(row["protected_violations"] for row in unbroken)


def test_an_image_keeps_its_name_whatever_noise_it_is_shown_with(unbroken: Rows) -> None:
    names: dict[str, set[str]] = {}
    for row in unbroken:
        names.setdefault(row["image_group"], set()).add(row["image"])
    assert {len(of_one) for of_one in names.values()} == {1}
    assert len(set.union(*names.values())) == len(names)


@pytest.mark.parametrize("batch", [1, 64])
def test_the_answers_are_the_same_in_any_batch(
    unbroken: Rows, bench_context: IMCContext, tmp_path: Path, batch: int
) -> None:
    again = measured(replace(REQUEST, batch=batch), bench_context, tmp_path / "run.db")
    # rounding differs with the shape of a batch, and so may a restored pixel by one grey level
    floats = ("confidence", "clean_p_value")
    for one, other in zip(unbroken, again, strict=True):
        for name in floats:
            assert one[name] == pytest.approx(other[name], abs=1e-3)
        assert {k: v for k, v in one.items() if k not in floats} == {
            k: v for k, v in other.items() if k not in floats
        }


def started(out: Path) -> subprocess.Popen[bytes]:
    """`imc bench run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "imc_app.cli", *COMMAND, "--out", str(out)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_units(process: subprocess.Popen[bytes], out: Path, units: int) -> None:
    while process.poll() is None and units_done(out) < units:
        time.sleep(0.05)


def units_done(out: Path) -> int:
    """None before there is a store."""
    try:
        with Store.read(out) as store:
            return store.progress().units_done
    except StoreRefused:
        return 0


@pytest.mark.slow
def test_a_killed_run_goes_on_and_two_processes_share_one(
    unbroken: Rows, bench_context: IMCContext, tmp_path: Path
) -> None:
    out = tmp_path / "run.db"
    first = started(out)
    wait_for_units(first, out, 1)
    time.sleep(random.uniform(0.0, 0.1))
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL  # it was at work
    with Store.read(out) as store:
        kept = store.progress().units_done
        assert kept >= 1

    second = started(out)  # joins while this process goes on
    try:
        assert measured(REQUEST, bench_context, out) == unbroken
        assert second.wait(timeout=60) == 0
    finally:
        second.kill()
    with Store.read(out) as store:
        assert rows_of(store) == unbroken


def test_a_broken_image_in_the_middle_leaves_its_items_out_and_nothing_else(
    bench_context: IMCContext, tmp_path: Path
) -> None:
    lines = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(
            f'{{"image": "{number}.png", "question": "Is there a lesion?", "answer": "no", '
            f'"answer_type": "closed", "group": "{number}"}}'
        )
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    request = RunRequest("jsonl", tmp_path, noises=("blank",), methods=("none", "sms"))
    runner, store = open_run(check_request(request), bench_context, tmp_path / "run.db")
    with store:
        progress = runner.run(store)
        assert progress.complete
        assert len({row["item_id"] for row in store.rows()}) == 2
        assert {one["image_noise"] for one in store.skipped()} == {"", "blank"}


def item(name: str, image: int) -> VQAItem:
    source = PhantomSource(0, image)
    return VQAItem(name, source, f"g{image}", "Is there a lesion?", "no", True, "presence")


def test_a_unit_is_bounded_and_keeps_an_images_questions_together() -> None:
    items = [item(f"{image}-{n}", image) for n in range(3) for image in range(40)]
    plan = Plan([*items, *(item(f"many-{n}", 99) for n in range(150))], [Condition()], 0)
    asked = [one for number in range(len(plan)) for one in plan.unit(number).items]
    assert sorted(one.item_id for one in asked) == sorted(one.item_id for one in plan.items)
    for number in range(len(plan)):
        unit = plan.unit(number)
        assert len(unit.items) <= CHUNK_ITEMS
        assert len({one.image for one in unit.items}) <= CHUNK_IMAGES + 1
    of_first = [
        n for n in range(len(plan)) if items[0].image in {i.image for i in plan.unit(n).items}
    ]
    assert len(of_first) == 1


def test_an_image_is_swapped_for_another_groups() -> None:
    items = [item(str(n), n) for n in range(9)]
    plan = Plan(items, [Condition("swapped")], 0)
    assert all(plan.swapped[one.image].image_group != one.image_group for one in items)
    with pytest.raises(RunRefused, match="two groups"):
        Plan(items[:1], [Condition("swapped")], 0)


def test_no_items_and_twice_the_same_are_refused() -> None:
    with pytest.raises(RunRefused, match="no items"):
        Plan([], [Condition()], 0)
    with pytest.raises(RunRefused, match="twice"):
        Plan([item("a", 0), item("a", 1)], [Condition()], 0)
