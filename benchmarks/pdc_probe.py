"""Probe a prototype bank on real images it never saw: what is perceived, what is restored.

    python benchmarks/pdc_probe.py --model FOLDER --data FOLDER --bank FILE [--build 384]

`--data` holds `slake/` and `vqa-rad/` in their published layouts. With `--build N` the bank is
built first, from N training images of both. Printed, on SLAKE validation images: false alarms on
clean ones, share of noisy ones that open the gate, kind accuracy (of each witness too), and the
feature error at the projector's input left after calibration, |calibrated - clean| /
|noisy - clean|, over all images (an untouched one counts 1) and over the touched.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from imc_noise import CORE_IMAGE, apply_image, noise_rng
from vision.draws import resized
from vision.encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.prototypes import PrototypeBank, build_bank
from vision.reading import MedicalImage, read_image

TEST_PHRASES = ("test_freeform", "test_para")


def slake(data: Path, split: str, limit: int | None = None) -> list[MedicalImage]:
    entries = json.loads((data / "slake" / f"{split}.json").read_text(encoding="utf-8"))
    names = sorted({entry["img_name"] for entry in entries if entry["q_lang"] == "en"})
    order = np.random.default_rng(0).permutation(len(names))[:limit]
    return [read_image(data / "slake" / "imgs" / names[i]) for i in order]


def vqa_rad(data: Path, *, test: bool, limit: int | None = None) -> list[MedicalImage]:
    entries = json.loads((data / "vqa-rad" / "VQA_RAD Dataset Public.json").read_text("utf-8"))
    held = {e["image_name"] for e in entries if e["phrase_type"] in TEST_PHRASES}
    names = sorted(held if test else {e["image_name"] for e in entries} - held)[:limit]
    return [read_image(data / "vqa-rad" / "VQA_RAD Image Folder" / name) for name in names]


def features(encoder: VisionEncoder, images: list[MedicalImage], visit=None) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    """Each image's features at the last tap (tokens, dim), after the calibrator's own visit."""
    found: list[torch.Tensor] = []
    for image in images:
        inputs = encoder.prepare(image)
        task = visit(image, inputs) if visit else None
        seen: list[torch.Tensor] = []

        def see(tap, hidden, task=task, seen=seen):  # type: ignore[no-untyped-def]
            changed = task.visit(tap, hidden) if task else None
            if tap == encoder.taps[-1]:
                seen.append((hidden if changed is None else changed).float().flatten(0, 2).clone())
            return changed

        encoder.visit(inputs, see, last_tap=encoder.taps[-1])
        found.append(seen[0])
    return found


def spoilt(image: MedicalImage, kind: str, severity: int, side: int | None) -> MedicalImage:
    working = image if side is None else resized(image, side)
    rng = noise_rng(f"probe {image.sha256}", kind, severity, 1)
    return MedicalImage.from_rgb(apply_image(kind, working.rgb, severity, rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--build", type=int, default=0, help="build the bank from N images first")
    parser.add_argument("--images", type=int, default=48, help="noisy validation images per cell")
    parser.add_argument("--severities", type=int, nargs="+", default=[3, 5])
    arguments = parser.parse_args()

    model = AutoModelForImageTextToText.from_pretrained(arguments.model).eval()
    processor = AutoProcessor.from_pretrained(arguments.model, backend="pil")
    encoder = VisionEncoder(model, processor)
    if arguments.build:
        references = vqa_rad(arguments.data, test=False)
        references += slake(arguments.data, "train", arguments.build - len(references))
        began = time.perf_counter()
        build_bank(
            encoder,
            references,
            progress=lambda what, done, of: print(f"{what} {done}/{of}", flush=True),
        ).save(arguments.bank)
        size = arguments.bank.stat().st_size / 1e6
        print(f"built in {time.perf_counter() - began:.0f} s, {size:.1f} MB")
    bank = PrototypeBank.load(arguments.bank, fingerprint=encoder.fingerprint)
    calibrator = Calibrator(encoder, bank)
    images = slake(arguments.data, "validate")
    report_clean("SLAKE validation", calibrator, images)
    report_clean("VQA-RAD test", calibrator, vqa_rad(arguments.data, test=True, limit=100))
    images = images[: arguments.images]
    clean = features(encoder, images)
    for where, side in (("input", bank.side), ("native", None)):
        for severity in arguments.severities:
            for kind in CORE_IMAGE:
                noisy = [spoilt(image, kind, severity, side) for image in images]
                report_noisy(f"{where:6} {severity} {kind:12}", kind, calibrator, noisy, clean)


def report_clean(name: str, calibrator: Calibrator, images: list[MedicalImage]) -> None:
    perceived = [calibrator.perceive(image) for image in images]
    alarms = np.mean([one.kind != "clean" for one in perceived])
    print(f"clean {name}: false alarms {alarms:.3f} of {len(images)}", flush=True)


def report_noisy(
    name: str,
    kind: str,
    calibrator: Calibrator,
    noisy: list[MedicalImage],
    clean: list[torch.Tensor],
) -> None:
    tasks = []

    def visit(image, inputs):  # type: ignore[no-untyped-def]
        tasks.append(calibrator.begin([image], inputs))
        return tasks[-1]

    after = features(calibrator.encoder, noisy, visit)
    before = features(calibrator.encoder, noisy)
    perceived = [one for task in tasks if (one := task.perception(0)) is not None]
    ratios = [
        float((a - c).norm() / (b - c).norm()) for a, b, c in zip(after, before, clean, strict=True)
    ]
    touched = [ratio for ratio, task in zip(ratios, tasks, strict=True) if task.touched[0]]
    noises = [{k: v for k, v in one.posterior.items() if k != "clean"} for one in perceived]
    alone = {
        witness: np.mean([_likeliest(one.witnesses[witness]) == kind for one in perceived])
        for witness in perceived[0].witnesses
    }
    severities = [one.severity for one in perceived if one.kind == kind]
    print(
        f"{name} gate {np.mean([one.kind != 'clean' for one in perceived]):.2f} "
        f"kind {np.mean([_likeliest(noise) == kind for noise in noises]):.2f} "
        f"({', '.join(f'{w} {share:.2f}' for w, share in alone.items())}) "
        f"severity {np.mean(severities) if severities else float('nan'):.1f} "
        f"error {np.mean(ratios):.3f}, touched {np.mean(touched) if touched else float('nan'):.3f}",
        flush=True,
    )


def _likeliest(posterior: dict[str, float]) -> str:
    noises = {kind: share for kind, share in posterior.items() if kind != "clean"}
    return max(noises, key=lambda kind: noises[kind])


if __name__ == "__main__":
    main()
