"""How many questions a second the agents take: one by one, and in lock step.

    python benchmarks/sms_rate.py --data DATA [--model FOLDER] [--hidden 768] [--pairs 5]

The same questions of VQA-RAD, clean and under each core text noise, go through the sms graph one
by one and through `refine_batch`, in alternating pairs in one process, in CPU time, so that
whatever else the machine does falls on neither. Both have met the questions once before: lexicon
and prompts are warm. `forward` is the part of the time inside the model's forward passes, `tokens`
what goes through them: the floor of any batching. `--hidden` pads the model to a larger one that
decides the same (see `wider_model`), as if its language half were of that hidden size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from wider_model import widen

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from graphs.sms import build_sms_graph
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_bench.datasets import load_dataset
from imc_noise import CORE_TEXT, apply_text, noise_rng
from imc_reference import MODEL_DIR


@dataclass
class Run:
    """One way of refining all questions: CPU milliseconds and tokens a question."""

    ms: float
    forward: float
    tokens: float


class Meter:
    """Runs work and tells what of its CPU time went into forward passes of the model."""

    def __init__(self, model: Any, questions: int) -> None:
        self._questions = questions
        self._forward = self._begun = 0.0
        self._tokens = 0
        model.register_forward_pre_hook(self._before)
        model.register_forward_hook(self._after)
        model.get_input_embeddings().register_forward_hook(self._read)

    def run(self, work: Callable[[], object]) -> Run:
        self._forward, self._tokens = 0.0, 0
        start = time.process_time()
        work()
        each = 1000.0 / self._questions
        return Run(
            (time.process_time() - start) * each,
            self._forward * each,
            self._tokens / self._questions,
        )

    def _before(self, *_: object) -> None:
        self._begun = time.process_time()

    def _after(self, *_: object) -> None:
        self._forward += time.process_time() - self._begun

    def _read(self, _module: object, inputs: Any, _output: object) -> None:
        self._tokens += inputs[0].numel()


def spread(ratios: Sequence[float]) -> str:
    return f"{min(ratios):.1f} / {statistics.median(ratios):.1f} / {max(ratios):.1f}"


def typical(runs: Sequence[Run]) -> str:
    ms, forward = (statistics.median(getattr(run, name) for run in runs) for name in _TIMES)
    return f"{ms:.1f} ({forward:.1f}; {runs[0].tokens:.0f})"


_TIMES = ("ms", "forward")


def prepared(args: argparse.Namespace) -> IMCContext:
    """The context of the model that was asked for, widened where that was asked for."""
    context = load_context(args.model, method="sms")
    if args.hidden is None:
        return context
    chat: Any = context.chat
    wide = widen(chat.model, args.hidden)
    return replace(context, chat=ChatLocalMLLM.from_parts(wide, chat.processor), calibrator=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--hidden", type=int, help="widen the model's language half to this size")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--noises", nargs="+", default=["clean", *CORE_TEXT])
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    context, graph = prepared(args), build_sms_graph()
    items = load_dataset("vqa-rad", args.data, split=None, limit=args.questions, seed=0).items
    chat: Any = context.chat
    meter = Meter(chat.model, len(items))
    size = sum(part.numel() for part in chat.model.base_model.language_model.parameters())

    print(f"language model of {size / 1e6:.1f} M parameters; CPU ms a question (forward; tokens)\n")
    print("| questions | one by one | in lock step | ratio, min / median / max | same |")
    print("| --- | --- | --- | --- | --- |")
    for noise in args.noises:
        asked = [
            item.question
            if noise == "clean"
            else apply_text(
                noise,
                item.question,
                args.severity,
                noise_rng(item.item_id, noise, args.severity, 0),
            )
            for item in items
        ]

        def alone(asked: list[str] = asked) -> list[str]:
            states = [graph.invoke({"question": one}, context=context) for one in asked]
            return [state["decision"].used for state in states]

        def together(asked: list[str] = asked) -> list[str]:
            decisions = [state.get("decision") for state in refine_batch(asked, context)]
            return [decision.used for decision in decisions if decision is not None]

        same = alone() == together()
        pairs = [(meter.run(alone), meter.run(together)) for _ in range(args.pairs)]
        print(
            f"| {noise} | {typical([one for one, _ in pairs])} "
            f"| {typical([batch for _, batch in pairs])} "
            f"| {spread([one.ms / batch.ms for one, batch in pairs])} "
            f"| {'yes' if same else 'NO'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
