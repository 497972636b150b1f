"""Noise classified by each witness: pixels, encoder, both; found at which rate of false alarms.

    python benchmarks/perception_sources.py --data DATA [--out FOLDER] [--limit IMAGES]

Noise: SLAKE validation, six core kinds at severities 1 to 5 and the clean images, at the model's
input resolution, seed 0. Clean images as published: SLAKE validation, VQA-RAD test and phantoms.
*Pixels*: the acquisition half; *encoder*: token statistics of one whole pass (the model half);
*joint*: the joint density of the class scores of both. *Gate aside*: the likeliest noise, whatever
the p-value of clean; the diagram is of its probability, given that there is noise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measurement import add_model_options, halves_named, open_model, shown_command
from witnesses import ENCODER, JOINT, PIXELS, Classified, Witnesses, corrupted, most_likely

from imc_bench.metrics.statistics import confusion, false_alarms
from imc_bench.report.reliability import Reliability, reliability
from imc_bench.report.reliability_tables import bin_table
from imc_bench.report.table import Table, percent, shown_estimate
from imc_noise import CORE_IMAGE
from imc_reference.architecture import IMAGE_SIZE
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from imc_reference.real_data import RealImage, load_slake, load_vqa_rad
from vision.acquisition.half import ALPHA
from vision.pdc import WITNESS_ALPHA
from vision.reading.medical_image import MedicalImage, read_image
from vision.reading.resizing import resize_rgb
from vision.report import CLEAN, UNKNOWN, NoisePerception

SEVERITIES = (1, 2, 3, 4, 5)
LEVELS = {PIXELS: ALPHA, ENCODER: WITNESS_ALPHA, JOINT: WITNESS_ALPHA}
"""Significance level of each witness' gate: those of the calibrator; the joint one gates nothing
there and is shown at the encoder's."""
PHANTOMS = 200
_PHANTOM_SEED = 7_001
"""Phantoms that neither training nor a fit draws."""

Perceived = Mapping[str, Sequence[NoisePerception]]
"""By witness: each image's noise, at the witness' level."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/ and slake/")
    add_model_options(parser)
    parser.add_argument("--limit", type=int, help="so many images of each set: to try it")
    parser.add_argument("--out", type=Path, help="folder for perception.md and perception.png")
    args = parser.parse_args()

    _, calibrator = open_model(args.model, args.half, args.acquisition)
    witnesses = Witnesses(calibrator, LEVELS)
    sets = {
        "SLAKE validation": _read(load_slake(args.data / "slake", "validate")[: args.limit]),
        "VQA-RAD test": _read(load_vqa_rad(args.data / "vqa-rad", "test")[: args.limit]),
        "phantoms": _phantoms(min(PHANTOMS, args.limit or PHANTOMS)),
    }
    clean = {name: witnesses.classify(images).perceived for name, images in sets.items()}
    shown = [_at_input(image) for image in sets["SLAKE validation"]]
    truth, found = _noisy(witnesses, shown)
    names = witnesses.names
    diagrams = {name: _diagram(truth, found.perceived[name]) for name in names}
    tables = [
        _levels(clean, truth, found.perceived),
        _found_by_kind(truth, found.perceived),
        *(_confusion(name, truth, found.perceived[name]) for name in names),
        bin_table(
            "reliability",
            "Probability of the likeliest noise, and how often it is the one",
            diagrams,
        ),
        _decisions(truth, found),
    ]
    head = (
        f"# {(__doc__ or '').splitlines()[0]}\n\n"
        f"By `python benchmarks/perception_sources.py {shown_command(sys.argv[1:])}`: "
        f"{halves_named(calibrator)}.\n\n{_about()}\n\n"
    )
    page = "\n".join(table.markdown() for table in tables)
    print(head + page)
    if args.out is not None:
        from imc_bench.report.reliability_plots import reliability_plot

        args.out.mkdir(parents=True, exist_ok=True)
        picture = "![](perception.png)\n\n"
        (args.out / "perception.md").write_text(head + picture + page, encoding="utf-8")
        plot = reliability_plot(
            diagrams,
            "Reliability diagram: probability of the likeliest noise against how often it is right",
            f"data: SLAKE validation, {len(shown)} images, each with every core noise · model: "
            f"{args.model.name} · severities 1 to 5",
        )
        (args.out / "perception.png").write_bytes(plot.png)


def _about() -> str:
    """The docstring's last paragraph."""
    return (__doc__ or "").strip().split("\n\n")[-1]


def _read(images: Sequence[RealImage]) -> list[MedicalImage]:
    return [read_image(image.path) for image in images]


def _phantoms(count: int) -> list[MedicalImage]:
    drawn = (make_phantom(np.random.default_rng([_PHANTOM_SEED, i])) for i in range(count))
    return [MedicalImage.from_rgb(as_rgb(phantom.image)) for phantom in drawn]


def _at_input(image: MedicalImage) -> MedicalImage:
    return MedicalImage.from_rgb(resize_rgb(image.rgb, (IMAGE_SIZE, IMAGE_SIZE)))


def _noisy(
    witnesses: Witnesses, images: Sequence[MedicalImage]
) -> tuple[list[str], Classified]:
    """The true kind of every picture, clean ones first, and what was found in it."""
    truth, found = [CLEAN] * len(images), witnesses.classify(images, restore=True)
    for kind in CORE_IMAGE:
        for severity in SEVERITIES:
            truth += [kind] * len(images)
            noisy = [corrupted(image, n, kind, severity) for n, image in enumerate(images)]
            found += witnesses.classify(noisy, restore=True)
    return truth, found


def _diagram(truth: Sequence[str], perceived: Sequence[NoisePerception]) -> Reliability:
    named = [
        (*most_likely(one), kind)
        for one, kind in zip(perceived, truth, strict=True)
        if kind != CLEAN
    ]
    return reliability(
        [probability for _, probability, _ in named], [name == kind for name, _, kind in named]
    )


def _levels(clean: Mapping[str, Perceived], truth: Sequence[str], perceived: Perceived) -> Table:
    """Each witness at both levels: clean called noisy, noisy found, kind named."""
    noisy = [i for i, kind in enumerate(truth) if kind != CLEAN]
    rows = []
    for name, found in perceived.items():
        aside = np.mean([most_likely(found[i])[0] == truth[i] for i in noisy])
        for level in sorted(set(LEVELS.values())):
            past = [i for i in noisy if found[i].clean_p_value <= level]
            named = sum(most_likely(found[i])[0] == truth[i] for i in past)
            alarms = (
                false_alarms(
                    [CLEAN if one.clean_p_value > level else UNKNOWN for one in images[name]]
                )
                for images in clean.values()
            )
            rows.append(
                (
                    name,
                    f"{level:g}" + (", its own" if level == LEVELS[name] else ""),
                    *map(shown_estimate, alarms),
                    percent(len(past) / len(noisy)),
                    percent(named / len(noisy)),
                    percent(float(aside)),
                )
            )
    return Table(
        "levels",
        "Each witness at two levels",
        (
            "witness",
            "level",
            *(f"{name}: clean called noisy %" for name in clean),
            "noisy found %",
            "noisy found, kind right %",
            "kind right, gate aside %",
        ),
        tuple(rows),
        "Noisy: SLAKE validation, all severities together. Training images of SLAKE and VQA-RAD "
        "are among the fits' references.",
    )


def _found_by_kind(truth: Sequence[str], perceived: Perceived) -> Table:
    def cells(kind: str) -> list[str]:
        rows = [i for i, true in enumerate(truth) if true == kind]
        shares = (
            np.array([[found[i].kind != CLEAN, most_likely(found[i])[0] == kind] for i in rows])
            for found in perceived.values()
        )
        return [percent(float(one)) for share in shares for one in share.mean(axis=0)]

    return Table(
        "found",
        "Noisy images found at the witness' own level, and kind right with the gate aside, %",
        ("kind", *(f"{name}: {what}" for name in perceived for what in ("found", "kind right"))),
        tuple((kind, *cells(kind)) for kind in CORE_IMAGE),
    )


def _decisions(truth: Sequence[str], found: Classified) -> Table:
    """What the acquisition half does with each picture, by true kind."""
    rounds = np.array([len(one.rounds) for one in found.restorations])
    declined = np.array([bool(one.declined) for one in found.restorations])
    kinds = np.array(truth)
    most = int(rounds.max(initial=1))

    def cells(kind: str) -> list[str]:
        own = kinds == kind
        unchanged = own & (rounds == 0)
        counts = [
            int((unchanged & ~declined).sum()),
            int((unchanged & declined).sum()),
            *(int((own & (rounds == count)).sum()) for count in range(1, most + 1)),
        ]
        return [str(count) for count in counts]

    return Table(
        "decisions",
        "What is done with a picture (images)",
        ("true kind", "taken for clean", "declined", *(f"rounds: {n}" for n in range(1, most + 1))),
        tuple((kind, *cells(kind)) for kind in (CLEAN, *CORE_IMAGE)),
        "The removal of stripes is a round of its own.",
    )


def _confusion(name: str, truth: Sequence[str], perceived: Sequence[NoisePerception]) -> Table:
    kinds = [CLEAN, *CORE_IMAGE]
    others = sorted({one.kind for one in perceived} - {*kinds, UNKNOWN})
    labels = [*kinds, *others, UNKNOWN]
    counts = confusion(truth, [one.kind for one in perceived], labels)[: len(kinds)]
    return Table(
        f"confusion-{name}",
        f"Perceived noise (images): {name}, at {LEVELS[name]:g}",
        ("true kind", *labels),
        tuple((kind, *map(str, row)) for kind, row in zip(kinds, counts.tolist(), strict=True)),
    )


if __name__ == "__main__":
    main()
