"""The runs, by name, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measurement import CalibratedBy

from ablations.banks import SIZES
from ablations.cells import BETWEEN, CLEAN, EVERY, GRID, OFF_GRID, Cell, of_kind
from ablations.layer_fits import CASCADE, CONTEXT, layer_names
from ablations.posteriors import hard, kinds_exchanged, never_gated, truth_given
from ablations.setup import LayersAlone, Setup
from imc_bench.methods import BaselineMethod, Method
from imc_bench.session import CheckedRequest
from imc_noise import CORE_IMAGE
from vision.bank.prototype_bank import PrototypeBank
from vision.pdc import Calibrator

NONE, SHIPPED, USUAL, LAYERS = "none", "shipped bank", "usual bank", "layers"

GIVEN = ("mean shift", f"{CONTEXT}, embed", CASCADE)
"""Feature-only maps that are also given the kind."""

MakeMethod = Callable[[str, Setup], Method]
"""(name of the run, setup) -> the method that answers."""


@dataclass(frozen=True)
class Run:
    """One way to answer, on some cells."""

    cells: tuple[Cell, ...]
    method: MakeMethod
    group: str
    """Runs of one group share costly things: they are left to one process."""


def checked_run(setup: Setup, name: str, run: Run) -> CheckedRequest:
    """The run as `imc_bench` has it."""
    conditions = [setup.condition(cell) for cell in run.cells]
    return setup.measurement.checked(conditions, [run.method(name, setup)])


def store_of(setup: Setup, name: str, run: Run) -> Path:
    """Where the rows of a run are."""
    return setup.measurement.store(name, checked_run(setup, name, run))


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
        NONE: Run((*EVERY, *BETWEEN, *OFF_GRID), lambda name, setup: _Plain(name), NONE),
        SHIPPED: Run((*EVERY, *OFF_GRID), _pdc(lambda setup: setup.shipped), SHIPPED),
        USUAL: Run((*EVERY, *BETWEEN), _pdc(lambda setup: setup.banks.usual()), USUAL),
    }
    for name in layer_names(taps):
        runs[name] = Run(EVERY, _layers(name, given=False), LAYERS)
    for name in GIVEN:
        runs[f"{name}, given"] = Run(EVERY, _layers(name, given=True), LAYERS)
    runs["pixels only"] = Run(EVERY, _pdc(lambda setup: setup.shipped, features=False), "stages")
    runs["features only"] = Run(EVERY, _pdc(lambda setup: setup.shipped, pixels=False), "stages")
    runs["given"] = Run(EVERY, _changed(lambda setup: setup.shipped, truth_given), "perception")
    changes: dict[str, Callable[[PrototypeBank], PrototypeBank]] = {
        "wrong kind": kinds_exchanged,
        "no gate": never_gated,
        "one class": hard,
    }
    for name, change in changes.items():
        changed = _changed(lambda setup: setup.shipped, _always(change))
        runs[name] = Run(EVERY, changed, "perception")
    runs["one round"] = Run(EVERY, _pdc(lambda setup: setup.shipped, max_rounds=1), "perception")
    for size in SIZES:
        runs[f"bank of {size}"] = Run(EVERY, _pdc(_sized(size)), f"bank of {size}")
    for kind in CORE_IMAGE:
        runs[f"without {kind}"] = Run(of_kind(kind), _pdc(_lacking(kind)), f"without {kind}")
    odd = _pdc(lambda setup: setup.banks.odd_severities())
    runs["severities 1, 3, 5"] = Run((CLEAN, *BETWEEN), odd, "severities")
    runs["VQA-RAD"] = Run(EVERY, _pdc(lambda setup: setup.banks.vqa_rad()), "VQA-RAD")
    runs["phantoms"] = Run(EVERY, _pdc(lambda setup: setup.banks.phantoms()), "phantoms")
    return runs


def make_parts(taps: tuple[str, ...], references: int, sizes: Sequence[int] = SIZES) -> list[Part]:
    """Every table, over the runs of `make_runs`; `references` is the usual bank's size, `sizes`
    are those, among `SIZES`, that stand beside it in part d."""
    nothing = _whole("nothing", NONE)
    usual = f"bank of {references} real images"
    family = [_whole(name, name) for name in layer_names(taps)]
    given = [_whole(f"{name}, kind given", f"{name}, given") for name in GIVEN]
    return [
        Part(
            "a",
            "Feature-only maps",
            f"Fitted in closed form on the same {references} clean references, on draws of every "
            "class of the bank, and applied as they are; no pixel stage. One-layer maps stand at "
            f"{taps[-1]} unless a tap is named; the cascade has a ridge with context at every tap, "
            "each fitted on features that those before it have changed. Kind and severity are "
            "perceived, and gated, by a bank of the same references, or given.",
            (nothing, *family, *given),
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
            "The bank in the model's folder, both stages. Given: kind and severity in the first "
            "round (two noises at half each, and clean images as clean). Wrong kind: every "
            "kind's probability goes to another (gaussian, low_dose, motion change places with "
            "ghosting, bias_field, low_contrast), in every round. No gate: nothing is taken for "
            "clean. One class: the likeliest alone instead of the posterior.",
            (
                nothing,
                _whole("as perceived", SHIPPED),
                _whole("kind and severity given", "given"),
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


class _Plain(BaselineMethod):
    """The model as it is, under the name of the run."""

    def __init__(self, name: str) -> None:
        self.name = name


def _pdc(bank_of: Callable[[Setup], PrototypeBank], **options: Any) -> MakeMethod:
    return _changed(bank_of, lambda bank, cell: bank, **options)


def _changed(
    bank_of: Callable[[Setup], PrototypeBank],
    change: Callable[[PrototypeBank, Cell], PrototypeBank],
    **options: Any,
) -> MakeMethod:
    def make(name: str, setup: Setup) -> Method:
        return CalibratedBy(
            name,
            lambda condition: Calibrator(
                setup.encoder, change(bank_of(setup), setup.cell(condition)), **options
            ),
        )

    return make


def _always(
    change: Callable[[PrototypeBank], PrototypeBank],
) -> Callable[[PrototypeBank, Cell], PrototypeBank]:
    return lambda bank, cell: change(bank)


def _layers(layers: str, *, given: bool) -> MakeMethod:
    return lambda name, setup: LayersAlone(name, setup, lambda: setup.layers[layers], given=given)


def _sized(size: int) -> Callable[[Setup], PrototypeBank]:
    return lambda setup: setup.banks.of_size(size)


def _lacking(kind: str) -> Callable[[Setup], PrototypeBank]:
    return lambda setup: setup.banks.without(kind)
