"""Questions per second of `imc bench run` against a loop over `transformers.pipeline`.

    python benchmarks/bench_throughput.py --data DATA       # VQA-RAD test; without --data: phantoms

Both sides have the embedded model on the CPU in one process with the same number of threads, the
same items and conditions, greedy decoding and the same longest answer. They take turns: each slice
of the items is answered by both, one right after the other, and the next slice in the other order,
so that what else the machine does meets both.

The loop does for every question what a script does: read the picture, bring it to the input size,
corrupt image and question, call the pipeline. The runner's time holds all of that, the scoring
and the writing of the store. The second ratio leans to the pipeline: of the loop's time it counts
the calls alone, as though all pictures had been ready, and all of the runner's. Neither side's time
holds the loading of the model.

The answers of both sides are compared, too: a faster answer is worth nothing if it is another one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import pipeline
from transformers.utils import logging

from graphs.context import IMCContext, load_context
from imc_bench.conditions import Condition
from imc_bench.datasets import load_pixels
from imc_bench.methods import get_methods
from imc_bench.phantom_items import PHANTOM_SIZE
from imc_bench.plan import Plan
from imc_bench.run.session import CheckedRequest, RunRequest, check_request, open_run
from imc_data.items import VQAItem
from imc_reference import MODEL_DIR

NOISES = ("core",)
SEVERITIES = (3,)
METHODS = ("none", "pdc", "sms", "imc")
LEAST_AGREEMENT = 0.99
"""Below it the two sides do not do the same work. Not 1: rounding differs with a batch's shape, and
may decide between two tokens that are equally likely."""

Key = tuple[str, Condition]
Answers = dict[Key, str]
Clock = Callable[[], float]
"""Seconds, from any beginning."""


@dataclass
class Loop:
    """What a script without this project would do, and the seconds it took."""

    pipe: Any
    clock: Clock
    longest: int
    """New tokens of an answer."""
    preparing: float = 0.0
    calling: float = 0.0

    def answers(self, checked: CheckedRequest) -> Answers:
        """One greedy answer to every item under every condition, one at a time."""
        self.preparing = self.calling = 0.0
        found: Answers = {}
        for item in checked.items.items:
            for condition in checked.conditions:
                start = self.clock()
                image, question = prepared(item, condition, checked.request.seed)
                ready = self.clock()
                found[item.item_id, condition] = self._answer(image, question)
                self.preparing += ready - start
                self.calling += self.clock() - ready
        return found

    def _answer(self, image: Image.Image, question: str) -> str:
        parts = [{"type": "image", "image": image}, {"type": "text", "text": question}]
        replies = self.pipe(
            text=[{"role": "user", "content": parts}],
            return_full_text=False,
            generate_kwargs={"do_sample": False, "max_new_tokens": self.longest},
        )
        return str(replies[0]["generated_text"]).strip()


def prepared(item: VQAItem, condition: Condition, seed: int) -> tuple[Image.Image, str]:
    """The item corrupted as the runner corrupts it at the input size."""
    read = load_pixels(item)
    small = Image.fromarray(read.rgb).resize((PHANTOM_SIZE, PHANTOM_SIZE), Image.Resampling.BICUBIC)
    rgb = condition.corrupt_image(np.asarray(small), read.sha256, seed)
    return Image.fromarray(rgb), condition.corrupt_text(item.question, item.item_id, seed)


def run(checked: CheckedRequest, context: IMCContext, clock: Clock) -> tuple[float, Answers]:
    """Seconds of the runner on these items, and what the bare model answered."""
    with tempfile.TemporaryDirectory() as folder:
        runner, store = open_run(checked, context, Path(folder) / "run.db")
        with store:
            start = clock()
            runner.run(store)
            seconds = clock() - start
            found = {
                (str(row["item_id"]), _condition(row)): str(row["prediction"])
                for row in store.rows()
                if row["method"] == "none"
            }
    return seconds, found


def _condition(row: dict[str, Any]) -> Condition:
    return Condition(
        row["image_noise"], row["image_severity"], row["text_noise"], row["text_severity"]
    )


def slices(checked: CheckedRequest, most: int, warm: int) -> Iterator[CheckedRequest]:
    """The items in pieces, each some whole units of the runner; first one of `warm` items."""
    yield part(checked, checked.plan.chunks[-1][:warm])
    for chunk in checked.plan.chunks[:most]:
        yield part(checked, chunk)


def part(checked: CheckedRequest, items: Sequence[VQAItem]) -> CheckedRequest:
    """The same request on some of its items."""
    return replace(
        checked,
        items=replace(checked.items, items=tuple(items)),
        plan=Plan(items, checked.conditions, checked.request.seed),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("IMC_DATA"))
    parser.add_argument("--pairs", type=int, default=3, help="slices, each answered by both sides")
    parser.add_argument("--batch", type=int, default=RunRequest("").batch, help="the runner's")
    parser.add_argument("--noises", nargs="*", default=NOISES, help="as imc bench run names them")
    parser.add_argument("--severities", nargs="*", type=int, default=SEVERITIES)
    parser.add_argument("--threads", type=int, default=1, help="of both sides")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the process's CPU seconds, which other work on the machine hardly touches",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.disable_progress_bar()
    clock = time.process_time if args.cpu_time else time.perf_counter

    request = RunRequest(
        "phantom" if args.data is None else "vqa-rad",
        args.data,
        noises=tuple(args.noises),
        severities=tuple(args.severities),
        methods=("none",),
        batch=args.batch,
        seed=args.seed,
    )
    checked = check_request(request)
    context = load_context(MODEL_DIR)
    pipe = pipeline("image-text-to-text", model=str(MODEL_DIR), device="cpu")
    loop = Loop(pipe, clock, context.policy.max_answer_tokens)
    print(
        f"{checked.items.name} {checked.items.split}; {', '.join(map(str, checked.conditions))}; "
        f"{args.threads} of {os.cpu_count()} cores, runner's batch {args.batch}, seed {args.seed}; "
        f"{'CPU time' if args.cpu_time else 'wall time'}"
    )
    print(f"{platform.machine()}, torch {torch.__version__}; load before {_load()}\n")
    print(
        "| pair | questions | loop, 1/s | its calls alone, 1/s | runner, 1/s | ratio "
        "| to its calls alone | all methods, rows/s |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")

    pairs: list[Pair] = []
    alike = compared = 0
    for number, piece in enumerate(slices(checked, args.pairs, warm=4)):
        if number % 2:
            own, answers = run(piece, context, clock)
            looped = loop.answers(piece)
        else:
            looped = loop.answers(piece)
            own, answers = run(piece, context, clock)
        every, _ = run(with_methods(piece, METHODS), context, clock)
        if number == 0:  # the first questions pay for what is made lazily
            continue
        alike += sum(looped[key] == answer for key, answer in answers.items())
        compared += len(looped)
        pairs.append(Pair(len(looped), loop.preparing, loop.calling, own, every))
        print(f"| {number} | {pairs[-1].row()} |", flush=True)

    print(
        f"\nratio: {_spread([one.ratio for one in pairs])}"
        f"\nto the calls alone: {_spread([one.leaning for one in pairs])}"
        f"\n{', '.join(METHODS)} together: {_spread([one.rows for one in pairs])} rows/s"
        f"\nthe same answer {alike} times of {compared}; load after {_load()}"
    )
    if alike < LEAST_AGREEMENT * compared:
        sys.exit("the two sides do not give the same answers: the ratios compare nothing")


@dataclass(frozen=True)
class Pair:
    """One slice, answered by both sides; times in seconds."""

    questions: int
    preparing: float
    calling: float
    own: float
    every: float
    """Of the runner with all methods."""

    @property
    def ratio(self) -> float:
        """How many times faster the runner is than the loop."""
        return (self.preparing + self.calling) / self.own

    @property
    def leaning(self) -> float:
        """How many times faster than the pipeline's calls alone."""
        return self.calling / self.own

    @property
    def rows(self) -> float:
        """Rows a second with all methods."""
        return len(METHODS) * self.questions / self.every

    def row(self) -> str:
        """As the table shows it."""
        rates = [
            self.questions / seconds
            for seconds in (self.preparing + self.calling, self.calling, self.own)
        ]
        cells = [*rates, self.ratio, self.leaning, self.rows]
        return " | ".join([str(self.questions), *(f"{cell:.1f}" for cell in cells)])


def with_methods(checked: CheckedRequest, names: Sequence[str]) -> CheckedRequest:
    """The same items under other methods."""
    return replace(
        checked,
        request=replace(checked.request, methods=tuple(names)),
        methods=tuple(get_methods(names)),
    )


def _spread(values: Sequence[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"min {low:.1f}, median {middle:.1f}, max {high:.1f}"


def _load() -> str:
    return " ".join(f"{one:.1f}" for one in os.getloadavg())


if __name__ == "__main__":
    main()
