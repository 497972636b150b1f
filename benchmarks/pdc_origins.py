"""The acquisition half on pictures of an origin that it was not fitted on.

    python benchmarks/pdc_origins.py --data DATA --fit FOLDER [--model MODEL] [--out FILE]

Clean images of every origin, as `imc prototypes acquisition` finds them, reduced to a shorter side
of 112 and of 336 px: clean, and with `imc_noise`'s kinds at severities 1, 3 and 5 (or the noises of
other makers, `--unmatched`). Each is restored by a half that was fitted without its origin, and
compared with its clean original. `--fit` is the folder of the fit's steps, as `imc prototypes
acquisition` keeps it; what it lacks is fitted first. Outcomes are kept under `--work`: a stopped
measurement goes on where it was. With `--beside FILE` the shipped half is measured beside that
model half's domain, on origins that its references are not of: what comes of pictures that are
taken for the domain's. `--shipped` is the same without a domain; the shipped half has met every
origin here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from measurement import say, shown_command
from origins.document import document
from origins.outcomes import SEED, Half, Restoration, own_corruptions, unmatched_corruptions
from origins.page import make_page
from origins.stored import measured
from transformers import AutoModelForImageTextToText

from imc_app.acquisition_images import images_by_origin
from imc_core.files import replace_file
from imc_core.sources import sources_digest
from imc_noise import CORE_IMAGE
from imc_reference.architecture import load_processor
from vision.acquisition import AcquisitionHalf
from vision.acquisition.domain import Domain
from vision.bank.model_half import ModelHalf
from vision.build.acquisition import AcquisitionFit, OriginReferences
from vision.build.acquisition.references import noise_classes
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

SIDES = (112, 336)
SEVERITIES = (1, 3, 5)
MOST = 30
"""Images of an origin: origins differ more than the pictures of one."""


class HalvesWithout:
    """Halves fitted without one fold of origins each, made when one is first asked for."""

    fitted = (
        "Pictures of origins left out",
        "Every figure for an origin comes from an acquisition half that was fitted, and whose",
        "thresholds were set, on the origins outside its fold. (One thing is not fitted anew for",
        "each: the other origins' trial restorations, from which benefit is predicted, were made",
        "by restorers that had met it.)",
    )

    def __init__(
        self,
        origins: Mapping[str, Sequence[Path]],
        unfinished: Path,
        seed: int,
        jobs: int,
    ) -> None:
        self.references = OriginReferences.of(origins)
        self.unfinished = unfinished
        self.seed = seed
        self.jobs = jobs
        self._by_fold: dict[int, AcquisitionHalf] = {}

    @property
    def digest(self) -> str:
        """Of all that decides the fits, beside the code."""
        listed = [(one.origin, one.file.name) for one in self.references.references]
        decisive = [listed, self.seed]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    @cached_property
    def _fit(self) -> AcquisitionFit:
        return AcquisitionFit(
            self.references,
            noise_classes(),
            seed=self.seed,
            jobs=self.jobs,
            unfinished=self.unfinished,
            progress=lambda step, done, steps: say(f"{step}, {done} of {steps}"),
        ).run()

    def without(self, origin: str) -> Half:
        """The half fitted without the fold that holds an origin."""
        fold = self.references.fold_of(origin)
        if fold not in self._by_fold:
            self._by_fold[fold] = self._fit.half(leave_out=origin)
        return self._by_fold[fold]


class Shipped:
    """The shipped half, which has met every origin here, beside a model half's domain or alone."""

    fitted = (
        "Pictures beside a domain",
        "The shipped acquisition half, which has met every origin here. Beside a model half",
        "(`--beside`) pictures that show what its references show are classified and restored by",
        "fits on these: of any other origin, such a picture is taken for what it is not.",
    )

    def __init__(self, beside: Path | None) -> None:
        self.half = AcquisitionHalf.shipped()
        self.domain: Domain | None = None
        self.digest = self.half.digest
        if beside is not None:
            known = ModelHalf.load(beside, fingerprint=None, acquisition=self.half.digest)
            if known.domain is None:
                raise SystemExit(f"{beside.name} holds no domain: build it again")
            self.domain = known.domain
            self.digest += known.digest

    def without(self, origin: str) -> Half:
        """Itself, whatever the origin."""
        return self

    def restore_batch(self, images: Sequence[MedicalImage]) -> Sequence[Restoration]:
        """Restore pictures at their own sizes."""
        return self.half.restore_batch(images, domain=self.domain)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds clean/, slake/, vqa-rad/")
    halves_of = parser.add_mutually_exclusive_group(required=True)
    halves_of.add_argument("--fit", type=Path, help="the fit's folder of steps")
    halves_of.add_argument("--beside", type=Path, help="a model half: the shipped half beside it")
    halves_of.add_argument("--shipped", action="store_true", help="the shipped half alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the fit")
    parser.add_argument("--seed", type=int, default=0, help="of the fit")
    parser.add_argument("--model", type=Path, help="measure its features too")
    parser.add_argument("--origins", nargs="+", help="these alone")
    parser.add_argument("--kinds", nargs="+", default=list(CORE_IMAGE))
    parser.add_argument("--severities", nargs="+", type=int, default=list(SEVERITIES))
    parser.add_argument("--unmatched", action="store_true", help="noises of other makers instead")
    parser.add_argument("--sides", nargs="+", type=int, default=list(SIDES))
    parser.add_argument("--most", type=int, default=MOST, help="images of an origin")
    parser.add_argument("--work", type=Path, default=Path("runs/origins"))
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    parser.add_argument("--json", type=Path, help="the figures as JSON")
    args = parser.parse_args()

    files = images_by_origin(args.data, args.most, 0)
    if args.origins and set(args.origins) - set(files):
        raise SystemExit(f"no such origin; there are {', '.join(files)}")
    origins = {name: some for name, some in files.items() if name in (args.origins or files)}
    corruptions = (
        unmatched_corruptions() if args.unmatched else own_corruptions(args.kinds, args.severities)
    )
    encoder = load_encoder(args.model) if args.model else None
    halves: HalvesWithout | Shipped = Shipped(args.beside)
    if args.fit:
        references = images_by_origin(args.data, None, 0)
        halves = HalvesWithout(references, args.fit, args.seed, args.jobs)
    code = sources_digest("vision", "imc_noise", "origins", "unmatched")
    by_side = {
        side: [
            outcome
            for origin, some in origins.items()
            for outcome in measured(
                halves.without,
                origin,
                {file.relative_to(args.data).as_posix(): file for file in some},
                side,
                corruptions,
                encoder,
                args.work,
                f"{code} {halves.digest}",
            )
        ]
        for side in args.sides
    }
    images = sum(map(len, origins.values()))
    noises = "noises of other makers" if args.unmatched else f"{len(args.kinds)} kinds of noise"
    page = make_page(
        by_side,
        ground=f"{images} clean images of {len(origins)} origins, {noises}, seed {SEED}",
        command=f"python benchmarks/pdc_origins.py {shown_command(sys.argv[1:])}",
        fitted=halves.fitted,
    )
    if args.json:
        replace_file(args.json, json.dumps(document(by_side), indent=1) + "\n")
    if args.out:
        replace_file(args.out, page)
    print(page)


def load_encoder(model: Path) -> VisionEncoder:
    """The vision encoder of a local model."""
    loaded = AutoModelForImageTextToText.from_pretrained(model, local_files_only=True)
    return VisionEncoder(loaded, load_processor(str(model)))


if __name__ == "__main__":
    main()
