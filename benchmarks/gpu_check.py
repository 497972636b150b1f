"""Times, memory and agreement on a GPU, with models of 7B size and random weights.

    python benchmarks/gpu_check.py --out docs/results/gpu.md
    python benchmarks/gpu_check.py --size tiny --device cpu      # the same in small, on a CPU

A LLaVA (CLIP-L at 336 pixels before 32 layers of 4,096) and a Qwen2.5-VL (32 blocks before 28
layers of 3,584), made on the device in bfloat16; nothing is downloaded. Their weights take 14 and
17 GB; one is measured after the other. Measured are the methods `none`, `pdc`, `sms` and `imc` on
clean and on noisy inputs, one question at a time and in batches, the memory beside the weights, the
steps of a model half of the LLaVA's tower, and what a small model computes on the CPU and on the
device.

It ends within `--budget` seconds; the default is under eight minutes. What is under way is then
stopped, what comes after is left out and named, and what was measured is printed.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from gpu.checks import HalfSteps, compare_devices, time_model_half
from gpu.clock import Clock, OutOfTime
from gpu.models import IMAGE_SIDE, LLAVA, QWEN, Recipe, build, weight_bytes
from gpu.page import Measured, make_page
from gpu.timing import Asked, Input, Timing, draw_inputs
from measurement import say, shown_command

from graphs.context import context_over
from imc_agents.chat.placement import Placement
from imc_agents.errors import ModelRefused
from imc_agents.policy import Policy
from imc_core.files import replace_file

ROOT = Path(__file__).resolve().parent.parent
TINY = "python benchmarks/gpu_check.py --size tiny --device cpu"
_WARM = 2
"""Inputs that are asked about before any is timed."""


class Check:
    """One run of the check."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        self.clock = Clock(args.budget)
        self.found = Measured(_facts(args, device), args.batch, aimed=device.type == "cuda")
        self.failed = False
        self._inputs: dict[Input, list[Asked]] = {}

    def run(self) -> Measured:
        """Section after section, as long as there is time."""
        self._section("agreement of the CPU and the device", 0.15, self._agreement)
        for recipe in (LLAVA, QWEN):
            self._section(recipe.name, 0.45, partial(self._model, recipe))
        self._section("model half", 1.0, self._half)
        return self.found

    def _section(self, name: str, share: float, work: Callable[[], None]) -> None:
        say(f"{name} ({self.clock.left:.0f} s left)")
        try:
            with self.clock.stopping(share):
                work()
        except OutOfTime:
            self.found.left_out.append(f"{name}: stopped or left out, its time was spent")
        except Exception as error:  # what was measured is shown all the same
            traceback.print_exc()
            self.failed = True
            self.found.left_out.append(f"{name}: failed ({type(error).__name__})")
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _agreement(self) -> None:
        compare_devices(self.device, self.args.seed, self.found.agreements)

    def _model(self, recipe: Recipe) -> None:
        args = self.args
        if not self._inputs:
            count = max(args.batch, args.repeats + _WARM)
            side = IMAGE_SIDE[args.size]
            for kind in get_args(Input):
                self._inputs[kind] = draw_inputs(kind, side, count, args.seed)
        model, processor = build(recipe, args.size, self.device, args.seed)
        self.found.weights[recipe.name] = weights = weight_bytes(model)
        policy = Policy(max_answer_tokens=args.answer_tokens)
        context = context_over(model, processor, name=recipe.name, policy=policy)
        timing = Timing(
            context, recipe.name, self.device, weights, self._inputs, args.batch, args.repeats
        )
        try:
            timing.run(self.found.rows)
        finally:
            self.found.paths[recipe.name] = _paths([context.chat, timing.batching])

    def _half(self) -> None:
        self.found.half = HalfSteps(self.args.references)
        time_model_half(
            self.args.size, self.device, self.args.references, self.args.seed, self.found.half
        )


def _paths(chats: Sequence[Any]) -> str:
    """What the comparisons of `imc_agents.chat.verified_fast_path` have found, in words."""
    met: dict[str, list[bool]] = {"answers": [], "scores": []}
    for engine in (chat._engine for chat in chats):
        for name, paths in (
            ("answers", engine._generator._paths), ("scores", engine._scorer._tree_paths)
        ):
            met[name] += [path.agrees for path in paths.values() if path.agrees is not None]
    return "; ".join(
        f"{name}: {sum(found)} of {len(found)} comparisons agree" for name, found in met.items()
    )


def _facts(args: argparse.Namespace, device: torch.device) -> dict[str, str]:
    on_gpu = device.type == "cuda"
    card = torch.cuda.get_device_name(device) if on_gpu else f"none ({platform.machine()} CPU)"
    versions = [f"{name} {version(name)}" for name in ("imc-agents", "torch", "transformers")]
    if on_gpu:
        versions.append(f"CUDA {torch.version.cuda}")
    numbers = "bfloat16" if args.size == "7b" else "float32, tiny models: this tries the program"
    command = f"python benchmarks/gpu_check.py {shown_command(sys.argv[1:])}".strip()
    return {
        "card": f"{card}; {os.cpu_count()} CPU cores, {torch.get_num_threads()} threads",
        "versions": ", ".join(versions),
        "command": f"`{command}`",
        "seed": f"{args.seed}; weights in {numbers}; answers of {args.answer_tokens} tokens",
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=("7b", "tiny"), default="7b")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu at tiny size")
    parser.add_argument("--budget", type=float, default=450.0, help="seconds in all")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7, help="of the single questions")
    parser.add_argument("--answer-tokens", type=int, default=16)
    parser.add_argument("--references", type=int, default=64, help="of the model half")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the page there, too")
    args = parser.parse_args()
    for name in ("batch", "repeats", "answer_tokens", "references"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: give at least 1")
    return args


def find_device(args: argparse.Namespace) -> torch.device:
    """The device to measure on. Ends the program, in one line, where there is none."""
    try:
        device: torch.device = Placement(args.device).find_device()
    except ModelRefused as refused:
        sys.exit(f"{refused}; to try this program without a GPU: {TINY}")
    if device.type != "cuda" and args.size != "tiny":
        sys.exit(f"models of 7B size are measured on a GPU alone; to try this program: {TINY}")
    return device


def main() -> None:
    sys.path.insert(0, str(ROOT))
    args = _arguments()
    check = Check(args, find_device(args))
    page = make_page(check.run())
    print(f"\n{page}", end="")
    if args.out is not None:
        replace_file(args.out, page)
    if check.failed:
        sys.exit("not everything could be measured: see above")


if __name__ == "__main__":
    main()
