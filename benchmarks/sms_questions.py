"""What the agents do to questions: false edits on clean ones, exact restoration of noisy ones.

    python benchmarks/sms_questions.py --data DATA [--model FOLDER] [--noisy 60]

Clean: the distinct questions of SLAKE validation and VQA-RAD test that stand in neither training
part. The margins of `imc_agents.policy` were set with a look at these very questions, so the share
of false edits is optimistic. Noisy: questions of that set, corrupted by `imc_noise` with a seed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from imc_bench.statistics import character_errors
from imc_noise import CORE_TEXT, apply_text, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.real_data import load_slake, load_vqa_rad


def questions(data: Path) -> list[str]:
    """Distinct questions of the held-out splits that training has not seen, in a fixed order."""
    slake, rad = data / "slake", data / "vqa-rad"
    trained = {
        pair.question
        for image in load_slake(slake, "train") + load_vqa_rad(rad, "train")
        for pair in image.pairs
    }
    held = {
        pair.question
        for image in load_slake(slake, "validate") + load_vqa_rad(rad, "test")
        for pair in image.pairs
    }
    return sorted(held - trained)


def refined(asked: Sequence[str], context: IMCContext) -> list[tuple[str, str, int]]:
    """Each question, what is used in its place, and the calls of the model that it took."""
    return [
        (
            question,
            question if (decision := state["decision"]) is None else decision.used,
            sum(step.calls for step in state["trace"]),
        )
        for question, state in zip(asked, refine_batch(asked, context), strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--noisy", type=int, default=60, help="questions per kind and severity")
    parser.add_argument("--severities", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # texts are short: a second thread only waits

    context = load_context(args.model)
    clean = questions(args.data)
    results = refined(clean, context)
    edited = [(question, used) for question, used, _ in results if used != question]
    print(f"clean questions outside training: {len(clean)}, edited: {len(edited)}")
    for question, used in edited:
        print(f"  {question!r} -> {used!r}")
    print(f"calls on a clean question: median {statistics.median(r[2] for r in results)}")

    rng = noise_rng("questions", "order", 1, args.seed)
    order = rng.permutation(len(clean))
    pool = [clean[int(i)] for i in order if len(clean[int(i)].split()) >= 3][: args.noisy]
    print("| noise | severity | corrupted | restored exactly | left alone | made other | ", end="")
    print("character error left | calls |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in CORE_TEXT:
        for severity in args.severities:
            corrupted_ones = [
                (one, apply_text(kind, one, severity, noise_rng(one, kind, severity, args.seed)))
                for one in pool
            ]
            changed = [(one, corrupted) for one, corrupted in corrupted_ones if corrupted != one]
            if not changed:
                continue
            mended = refined([corrupted for _, corrupted in changed], context)
            pairs = [(one, *rest) for (one, _), rest in zip(changed, mended, strict=True)]
            count = len(pairs)
            right = sum(used == question for question, _, used, _ in pairs)
            same = sum(used == corrupted for _, corrupted, used, _ in pairs)
            meant, noisy, told, calls = zip(*pairs, strict=True)
            left = character_errors(meant, told).mean() / character_errors(meant, noisy).mean()
            print(
                f"| {kind} | {severity} | {count} | {right / count:.2f} | {same / count:.2f} | "
                f"{(count - right - same) / count:.2f} | {left:.2f} | "
                f"{statistics.mean(calls):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
