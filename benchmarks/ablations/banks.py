"""The banks that are compared: built from clean references, no labels, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measurement import sources_digest

from imc_noise import CORE_IMAGE
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from imc_reference.real_data import load_vqa_rad
from imc_reference.recipe import BANK_PHANTOMS, bank_references
from vision.bank.prototype_bank import PrototypeBank
from vision.build.draws import MIN_IMAGES, SEVERITY_ABOVE_MAX
from vision.build.prototypes import build_bank
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage, read_image

SIZES = (32, 64, 128, 256, 512)
"""There are some 560 distinct real images that no test shows, so no bank of 1,024."""
_PHANTOM_SEED = 6_007
"""Phantoms that the model was not trained on."""
_SEED = 0

Say = Callable[[str], None]


class Banks:
    """Builds a bank when it is first asked for; afterwards reads it."""

    def __init__(
        self, encoder: VisionEncoder, data: Path, folder: Path, references: int, say: Say
    ) -> None:
        """`references` is the size of every bank whose size is not the point."""
        self.encoder, self.data, self.folder = encoder, data, folder
        self.references, self.say = references, say
        self._real: list[MedicalImage] = []
        self._held: dict[str, PrototypeBank] = {}

    def real(self, count: int) -> list[MedicalImage]:
        """The first so many of the shipped bank's real references, in its seeded order: smaller
        sets are parts of larger ones."""
        if not self._real:
            self._real = bank_references(self.data, _SEED)[:-BANK_PHANTOMS]
        return self._real[:count]

    def of_size(self, count: int) -> PrototypeBank:
        """From so many real references."""
        return self._bank(f"{count}", lambda: self.real(count))

    def usual(self) -> PrototypeBank:
        """From `references` real images: what the other banks are compared with."""
        return self.of_size(self.references)

    def without(self, kind: str) -> PrototypeBank:
        """The usual one without a core kind."""
        kinds = tuple(one for one in CORE_IMAGE if one != kind)
        return self._bank(f"without-{kind}", lambda: self.real(self.references), kinds=kinds)

    def odd_severities(self) -> PrototypeBank:
        """The usual one at severities 1, 3, 5 and beyond."""
        return self._bank(
            "severities-1-3-5",
            lambda: self.real(self.references),
            severities=(1, 3, 5, SEVERITY_ABOVE_MAX),
        )

    def vqa_rad(self) -> PrototypeBank:
        """From images of VQA-RAD's training split alone."""
        return self._bank("vqa-rad", self._vqa_rad)

    def phantoms(self) -> PrototypeBank:
        """From phantoms alone."""
        return self._bank("phantoms", self._phantoms)

    def _vqa_rad(self) -> list[MedicalImage]:
        images = load_vqa_rad(self.data / "vqa-rad", "train")
        order = np.random.default_rng(_SEED).permutation(len(images))[: self.references]
        return [read_image(images[int(i)].path) for i in order]

    def _phantoms(self) -> list[MedicalImage]:
        return [
            MedicalImage.from_rgb(
                as_rgb(make_phantom(np.random.default_rng([_PHANTOM_SEED, i])).image)
            )
            for i in range(self.references)
        ]

    def _bank(
        self,
        name: str,
        images: Callable[[], Sequence[MedicalImage]],
        *,
        kinds: Sequence[str] = CORE_IMAGE,
        severities: Sequence[int] = (1, 2, 3, 4, 5, SEVERITY_ABOVE_MAX),
    ) -> PrototypeBank:
        if name in self._held:
            return self._held[name]
        made = hashlib.sha256(
            f"{self.encoder.fingerprint} {self.references} {_SEED} "
            f"{sources_digest('vision', 'imc_noise', 'imc_reference')}".encode()
        ).hexdigest()[:12]
        path = self.folder / f"{name}-{made}.safetensors"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            references = images()
            self.say(f"bank {name}: {len(references)} references")
            build_bank(
                self.encoder,
                references,
                kinds=kinds,
                severities=severities,
                seed=_SEED,
                fewest=min(len(references), MIN_IMAGES),
            ).save(path)
        self._held[name] = PrototypeBank.load(path, fingerprint=self.encoder.fingerprint)
        return self._held[name]
