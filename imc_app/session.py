"""From a command line to the rooms below: open a model once, put requests to it.

Each opening function checks the names of files first, which takes no model library, and imports
and loads only then: a mistyped path is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from imc_app.corruption import NoiseRequest, corrupt_image, corrupt_question, parse_noise
from imc_app.notices import detail, waiting
from imc_app.options import REFERENCE
from imc_app.perceivers import Perceiver, PicturePerceiver, check_acquisition, open_acquisition
from imc_app.stages import STAGES
from imc_reference import BANK_PATH, MODEL_DIR

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.types import Durability

    from graphs.context import IMCContext
    from graphs.state import IMCInput, IMCOutput
    from imc_agents.chat.placement import Placement
    from imc_agents.policy import Method
    from vision.encoder.vision_encoder import VisionEncoder
    from vision.pdc import Calibrator
    from vision.reading.medical_image import MedicalImage

Document = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One image and one question, read and checked, corrupted where that was asked for."""

    image: MedicalImage
    question: str
    applied: tuple[NoiseRequest, ...] = ()
    """What they were corrupted with."""


def read_request(
    image: str | Path, question: str, noise: Sequence[str], *, frame: int | None, seed: int
) -> Request:
    """Read what was typed; refused before a model is loaded.

    Raises:
        ImageRefused, QuestionRefused, UnknownNoise, InputRefused: in one line each.
    """
    from imc_agents.safeguards.question_checks import check_question
    from vision.reading.medical_image import MedicalImage, read_image

    requests = tuple(parse_noise(option) for option in noise)
    check_question(question)
    read = read_image(image, frame=frame)
    detail(f"read {image}: {read.source_format}, {read.width} x {read.height}")
    if any(request.modality == "image" for request in requests):
        rgb = corrupt_image(read.rgb, read.sha256, requests, seed)
        read = MedicalImage.from_rgb(rgb, read.source_format)
    return Request(read, corrupt_question(question, requests, seed), requests)


def open_context(
    model: str | None,
    prototypes: Path | None = None,
    *,
    acquisition: Path | None = None,
    profile: str = "auto",
    protected: Sequence[Path] = (),
    method: Method = "imc",
    stages: Sequence[str] = STAGES,
    seed: int = 0,
    placement: Placement | None = None,
) -> IMCContext:
    """Load a model (None: the embedded one) and everything the graphs need beside it.

    `prototypes`, `acquisition`, `stages`, `placement`: as in `graphs.context.load_context`.

    Raises ModelRefused, BankRefused, MarginsRefused, ProtectedWordsRefused or PromptRefused, each
    in one line.
    """
    check_files(model, prototypes, acquisition)
    check_context(None if profile == "auto" else profile, protected)
    with waiting(f"loading model {model_name(model)}"):
        from graphs.context import load_context

        return load_context(
            MODEL_DIR if model is None else model,
            prototypes,
            acquisition=acquisition,
            stages=stages,
            profile=None if profile == "auto" else profile,
            protected=protected,
            method=method,
            seed=seed,
            placement=placement,
        )


def check_context(profile: str | None, protected: Sequence[Path]) -> None:
    """Refuse files of prompts and protected words before a model is loaded for them."""
    if protected:
        from imc_agents.safeguards.protected import load_protected

        load_protected(*protected)
    if profile is not None:
        from prompts import load_prompts

        load_prompts(profile)


def model_name(model: str | None) -> str:
    """How notices call a model."""
    return REFERENCE if model is None else str(model)


@dataclass(frozen=True)
class Outcome:
    """What came of one request."""

    document: Document
    """As `imc ask --json` prints it."""
    correction: str
    """Why the image was corrected, or why it was left as it was; empty where that is not known."""
    failure: str | None
    """Why there is no answer; None where there is one."""


def answer_request(context: IMCContext, request: Request, *, timings: bool = True) -> Outcome:
    """Put one request through the imc graph, and keep nothing."""
    asked: IMCInput = {"image": context.images.put(request.image), "question": request.question}
    return outcome_of(answer_state(context, asked), context, timings=timings)


def answer_state(
    context: IMCContext,
    asked: IMCInput | None,
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    config: RunnableConfig | None = None,
) -> IMCOutput:
    """What the imc graph returns; with a checkpointer every step is kept before the next begins.

    Args:
        context: the model and its policy.
        asked: image and question; None: go on where the thread of `config` was stopped.
        checkpointer: where the thread is kept; None: nowhere.
        config: names the thread.
    """
    from graphs.imc import build_imc_graph

    graph = build_imc_graph(checkpointer=checkpointer)
    durability: Durability | None = None if checkpointer is None else "sync"
    state = graph.invoke(cast("Any", asked), config, context=context, durability=durability)
    return cast("IMCOutput", state)


def outcome_of(state: IMCOutput, context: IMCContext, *, timings: bool = True) -> Outcome:
    """The outcome in the state that the imc graph returned."""
    from graphs.document import to_document

    answer, calibration = state.get("answer"), state.get("calibration")
    return Outcome(
        to_document(state, context, timings=timings),
        "" if calibration is None else calibration.reason,
        "it was never asked" if answer is None else answer.failure,
    )


def open_refiner(
    model: str | None,
    *,
    profile: str = "auto",
    protected: Sequence[Path] = (),
    seed: int = 0,
    placement: Placement | None = None,
) -> Callable[[Sequence[str]], list[Document]]:
    """Load a model and return what refines questions, each as `imc refine --json` prints it."""
    context = open_context(
        model,
        profile=profile,
        protected=protected,
        method="sms",
        seed=seed,
        placement=placement,
    )

    def refine(questions: Sequence[str]) -> list[Document]:
        from graphs.document import question_document
        from graphs.refining import refine_batch

        return [question_document(output) for output in refine_batch(questions, context)]

    return refine


def open_encoder(
    model: str | None,
    *,
    placement: Placement | None = None,
    blocks: str | None = None,
) -> VisionEncoder:
    """Load a model and tap its vision encoder, at `blocks` where they are named.

    Raises ModelRefused, and EncoderRefused where `blocks` names no list of modules.
    """
    check_files(model)
    with waiting(f"loading model {model_name(model)}"):
        from imc_agents.chat.loading import load_local_mllm
        from vision.encoder.vision_encoder import VisionEncoder, model_fingerprint

        local = load_local_mllm(MODEL_DIR if model is None else model, placement=placement)
        return VisionEncoder(
            local.model,
            local.processor,
            fingerprint=model_fingerprint(local.model),
            blocks=blocks,
        )


def open_calibrator(
    model: str | None,
    prototypes: Path | None = None,
    *,
    acquisition: Path | None = None,
    stages: Sequence[str] = STAGES,
    placement: Placement | None = None,
) -> Calibrator:
    """Load a model's image side with its model half: the one given, or the model's own.

    Raises ModelRefused, BankRefused.
    """
    check_files(model, prototypes, acquisition)
    with waiting(f"loading model {model_name(model)}"):
        from imc_agents.chat.loading import load_local_mllm
        from vision.bank.metadata import fits_acquisition
        from vision.pdc import Calibrator

        half = None if acquisition is None else open_acquisition(acquisition)
        bank = prototypes or bank_of(model)
        if prototypes is None and bank and half and not fits_acquisition(bank, half.digest):
            bank = None
        local = load_local_mllm(MODEL_DIR if model is None else model, placement=placement)
        return Calibrator.load(local.model, local.processor, bank, acquisition=half, stages=stages)


def open_perceiver(
    model: str | None,
    prototypes: Path | None = None,
    *,
    acquisition: Path | None = None,
    stages: Sequence[str] = STAGES,
    placement: Placement | None = None,
) -> Perceiver:
    """What perceives the noise of pictures; a model is loaded only where one takes part.

    That is where a model or model half is named, and where the encoder's witness perceives alone.
    Else the acquisition half perceives, at each picture's own size.

    Raises ModelRefused, BankRefused.
    """
    if model is None and prototypes is None and "pixels" in stages:
        return PicturePerceiver(open_acquisition(acquisition))
    return open_calibrator(
        model, prototypes, acquisition=acquisition, stages=stages, placement=placement
    )


def bank_of(model: str | None) -> Path | None:
    """The model half in a model's folder; None where there is none. Raises ModelRefused."""
    own = check_files(model) / BANK_PATH.name
    return own if own.is_file() else None


def check_files(
    model: str | None, prototypes: Path | None = None, acquisition: Path | None = None
) -> Path:
    """The model's folder; refuses what is not there before anything is imported for it."""
    from imc_agents.chat.loading import find_model
    from vision.errors import BankRefused

    if prototypes is not None and not prototypes.is_file():
        raise BankRefused(
            f"model half {prototypes}: no such file; build one with imc prototypes build"
        )
    if acquisition is not None:
        check_acquisition(acquisition)
    return find_model(MODEL_DIR if model is None else model)
