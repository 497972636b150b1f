"""The runs, by name, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.banks import SIZES
from ablations.cells import BETWEEN, CLEAN, EVERY, GRID, OFF_GRID, Cell, of_kind
from ablations.layer_fits import CASCADE, CONTEXT, layer_names
from ablations.retold import hard, never_gated, told_truth, told_wrong
from ablations.store import Told
from ablations.workshop import Workshop
from imc_noise import CORE_IMAGE
from vision.bank.prototype_bank import PrototypeBank
from vision.pdc import Calibrator

NONE, SHIPPED, USUAL, LAYERS = "none", "shipped bank", "usual bank", "layers"

TOLD = ("mean shift", f"{CONTEXT}, embed", CASCADE)
"""Feature-only maps that are also told the kind."""

Show = Callable[[Workshop, Cell], Told]


@dataclass(frozen=True)
class Run:
    """One way to answer, on some cells."""

    cells: tuple[Cell, ...]
    show: Show
    group: str
    """Runs of one group share costly things: they are left to one process."""


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    label: str
    runs: Mapping[Cell, str]
    """Which run answered each noisy cell."""
    clean: str
    """Which run answered clean images; `""`: not shown."""


@dataclass(frozen=True)
class Part:
    """One table."""

    letter: str
    title: str
    note: str
    lines: tuple[Line, ...]


def make_runs(taps: tuple[str, ...]) -> dict[str, Run]:
    """Every run by name, for a model that is calibrated at `taps`."""
    runs = {
        NONE: Run((*EVERY, *BETWEEN, *OFF_GRID), lambda shop, cell: shop.plain(cell), NONE),
        SHIPPED: Run((*EVERY, *OFF_GRID), _pdc(lambda shop: shop.shipped), SHIPPED),
        USUAL: Run((*EVERY, *BETWEEN), _pdc(lambda shop: shop.banks.usual()), USUAL),
    }
    for name in layer_names(taps):
        runs[name] = Run(EVERY, _layers(name, told=False), LAYERS)
    for name in TOLD:
        runs[f"{name}, told"] = Run(EVERY, _layers(name, told=True), LAYERS)
    runs["pixels only"] = Run(EVERY, _pdc(lambda shop: shop.shipped, features=False), "stages")
    runs["features only"] = Run(EVERY, _pdc(lambda shop: shop.shipped, pixels=False), "stages")
    runs["told"] = Run(EVERY, _retold(lambda shop: shop.shipped, told_truth), "perception")
    changes: dict[str, Callable[[PrototypeBank], PrototypeBank]] = {
        "wrong kind": told_wrong,
        "no gate": never_gated,
        "one class": hard,
    }
    for name, change in changes.items():
        changed = _retold(lambda shop: shop.shipped, _whatever(change))
        runs[name] = Run(EVERY, changed, "perception")
    runs["one round"] = Run(EVERY, _pdc(lambda shop: shop.shipped, max_rounds=1), "perception")
    for size in SIZES:
        runs[f"bank of {size}"] = Run(EVERY, _pdc(_sized(size)), f"bank of {size}")
    for kind in CORE_IMAGE:
        runs[f"without {kind}"] = Run(of_kind(kind), _pdc(_lacking(kind)), f"without {kind}")
    odd = _pdc(lambda shop: shop.banks.odd_severities())
    runs["severities 1, 3, 5"] = Run((CLEAN, *BETWEEN), odd, "severities")
    runs["VQA-RAD"] = Run(EVERY, _pdc(lambda shop: shop.banks.vqa_rad()), "VQA-RAD")
    runs["phantoms"] = Run(EVERY, _pdc(lambda shop: shop.banks.phantoms()), "phantoms")
    return runs


def make_parts(taps: tuple[str, ...], references: int, sizes: Sequence[int] = SIZES) -> list[Part]:
    """Every table, over the runs of `make_runs`; `references` is the usual bank's size, `sizes`
    are those, among `SIZES`, that stand beside it in part d."""
    nothing = _whole("nothing", NONE)
    usual = f"bank of {references} real images"
    family = [_whole(name, name) for name in layer_names(taps)]
    told = [_whole(f"{name}, kind told", f"{name}, told") for name in TOLD]
    return [
        Part(
            "a",
            "Feature-only maps",
            f"Fitted in closed form on the same {references} clean references, on draws of every "
            "class of the bank, and applied as they are; no pixel stage. One-layer maps stand at "
            f"{taps[-1]} unless a tap is named; the cascade has a ridge with context at every tap, "
            "each fitted on features that those before it have changed. Kind and severity are "
            "perceived, and gated, by a bank of the same references, or told.",
            (nothing, *family, *told),
        ),
        Part(
            "b",
            "Stages",
            "The bank in the model's folder. Its feature maps were fitted on restored pictures: "
            "alone they meet what they were not made for (part a has a cascade that was).",
            (
                nothing,
                _whole("pixels only", "pixels only"),
                _whole("features only", "features only"),
                _whole("both", SHIPPED),
            ),
        ),
        Part(
            "c",
            "Perception",
            "The bank in the model's folder, both stages. Told: kind and severity in the first "
            "round (two noises at half each, and clean images as clean). Wrong kind: every "
            "kind's probability goes to another (gaussian, low_dose, motion change places with "
            "ghosting, bias_field, low_contrast), in every round. No gate: nothing is taken for "
            "clean. One class: the likeliest alone instead of the posterior.",
            (
                nothing,
                _whole("as perceived", SHIPPED),
                _whole("kind and severity told", "told"),
                _whole("wrong kind on purpose", "wrong kind"),
                _whole("no gate", "no gate"),
                _whole("one class instead of the posterior", "one class"),
                _whole("one round", "one round"),
            ),
        ),
        Part(
            "d",
            "Size of the bank",
            "So many real references, each set part of the next; of the bank in the model's folder "
            "all that there are, and its phantoms. There are fewer than 1,024 distinct real images "
            "that no test shows.",
            (
                nothing,
                *(
                    _whole(f"{size}", _size_run(size, references))
                    for size in sorted({*sizes, references})
                ),
                _whole("all, and phantoms", SHIPPED),
            ),
        ),
        Part(
            "e",
            "A kind left out of the bank",
            f"The grid's two cells of that kind; {usual}. Left out: a bank without it, that still "
            "has the other five and those it knows coarsely.",
            tuple(line for kind in CORE_IMAGE for line in _left_out(kind))
            + (
                Line("all six, left out", {c: f"without {c.noises[0][0]}" for c in GRID}, ""),
                Line("all six, known", dict.fromkeys(GRID, USUAL), ""),
            ),
        ),
        Part(
            "f",
            "Severities that the bank lacks",
            f"At 2 and 4: {usual}; off the grid: the bank in the model's folder.",
            (
                Line("2 and 4, nothing", dict.fromkeys(BETWEEN, NONE), ""),
                Line("2 and 4, in the bank", dict.fromkeys(BETWEEN, USUAL), USUAL),
                Line(
                    "2 and 4, bank of 1, 3 and 5",
                    dict.fromkeys(BETWEEN, "severities 1, 3, 5"),
                    "severities 1, 3, 5",
                ),
                Line("1.5, 2.5, 3.5, 4.5, nothing", dict.fromkeys(OFF_GRID, NONE), ""),
                Line("1.5, 2.5, 3.5, 4.5", dict.fromkeys(OFF_GRID, SHIPPED), SHIPPED),
            ),
        ),
        Part(
            "g",
            "A bank of another origin",
            f"{references} references each. SLAKE and VQA-RAD: as in the bank's own mixture.",
            (
                nothing,
                _whole("SLAKE and VQA-RAD", USUAL),
                _whole("VQA-RAD alone", "VQA-RAD"),
                _whole("phantoms alone", "phantoms"),
            ),
        ),
    ]


def needed(part: Part) -> dict[str, set[Cell]]:
    """Cells by run that a table wants, with the plain answers beside them."""
    wanted: dict[str, set[Cell]] = {NONE: {CLEAN}}
    for line in part.lines:
        for cell, run in line.runs.items():
            wanted.setdefault(run, set()).add(cell)
            wanted[NONE].add(cell)
        if line.clean:
            wanted.setdefault(line.clean, set()).add(CLEAN)
    return wanted


def _whole(label: str, run: str) -> Line:
    return Line(label, {cell: run for cell in EVERY if cell.noises}, run)


def _left_out(kind: str) -> tuple[Line, Line]:
    cells = of_kind(kind)
    return (
        Line(f"{kind}, left out", dict.fromkeys(cells, f"without {kind}"), ""),
        Line(f"{kind}, known", dict.fromkeys(cells, USUAL), ""),
    )


def _size_run(size: int, references: int) -> str:
    return USUAL if size == references else f"bank of {size}"


def _pdc(bank_of: Callable[[Workshop], PrototypeBank], **options: Any) -> Show:
    return _retold(bank_of, lambda bank, cell: bank, **options)


def _retold(
    bank_of: Callable[[Workshop], PrototypeBank],
    change: Callable[[PrototypeBank, Cell], PrototypeBank],
    **options: Any,
) -> Show:
    def show(shop: Workshop, cell: Cell) -> Told:
        bank = change(bank_of(shop), cell)
        return shop.calibrated(Calibrator(shop.encoder, bank, **options), cell)

    return show


def _whatever(
    change: Callable[[PrototypeBank], PrototypeBank],
) -> Callable[[PrototypeBank, Cell], PrototypeBank]:
    return lambda bank, cell: change(bank)


def _layers(name: str, *, told: bool) -> Show:
    return lambda shop, cell: shop.layered(shop.layers[name], cell, told=told)


def _sized(size: int) -> Callable[[Workshop], PrototypeBank]:
    return lambda shop: shop.banks.of_size(size)


def _lacking(kind: str) -> Callable[[Workshop], PrototypeBank]:
    return lambda shop: shop.banks.without(kind)
