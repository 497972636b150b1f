"""What a model half for a tower of CLIP-L's size costs to build: CPU hours by part, and memory.

    python benchmarks/bank_large_tower.py [--blocks 24] [--channels 1024] [--references 64]

Every part of a build (`vision.build.model_half`) is timed by itself on a few images: passes of the
encoder, statistics and moments per image, fits per class and tap. Each is multiplied by its own
count in a default build, all classes of the core and further kinds. Random weights and generated
phantoms: what the parts would find means nothing, what they cost does. What the acquisition half
costs (scores of every draw, restoration of the maps' draws) is its own and is not counted.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from large_tower import large_encoder, phantoms

from vision.build.acquisition.references import noise_classes
from vision.build.draws import noisy_draw
from vision.build.encoder_passes import EncoderPasses
from vision.build.feature_store import FeatureStore
from vision.build.model_half import DEFAULT_RANK, shallow_blocks
from vision.build.model_half_steps import CLEAN_VIEWS, Counts
from vision.calibrate.token_context import channel_sums, fit_scaler
from vision.encoder.token_layout import infer_layout
from vision.encoder.token_spectrum import TokenSpectrum, second_moments
from vision.perceive.noise_features import fit_class_scorer

CROSS_FITS = 5
"""Fits of a class scorer per tap: one without each fold, and one on all."""


def peak_gb() -> float:
    """Peak resident memory of the process, the model and PyTorch among it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds, all threads together."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@dataclass(frozen=True)
class Part:
    """One part of a build: what it costs once, and how often a default build does it."""

    name: str
    seconds: float
    count: int

    @property
    def hours(self) -> float:
        return self.seconds * self.count / 3600


def parts_of(args: argparse.Namespace) -> list[Part]:
    """Every part, timed on `args.images` images."""
    read = shallow_blocks(args.blocks)
    # no deeper block is built: no pass of a build reaches it
    encoder = large_encoder(read[-1] + 1, args.channels)
    pictures = phantoms(args.images)
    taps = ("embed", *(f"block.{number}" for number in read))
    classes = noise_classes()
    kinds = len({kind for kind, _ in classes})
    counts = Counts.of(args.references, tokens=(encoder.input_side or 336) ** 2 // 14**2)
    draws = counts.witness * len(classes)
    mapped = counts.maps * len(classes)
    directions = counts.directions * kinds
    passes = EncoderPasses(encoder, taps, FeatureStore())
    each = len(pictures)
    passes.readable_taps(pictures[0])  # the first pass costs more

    def passed(tap: str) -> float:
        run = EncoderPasses(encoder, (tap,), FeatureStore())
        return cpu_seconds(lambda: list(run._run(pictures, (tap,)))) / each

    to_tap = {tap: passed(tap) for tap in taps}
    moments = passes.clean_moments(pictures)
    passes.references = args.references  # of which the maps' context depends
    for tap in taps:
        patches = torch.stack([passes.store.get(tap, i) for i in range(each)])
        passes.scalers[tap] = fit_scaler(channel_sums(patches))
    noisy = [
        noisy_draw(picture, "gaussian", 5, 0, side=encoder.input_side, seed=0)
        for picture in pictures
    ]
    drawn = cpu_seconds(
        lambda: [noisy_draw(p, "motion", 5, 0, side=encoder.input_side, seed=0) for p in pictures]
    )
    other = passes.second_moments(noisy)
    per_kind = cpu_seconds(lambda: TokenSpectrum.fit(moments[taps[0]], [other[taps[0]]]))
    passes.spectra = {tap: TokenSpectrum.fit(moments[tap], [other[tap]] * kinds) for tap in taps}
    tokens = [
        (tap, features, infer_layout(features.shape[2], aspect))
        for _, aspect, at in passes._run(noisy, taps)
        for tap, features in at
    ]
    statistics = cpu_seconds(
        lambda: [passes.spectra[tap].statistics(seen, layout) for tap, seen, layout in tokens]
    )
    statistics /= each
    summed = cpu_seconds(lambda: [second_moments(seen) for _, seen, _ in tokens]) / each
    numbers = list(range(each))
    first = taps[:1]
    of_maps = cpu_seconds(lambda: passes.moments(noisy, numbers, {}, first)) / each
    of_maps -= to_tap[taps[0]]
    one = passes.moments(noisy, numbers, {}, first)[taps[0]]
    solved = cpu_seconds(lambda: one.solve(DEFAULT_RANK))
    size = passes.spectra[taps[0]].size
    rows = draws + CLEAN_VIEWS * args.references
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % (len(classes) + 1)
    scorer = cpu_seconds(
        lambda: fit_class_scorer(rng.normal(size=(rows, size)), labels, len(classes) + 1, rng)
    )
    whole = (CLEAN_VIEWS + 1) * args.references + directions + draws
    # maps of unrestored pictures: a pass to each tap; of restored ones: one to the last
    return [
        Part("passes to the last tap", to_tap[taps[-1]], whole + mapped),
        *(Part(f"passes to {tap}, maps of unrestored", to_tap[tap], mapped) for tap in taps),
        Part("second moments of an image, all taps", summed, args.references + directions),
        Part("directions of a kind at a tap", per_kind, kinds * len(taps)),
        Part("statistics of an image, all taps", statistics, CLEAN_VIEWS * args.references + draws),
        Part("moments of a map, one image and tap", of_maps, 2 * mapped * len(taps)),
        Part("fit of a map", solved, 2 * (len(classes) + 1) * len(taps)),
        Part("fit of a class scorer", scorer, CROSS_FITS * len(taps)),
        Part("a noisy draw", drawn / each, draws + directions),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=4, help="timed")
    parser.add_argument("--references", type=int, default=64, help="of the build counted")
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        parts = parts_of(args)
    print(
        f"{args.blocks} blocks of {args.channels} channels, {args.references} references, "
        f"{args.threads} threads; timed on {args.images} phantoms; "
        f"peak resident memory {peak_gb():.1f} GB\n"
    )
    print("| part | CPU s, one | count | CPU h |\n| --- | --- | --- | --- |")
    for part in parts:
        print(f"| {part.name} | {part.seconds:.3f} | {part.count} | {part.hours:.2f} |")
    print(f"| all | | | {sum(part.hours for part in parts):.1f} |")


if __name__ == "__main__":
    main()
