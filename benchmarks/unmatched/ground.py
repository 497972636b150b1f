"""The images at the model's input resolution, the questions on them, and the model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ablations.ground import Asker
from ablations.store import Told

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_bench.bootstrap import ClusterBootstrap, Resampled
from imc_bench.statistics import answer_flips
from imc_data.strict_match import is_right
from imc_reference.architecture import IMAGE_SIZE
from imc_reference.real_data import RealImage, load_slake, load_vqa_rad
from unmatched.noises import Pixels
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage, read_image
from vision.reading.resizing import resize_rgb

_BATCH = 32

SLAKE, VQA_RAD = "SLAKE validation", "VQA-RAD test"
SETS = {"slake-validation": SLAKE, "vqa-rad-test": VQA_RAD}


def load(data: Path, name: str) -> list[RealImage]:
    """The images of one of `SETS`."""
    if name == SLAKE:
        return load_slake(data / "slake", "validate")
    return load_vqa_rad(data / "vqa-rad", "test")


class Ground:
    """What every row is measured on."""

    def __init__(self, images: Sequence[RealImage], model: Path) -> None:
        self.clean: list[Pixels] = [
            resize_rgb(read_image(image.path).rgb, (IMAGE_SIZE, IMAGE_SIZE)) for image in images
        ]
        self._asked = [pair for image in images for pair in image.pairs]
        chat = ChatLocalMLLM.from_pretrained(model, device="cpu", dtype="float32")
        self._asker = Asker(chat, [image.pairs for image in images])
        self.encoder = VisionEncoder(chat.model, chat.processor)
        self._plain = Calibrator(self.encoder, None)
        self.bootstrap = ClusterBootstrap(
            [f"{row:05d}" for row, image in enumerate(images) for _ in image.pairs]
        )
        self.own = self.told(self.clean, None).answers

    @property
    def questions(self) -> int:
        """How many are asked."""
        return len(self._asked)

    def told(self, pictures: Sequence[Pixels], calibrator: Calibrator | None) -> Told:
        """Answers about `pictures`, one for each image; None: as the model gives them."""
        features: list[EncodedImage] = []
        touched = 0
        for start in range(0, len(pictures), _BATCH):
            batch = [MedicalImage.from_rgb(one) for one in pictures[start : start + _BATCH]]
            for result in (calibrator or self._plain).calibrate_batch(batch):
                features.append(result.features)
                touched += result.report.applied
        return Told(self._asker.answers(features), touched, len(pictures))

    def right(self, told: Told) -> Resampled:
        """Accuracy, strict."""
        pairs = zip(told.answers, self._asked, strict=True)
        return self.bootstrap.rate(
            [is_right(answer, pair.answer, closed=pair.closed) for answer, pair in pairs]
        )

    def flipped(self, told: Told) -> Resampled:
        """Answers that differ from the model's own on the clean image."""
        return self.bootstrap.rate(np.asarray(answer_flips(self.own, told.answers)))
