"""From a command line to the rooms below: open a model once, put requests to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from graphs.context import BANK_FILE, IMCContext, load_context
from graphs.document import Document, question_document, to_document
from graphs.imc import build_imc_graph
from graphs.refining import refine_batch
from graphs.state import IMCInput, IMCOutput
from imc_agents.chat.loading import load_local_mllm
from imc_agents.policy import Method
from imc_agents.safeguards.question_checks import check_question
from imc_app.spoil import read_noise, spoil_image, spoil_question
from imc_reference import MODEL_DIR
from vision.bank.prototype_bank import PrototypeBank
from vision.encoder.vision_encoder import VisionEncoder, model_fingerprint
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage, read_image


@dataclass(frozen=True)
class Request:
    """One image and one question, read and checked, corrupted where that was asked for."""

    image: MedicalImage
    question: str


def read_request(
    image: str, question: str, noise: Sequence[str], *, frame: int | None, seed: int
) -> Request:
    """Read what was typed; refused before a model is loaded.

    Raises:
        ImageRefused, QuestionRefused, UnknownNoise, InputRefused: in one line each.
    """
    requests = [read_noise(option) for option in noise]
    check_question(question)
    read = read_image(image, frame=frame)
    if any(request.modality == "image" for request in requests):
        rgb = spoil_image(read.rgb, read.sha256, requests, seed)
        read = MedicalImage.from_rgb(rgb, read.source_format)
    return Request(read, spoil_question(question, requests, seed))


def open_context(
    model: str | None,
    prototypes: Path | None = None,
    *,
    profile: str = "auto",
    method: Method = "imc",
    seed: int = 0,
) -> IMCContext:
    """Load a model (None: the embedded one) and everything the graphs need beside it."""
    return load_context(
        MODEL_DIR if model is None else model,
        prototypes,
        profile=None if profile == "auto" else profile,
        method=method,
        seed=seed,
    )


def answer_request(
    context: IMCContext, request: Request, *, timings: bool = True
) -> tuple[Document, str | None]:
    """Put one request through the imc graph.

    Returns:
        The document of `imc ask --json`, and why there is no answer, or None.
    """
    asked: IMCInput = {
        "image": context.images.put(request.image),
        "question": request.question,
    }
    output = build_imc_graph().invoke(asked, context=context)
    state = cast("IMCOutput", output)
    answer = state.get("answer")
    failure = "it was never asked" if answer is None else answer.failure
    return to_document(state, context, timings=timings), failure


def open_refiner(
    model: str | None, *, profile: str = "auto", seed: int = 0
) -> Callable[[Sequence[str]], list[Document]]:
    """Load a model and return what refines questions, each as `imc refine --json` prints it."""
    context = open_context(model, profile=profile, method="sms", seed=seed)

    def refine(questions: Sequence[str]) -> list[Document]:
        return [question_document(output) for output in refine_batch(questions, context)]

    return refine


def open_encoder(model: str | None) -> VisionEncoder:
    """Load a model and tap its vision encoder."""
    local = load_local_mllm(MODEL_DIR if model is None else model)
    return VisionEncoder(local.model, local.processor, fingerprint=model_fingerprint(local.model))


def open_calibrator(model: str | None, prototypes: Path | None = None) -> Calibrator:
    """Load a model's image side with its prototype bank: the one given, or the model's own."""
    encoder = open_encoder(model)
    own = Path(MODEL_DIR if model is None else model) / BANK_FILE
    if prototypes is None and not own.is_file():
        return Calibrator(encoder, None)
    return Calibrator(
        encoder, PrototypeBank.load(prototypes or own, fingerprint=encoder.fingerprint)
    )
