"""What a bank for a tower of CLIP-L's size costs to build: memory, time, size.

    python benchmarks/bank_large_tower.py [--images 32] [--kinds low_contrast] [--rank 32]

Random weights and generated phantoms: what the bank restores means nothing, what it costs does. A
small bank is built; from the CPU seconds of its steps follows what a default one would take
(`imc prototypes build`: 384 images, every kind). The peak is that of the whole process, the model
and PyTorch among it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from large_tower import large_encoder, phantoms

from imc_app.commands.prototypes_show import part_sizes
from imc_noise import CORE_IMAGE
from vision.build.draws import SEVERITY_ABOVE_MAX
from vision.build.prototypes import MORE_KINDS, bank_classes, build_bank

DEFAULT_IMAGES = 384
DEFAULT_GRID = (1, 2, 3, 4, 5, SEVERITY_ABOVE_MAX)
CALIBRATED = 320
"""References that the maps of a class are fitted on
(`vision.build.residual_training.CASCADE_IMAGES`)."""
MIXED = 48 * len(CORE_IMAGE) * (len(CORE_IMAGE) - 1)
"""Mixtures that a default bank looks at, each twice."""
FEW_DRAWS = 2
"""Draws of every class where there are few references; a default bank has one."""


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


class Clock:
    """CPU seconds of every step of a build, by the first word of its name."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._step, self._begun = "", 0.0

    def tell(self, what: str, done: int, of: int) -> None:
        """A step begins."""
        self.stop()
        self._step, self._begun = what.split()[0], time.process_time()
        print(f"{done:3} of {of}: {what} ({peak_gb():.1f} GB)", flush=True)

    def stop(self) -> None:
        """The step at hand ends."""
        if self._step:
            self.spent[self._step].append(time.process_time() - self._begun)

    def full(self, images: int) -> dict[str, float]:
        """CPU seconds of a default build's steps, as far as this one's tell."""
        classes = len(bank_classes(CORE_IMAGE, DEFAULT_GRID))
        kinds = len(CORE_IMAGE) + len(MORE_KINDS)
        once = {step: max(spent) for step, spent in self.spent.items()}
        look = once["perceive"] / (FEW_DRAWS * images)
        return {
            "clean": once["clean"] * DEFAULT_IMAGES / images,
            "perceive": look * DEFAULT_IMAGES * classes,
            "restore": once["restore"] * DEFAULT_IMAGES / images * len(DEFAULT_GRID) * kinds,
            "calibrate": once["calibrate"] * CALIBRATED / (FEW_DRAWS * images) * classes,
            "mixtures": 2 * MIXED * look,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--kinds", default="low_contrast", help="comma-separated")
    parser.add_argument("--severities", default="5", help="comma-separated")
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keep the bank, for calibration_cost.py")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    kinds = tuple(args.kinds.split(","))
    severities = tuple(map(int, args.severities.split(",")))
    encoder = large_encoder(args.blocks, args.channels)
    references = phantoms(args.images)
    print(
        f"{args.images} phantoms, {', '.join(kinds)} at {args.severities}, rank {args.rank}, "
        f"{args.blocks} blocks of {args.channels} channels, {args.threads} threads; "
        f"before the build {peak_gb():.1f} GB"
    )
    clock, begun = Clock(), (time.process_time(), time.perf_counter())
    bank = build_bank(
        encoder,
        references,
        kinds=kinds,
        severities=severities,
        more_kinds=(),
        rank=args.rank,
        fewest=args.images,
        progress=clock.tell,
    )
    clock.stop()
    spent = time.process_time() - begun[0], time.perf_counter() - begun[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.safetensors"
        bank.save(path)
        size, parts = path.stat().st_size, part_sizes(path)
    if args.out is not None:
        bank.save(args.out)
    print(
        f"built in {spent[0]:.0f} s of CPU ({spent[1]:.0f} s by the clock), {encoder.forwards} "
        f"whole passes; peak resident memory {peak_gb():.1f} GB; file {size / 1e6:.1f} MB"
    )
    print("| part | MB |\n| --- | --- |")
    for part, length in parts.items():
        print(f"| {part} | {length / 1e6:.2f} |")
    print("taps with a map:", ", ".join(bank.taps) or "none")
    print("\n| step | CPU s, one | CPU h, a default bank |\n| --- | --- | --- |")
    full = clock.full(args.images)
    for step, seconds in full.items():
        one = max(clock.spent.get(step, [0.0]))
        print(f"| {step} | {one:.1f} | {seconds / 3600:.2f} |")
    print(f"| all | {spent[0]:.0f} | {sum(full.values()) / 3600:.1f} |")


if __name__ == "__main__":
    main()
