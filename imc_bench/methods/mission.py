"""The mission's four: the bare model, the image calibrated, the question refined, both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from graphs.refining import refine_batch
from imc_bench.conditions import RunRefused
from imc_bench.methods.protocol import PreparedImage, PreparedQuestion, Side, Tools, since
from vision.reading.medical_image import MedicalImage

AS_IT_IS, CALIBRATED = "as it is", "calibrated"
AS_ASKED, REFINED = "as asked", "refined"


class BaselineMethod:
    """`none`: the bare model; and the base of the others, which override a side."""

    name: str = "none"
    acts_on: Side = "nothing"
    image_side: str = AS_IT_IS
    text_side: str = AS_ASKED

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """The plain features."""
        return encode(images, tools, calibrate=False)

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """The question as it is."""
        return [PreparedQuestion(question) for question in questions]


class PDC(BaselineMethod):
    """`pdc`: pictures restored and features calibrated by both halves of PDC."""

    name = "pdc"
    acts_on: Side = "image"
    image_side = CALIBRATED

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """Perceived and calibrated; bit-identical to the plain features where the gate is shut."""
        return encode(images, tools, calibrate=True)


class OneStage(BaselineMethod):
    """`pdc-pixels`, `pdc-features`: one stage alone, to measure it by itself.

    Each classifies noise from its own source of statistics; `pdc-features` is the form in which
    the encoder perceives and prototypes calibrate its features.
    """

    acts_on: Side = "image"

    def __init__(self, stage: Literal["pixels", "features"]) -> None:
        """Switch the other stage off."""
        self.name = f"pdc-{stage}"
        self.image_side = f"{CALIBRATED}: {stage}"
        self.stage = stage

    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """As `pdc`; features carry the stage's name, so that answers about them are not shared."""
        calibrator = tools.context.calibrator
        if calibrator is not None:
            calibrator = calibrator.with_stages([self.stage])
            tools = replace(tools, context=replace(tools.context, calibrator=calibrator))
        return encode(images, tools, calibrate=True, label=self.image_side)


class SMS(BaselineMethod):
    """`sms`: the question refined by the four agents."""

    name = "sms"
    acts_on: Side = "text"
    text_side = REFINED

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """As the sms graph refines each, all of them in lock step.

        Raises QuestionRefused for a question that no model can be asked.
        """
        start = time.perf_counter()
        refined = refine_batch(questions, tools.context.with_policy(method="sms"))
        spent = since(start) / max(1, len(questions))
        return [
            PreparedQuestion(
                question if (decision := state.get("decision")) is None else decision.used,
                sum(step.calls for step in state["trace"]),
                spent,
            )
            for question, state in zip(questions, refined, strict=True)
        ]


class IMC(PDC):
    """`imc`: both."""

    name = "imc"
    acts_on: Side = "both"
    text_side = REFINED

    def prepare_questions(self, questions: Sequence[str], tools: Tools) -> list[PreparedQuestion]:
        """As `sms` does."""
        return SMS().prepare_questions(questions, tools)


def encode(
    images: Sequence[MedicalImage], tools: Tools, *, calibrate: bool, label: str = CALIBRATED
) -> list[PreparedImage]:
    """Features of several images in one pass of the encoder where their sizes allow it.

    `label` tells calibrated features from those of another calibrator.

    Raises RunRefused where the context has no image side.
    """
    calibrator = tools.context.calibrator
    if calibrator is None:
        raise RunRefused("the model has no image side: answers about images cannot be measured")
    start = time.perf_counter()
    results = calibrator.calibrate_batch(images, calibrate=calibrate, perceive=calibrate)
    spent = since(start) / max(1, len(images))
    return [
        PreparedImage(
            one.features,
            image.sha256 + (f":{label}" if one.report.applied else ""),
            one.report.applied,
            one.perception,
            spent,
        )
        for image, one in zip(images, results, strict=True)
    ]
