"""What the drift monitor says of streams: clean ones of other origins, noisy ones, with a baseline.

    python benchmarks/drift_streams.py --data DIR [--most 60]

`DIR` holds `clean/` and `slake/`. Streams are perceived by the embedded model at 112 pixels and run
through the same `Monitored` as `imc perceive --monitor`. Prints, as markdown, medians of simulated
streams by size of the baseline, and what was reported of each kind of stream, at which image.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imc_app.baseline import Baseline
from imc_app.commands.monitor import Monitored, MonitorOptions
from imc_app.image_files import Order
from imc_app.perceiving import PerceivedFile
from imc_app.session import open_calibrator
from imc_data.clean_images import clean_origins
from imc_noise import CORE_IMAGE, apply_image, noise_rng
from imc_reference.real_data import load_slake
from vision.monitor import DriftMonitor
from vision.pdc import Calibrator
from vision.perceive.content import ContentReferences
from vision.reading import read_image
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb
from vision.sequential_test import OnlineRanks

SIDE = 112
SEVERITY = 3
HISTORY = 55
"""Clean SLAKE validation images, which no bank was built from, before a stream or in a baseline;
those of the streams are others."""
STREAM = 40
OPTIONS = MonitorOptions(
    order=Order.NAME,
    window=50,
    false_alarms=0.01,
    run_length=None,
    fail_on_alarm=False,
    fail_on_new_source=False,
    plot=None,
    baseline=None,
)
BASELINES, SIMULATED, LONGEST = (20, 30, 50, 100), 101, 200


def simulated_delay(baseline: int, every: int, seed: int) -> float:
    """Images until a report where every `every`-th image is beyond the whole baseline."""
    rng = np.random.default_rng([seed, baseline, every])
    ranks = OnlineRanks(rng.normal(size=baseline))
    test = DriftMonitor(None, false_alarms=OPTIONS.false_alarms)
    for image in range(LONGEST):
        beyond = image % every == every - 1
        score = 100.0 + rng.random() if beyond else float(rng.normal())
        test.update(max(ranks.p_value(score), 1e-300), "motion" if beyond else "clean", None)
        if test.largest >= test.threshold:
            return image + 1.0
    return float("inf")


class Perceived:
    """Perceives pictures in batches, as the command does."""

    def __init__(self, calibrator: Calibrator) -> None:
        self.calibrator = calibrator

    def __call__(self, images: Sequence[MedicalImage]) -> list[PerceivedFile]:
        found = self.calibrator.perceive_batch(images)
        return [
            PerceivedFile(Path(f"{i}.png"), image, noise)
            for i, (image, noise) in enumerate(zip(images, found, strict=True))
        ]

    def baseline(self, images: Sequence[MedicalImage]) -> Baseline:
        content = ContentReferences()
        for image in images:
            content.add(image)
        if not content.is_complete:
            content.complete()
        scores = np.array([one.noise.nonconformity for one in self(images)])
        return Baseline(scores, content, frozenset(image.sha256 for image in images))


def small(path: Path) -> MedicalImage:
    return MedicalImage.from_rgb(np.array(resize_rgb(read_image(path).rgb, (SIDE, SIDE))), "ARRAY")


def noisy(image: MedicalImage, kind: str) -> MedicalImage:
    rng = noise_rng(image.sha256, kind, SEVERITY, 0)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, SEVERITY, rng), "ARRAY")


def reported(
    calibrator: Calibrator,
    stream: Sequence[PerceivedFile],
    *,
    history: Sequence[PerceivedFile] = (),
    baseline: Baseline | None = None,
) -> str:
    """`alarm after 8`, `new after 12` (images of the stream), or `nothing`."""
    monitored = Monitored(calibrator, baseline, OPTIONS)
    for one in (*history, *stream):
        monitored.update(one)
    test, before = monitored.test, len(history)
    if test.alarm_at is not None:
        return f"alarm after {test.alarm_at + 1 - before}"
    if test.new_source_at is not None:
        return f"new after {test.new_source_at + 1 - before}"
    return "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--most", type=int, default=60, help="images of one origin")
    args = parser.parse_args()

    print("| baseline | every image is noisy | every second one |\n| --- | --- | --- |")
    for size in BASELINES:
        medians = [
            float(np.median([simulated_delay(size, every, seed) for seed in range(SIMULATED)]))
            for every in (1, 2)
        ]
        cells = ["never" if np.isinf(value) else f"{value:.0f}" for value in medians]
        print(f"| {size} | {' | '.join(cells)} |", flush=True)

    calibrator = open_calibrator(None)
    perceived = Perceived(calibrator)
    files = clean_origins(args.data, most=args.most)
    for at_home in ("slake", "vqa-rad"):  # the bank's own references are among them
        files.pop(at_home, None)
    slake = [small(image.path) for image in load_slake(args.data / "slake", "validate")]
    history, base = perceived(slake[:HISTORY]), perceived.baseline(slake[:HISTORY])
    ways: dict[str, Callable[[list[PerceivedFile]], str]] = {
        "from the start": lambda stream: reported(calibrator, stream),
        "after SLAKE": lambda stream: reported(calibrator, stream, history=history),
        "SLAKE as baseline": lambda stream: reported(calibrator, stream, baseline=base),
    }
    print(f"\n| stream | images | {' | '.join(ways)} |\n| --- | ---: |{' --- |' * len(ways)}")

    outcomes: dict[tuple[bool, str], list[str]] = {}
    """By whether the stream is clean, and way: what was reported of origins other than SLAKE."""

    def row(name: str, images: Sequence[MedicalImage], *, clean: bool | None = None) -> None:
        stream = perceived(images)
        cells = [way(stream) for way in ways.values()]
        print(f"| {name} | {len(images)} | {' | '.join(cells)} |", flush=True)
        if clean is not None:
            for way, cell in zip(ways, cells, strict=True):
                outcomes.setdefault((clean, way), []).append(cell.split()[0])

    rest = slake[HISTORY : HISTORY + STREAM]
    row("SLAKE, clean", rest)
    for kind in CORE_IMAGE:
        row(f"SLAKE, {kind} {SEVERITY}", [noisy(image, kind) for image in rest])
    for origin, paths in files.items():
        images = [small(path) for path in paths]
        row(f"{origin}, clean", images, clean=True)
        for kind in CORE_IMAGE:
            noisy_ones = [noisy(image, kind) for image in images]
            row(f"{origin}, {kind} {SEVERITY}", noisy_ones, clean=False)
    print("\n| other origins | streams | alarm | new | nothing |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (clean, way), found in outcomes.items():
        counts = [str(found.count(word)) for word in ("alarm", "new", "nothing")]
        print(f"| {'clean' if clean else 'noisy'}, {way} | {len(found)} | {' | '.join(counts)} |")


if __name__ == "__main__":
    main()
