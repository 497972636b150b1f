"""What the mission's methods are compared with: denoisers, a speller, one-prompt rewriting."""

from __future__ import annotations

import time
from collections.abc import Sequence

from langchain_core.messages import convert_to_messages

from imc_bench.methods.denoisers import Denoiser
from imc_bench.methods.mission import BaselineMethod, encode
from imc_bench.methods.protocol import (
    PreparedImage,
    PreparedQuestion,
    Side,
    Tools,
    local_chat,
    since,
)
from imc_bench.methods.spell_checker import SpellChecker
from prompts.role import places
from vision.reading.medical_image import MedicalImage

REWRITE = (
    "Rewrite this question about a medical image with its mistakes corrected. "
    "Reply with the question alone.\n\n{question}"
)
"""The one prompt of `rewrite`, for models that follow instructions."""


class Denoised(BaselineMethod):
    """An image-space denoiser, applied blindly to every image, as a user would."""

    acts_on: Side = "image"

    def __init__(self, name: str, denoise: Denoiser) -> None:
        self.name = self.image_side = name
        self.denoise = denoise

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """The plain features of the denoised images.

        Raises RunRefused where scikit-image is not installed.
        """
        start = time.perf_counter()
        repaired = [MedicalImage.from_rgb(self.denoise(image.rgb)) for image in images]
        spent = since(start) / max(1, len(images))
        return [
            PreparedImage(
                one.features, one.key, one.key != image.sha256, one.perception, one.ms + spent
            )
            for one, image in zip(encode(repaired, tools, calibrate=False), images, strict=True)
        ]


class SpellChecked(BaselineMethod):
    """`symspell`: a dictionary spell checker, word by word."""

    name = "symspell"
    acts_on: Side = "text"
    text_side = "symspell"

    def __init__(self) -> None:
        self._checker: SpellChecker | None = None

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """Every word that the dictionary lacks becomes its nearest frequent neighbour."""
        if self._checker is None:  # its dictionary takes seconds to load
            self._checker = SpellChecker()
        checked = []
        for question in questions:
            start = time.perf_counter()
            checked.append(PreparedQuestion(self._checker(question), 0, since(start)))
        return checked


class Rewritten(BaselineMethod):
    """`rewrite`: the same model asked, in one prompt, to write the question anew."""

    name = "rewrite"
    acts_on: Side = "text"
    text_side = "rewrite"

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """Whatever the model replies is used; an empty reply leaves the question as it was.

        The embedded model knows one such prompt (`correct: ...`), its corrector's; models that
        follow instructions get `REWRITE`, so that the corrector's safeguards are not borrowed.
        """
        own = tools.context.prompts.corrector
        knows_its_own = own.system is None and places(own.user) == {"question"}
        rewritten: list[PreparedQuestion] = []
        for start in range(0, len(questions), tools.batch):
            chunk = questions[start : start + tools.batch]
            asked = [
                convert_to_messages(
                    own.messages(question=question)
                    if knows_its_own
                    else [{"role": "user", "content": REWRITE.replace("{question}", question)}]
                )
                for question in chunk
            ]
            began = time.perf_counter()
            # a rewritten question is hardly longer than three tokens a word; twice that is ample
            longest = 16 + 6 * max(len(question.split()) for question in chunk)
            replies = local_chat(tools.context).generate_batch(asked, max_new_tokens=longest)
            spent = since(began) / len(chunk)
            rewritten += [
                PreparedQuestion(str(reply.text).strip() or question, 1, spent)
                for question, reply in zip(chunk, replies, strict=True)
            ]
        return rewritten
