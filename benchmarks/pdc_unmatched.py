"""Noise that PDC was not fitted on: the harder half.

    python benchmarks/pdc_unmatched.py --data DATA [--set slake-validation] [--out FILE]

Every question of a set, the embedded model, noise at its input resolution, seed 0: other
implementations (scikit-image's, Pillow's; MONAI's and TorchIO's where they are installed),
strengths off the fits' grid, kinds that they lack, two noises at once; a column says which. Beside
PDC with both stages and with one alone: non-local means with an estimated sigma, on every image.
Answers are kept under `--work`: a stopped measurement goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from measurement import (
    Measurement,
    NamedCondition,
    Pixels,
    Responses,
    add_model_options,
    halves_named,
    load_items,
    open_model,
    shown_command,
)
from unmatched.noises import UnmatchedNoise, conditions
from unmatched.page import NoiseRow, Outcome, make_page

from imc_bench.methods import PDC, BaselineMethod, Denoised, Method, OneStage
from imc_bench.methods.denoisers import non_local_means
from imc_bench.metrics.statistics import answer_flips
from imc_core.sources import sources_digest

SETS = {
    "slake-validation": ("SLAKE validation", "slake", "validate", 0.55),
    "vqa-rad-test": ("VQA-RAD test", "vqa-rad", "test", 0.40),
}
"""By name: how pages call it, data set, split, and the aim for the mean restored share of the first
table's rows."""
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        PDC(),
        OneStage("pixels"),
        OneStage("features"),
        Denoised("non-local means", non_local_means),
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--set", choices=list(SETS), default="slake-validation")
    add_model_options(parser)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--only", nargs="+", help="conditions whose names hold one of these words")
    parser.add_argument("--limit", type=int, help="so many images: to try it")
    parser.add_argument("--work", type=Path, default=Path("runs/unmatched"))
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    args = parser.parse_args()

    chosen = [
        one
        for one in conditions(print)
        if not args.only or any(word in one.name for word in args.only)
    ]
    if not chosen:
        sys.exit(f"no condition is called so: {' '.join(args.only)}")
    name, dataset, split, aim = SETS[args.set]
    context, calibrator = open_model(args.model, args.half, args.acquisition)
    items = load_items(args.data, dataset, split, args.limit)
    images = dict.fromkeys(item.image_group for item in items)
    measurement = Measurement(
        context,
        items,
        args.work,
        sources_digest("vision", "imc_noise", "imc_agents", "unmatched"),
        {image: f"{number:05d}" for number, image in enumerate(images)},
    )
    page = make_page(
        measure(measurement, chosen, args.methods),
        measurement.bootstrap,
        title=f"Noise that PDC was not fitted on: {name}",
        ground=f"{name}, {len(items)} questions on {len(images)} images, "
        + halves_named(calibrator),
        command=f"python benchmarks/pdc_unmatched.py {shown_command(sys.argv[1:])}",
        aim=aim,
    )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, encoding="utf-8")
    print(page)


def measure(
    measurement: Measurement, chosen: list[UnmatchedNoise], methods: list[str]
) -> list[NoiseRow]:
    """A row of each condition."""
    numbers = {name: int(measurement.clusters[g]) for name, g in measurement.image_names().items()}

    def corrupt(condition: UnmatchedNoise, rgb: Pixels, image: str) -> Pixels:
        return condition.corrupt(rgb, numbers[image])

    named = [NamedCondition(one.name, corruption=partial(corrupt, one)) for one in chosen]
    checked = measurement.checked(
        [NamedCondition(), *named], [BaselineMethod(), *(METHODS[name] for name in methods)]
    )
    store = measurement.measure("unmatched", checked)
    own = measurement.responses(store, "", "none")

    def outcome(given: Responses) -> Outcome:
        draws = measurement.bootstrap
        flipped = answer_flips(own.answers, given.answers)
        return Outcome(draws.rate(given.right), draws.rate(flipped))

    def row(condition: UnmatchedNoise) -> NoiseRow:
        alone, *treated = (
            outcome(measurement.responses(store, condition.name, method))
            for method in ("none", *methods)
        )
        return NoiseRow(condition, alone, dict(zip(methods, treated, strict=True)))

    return [row(one) for one in chosen]


if __name__ == "__main__":
    main()
