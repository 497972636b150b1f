"""How many questions a second the agents take: one by one, and in lock step.

    python benchmarks/sms_rate.py --data DATA [--model FOLDER] [--pairs 5] [--threads 1]

The same questions of VQA-RAD, clean and under each core text noise, go through the sms graph one
by one and through `refine_batch`, in alternating pairs in one process, so that whatever else the
machine does falls on both. Both have met the questions once before: lexicon and prompts are warm.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from graphs.context import load_context
from graphs.refining import refine_batch
from graphs.sms import build_sms_graph
from imc_bench.datasets import load_dataset
from imc_noise import CORE_TEXT, apply_text, noise_rng
from imc_reference import MODEL_DIR


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(ratios: list[float]) -> str:
    return f"{min(ratios):.1f} / {statistics.median(ratios):.1f} / {max(ratios):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    context, graph = load_context(args.model, method="sms"), build_sms_graph()
    items = load_dataset("vqa-rad", args.data, split=None, limit=args.questions, seed=0).items

    print("| questions | one by one, ms | in lock step, ms | ratio, min / median / max | same |")
    print("| --- | --- | --- | --- | --- |")
    for noise in ("clean", *CORE_TEXT):
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
        pairs = [(seconds(alone), seconds(together)) for _ in range(args.pairs)]
        each = 1000.0 / len(asked)
        quick = statistics.median(batch for _, batch in pairs)
        print(
            f"| {noise} | {statistics.median(one for one, _ in pairs) * each:.1f} "
            f"| {quick * each:.1f} | {spread([one / batch for one, batch in pairs])} "
            f"| {'yes' if same else 'NO'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
