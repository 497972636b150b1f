"""The page of a check: what was measured on which card, what was aimed at, what was left out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gpu.checks import Agreement, HalfSteps
from gpu.timing import Input, Row, ratio

AIMS: Mapping[Input, float] = {"clean": 1.05, "noisy": 2.5}
"""Most that `imc` may take of the time of `none`, one question at a time."""

NOTES = (
    "Weights are random, drawn on the device; pictures are generated phantoms. `clean`: pictures "
    "that PDC leaves alone, and questions of which none is suspected; `noisy`: pictures with one "
    "noise each that PDC restores, and questions with one noise each. There is no model half: "
    "pictures are restored, features are not calibrated. Every answer has all of its tokens. The "
    "tokenizer knows few words, so that prompts, above all those of the agents, have several times "
    "the tokens that a trained one gives them. Pictures are restored on the device; their "
    "statistics are computed on the CPU.",
    "One question: the graph, as `imc ask` runs it; median of the repeats. In a batch: as `imc "
    "bench run` does it. Memory: the highest allocation beside the weights.",
)


@dataclass
class Measured:
    """Everything that was found so far; sections write into it as they go on."""

    facts: dict[str, str]
    """What it was measured with and on, by name."""
    batch: int
    aimed: bool = True
    """Whether the aims are held against what was found: they are of a GPU."""
    rows: list[Row] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    """Bytes by model."""
    paths: dict[str, str] = field(default_factory=dict)
    """By model: whether what was computed of a prompt gives the results of whole passes."""
    half: HalfSteps | None = None
    agreements: list[Agreement] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What was not measured, and why."""


def make_page(found: Measured) -> str:
    """Everything as one page of Markdown."""
    lines = ["# Times and memory of models of 7B size", ""]
    lines += [f"- {name}: {value}" for name, value in found.facts.items()]
    lines += ["", *_times(found)]
    if found.half is not None and found.half.seconds:
        lines += ["", *_half(found.half)]
    if found.agreements:
        lines += ["", *_agreements(found.agreements)]
    if found.left_out:
        lines += ["", "## Left out", "", *(f"- {what}" for what in found.left_out)]
    return "\n".join(lines) + "\n"


def _times(found: Measured) -> Iterator[str]:
    for note in NOTES:
        yield from (note, "")
    yield (
        f"| model | input | method | one, ms | × none | {found.batch} together, ms each | × none "
        "| memory, one, GB | memory, together, GB | passes, one |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in found.rows:
        cells = [
            _ms(row.alone, 1),
            _number(ratio(found.rows, row, "alone")),
            _ms(row.together, found.batch),
            _number(ratio(found.rows, row, "together")),
            _gigabytes(row.peak_alone),
            _gigabytes(row.peak_together),
            f"{statistics.median(row.calls):.0f}" if row.calls else "-",
        ]
        yield f"| {row.model} | {row.kind} | {row.method} | {' | '.join(cells)} |"
    yield ""
    for name, held in found.weights.items():
        yield f"- {name}: {_gigabytes(held)} GB of weights."
    for name, path in found.paths.items():
        yield f"- {name}, shared and held computation against whole passes: {path}."
    for row in found.rows:
        value = ratio(found.rows, row, "alone")
        if found.aimed and row.method == "imc" and value is not None:
            most = AIMS[row.kind]
            said = "reached" if value <= most else "not reached"
            yield f"- {row.model}, {row.kind}: {value:.2f} × none; aim {most} ×: {said}."


def _half(half: HalfSteps) -> Iterator[str]:
    done = sum(len(seconds) for seconds in half.seconds.values())
    spent = sum(sum(seconds) for seconds in half.seconds.values())
    yield "## A model half of the vision tower"
    yield ""
    yield (
        f"{half.references} references; {done} of {half.of} steps in {spent:.0f} s"
        f"{'' if half.finished else ', then stopped'}."
    )
    yield ""
    yield "| step | finished | s each, median | s in all |"
    yield "| --- | ---: | ---: | ---: |"
    for name, seconds in half.seconds.items():
        yield (
            f"| {name} | {len(seconds)} | {statistics.median(seconds):.1f} | {sum(seconds):.1f} |"
        )


def _agreements(agreements: Sequence[Agreement]) -> Iterator[str]:
    yield "## The device beside the CPU, tiny models in float32"
    yield ""
    yield "| family | largest difference of a feature | equal answers |"
    yield "| --- | ---: | ---: |"
    for one in agreements:
        yield f"| {one.family} | {one.difference:.1e} | {one.alike} of {one.asked} |"


def _ms(seconds: Sequence[float], questions: int) -> str:
    return f"{1000 * statistics.median(seconds) / questions:.0f}" if seconds else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _gigabytes(held: int) -> str:
    return f"{held / 1e9:.2f}" if held else "-"
