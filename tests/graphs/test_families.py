"""One graph, every family: encoder tapped and run once, gate closed exact, gate open felt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from graphs.context import IMCContext
from graphs.imc import build_imc_graph
from graphs.stores import FeatureStore, ImageStore
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.policy import Policy
from prompts import load_prompts
from tests.fakes import small_lexicon
from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.acquisition_stand_in import SmoothingAcquisition
from tests.vision.conftest import corrupted, projected, scan
from vision.encoder.vision_encoder import VisionEncoder, model_fingerprint
from vision.pdc import Calibrator

QUESTION = "Is there a lesion in the liver?"
NEVER, ALWAYS = 1e-12, 1.0 - 1e-12
"""Levels of the gate at which no image and every image counts as noisy."""


@pytest.fixture(scope="module", params=FAMILIES)
def context(request: pytest.FixtureRequest) -> IMCContext:
    """A real model of one family, tiny and random, and a stand-in for the acquisition half."""
    tiny = build_tiny(request.param)
    model = tiny.model
    encoder = VisionEncoder(model, tiny.processor, fingerprint=model_fingerprint(model))
    return IMCContext(
        chat=ChatLocalMLLM.from_parts(model, tiny.processor, name=request.param),
        calibrator=Calibrator(encoder, acquisition=SmoothingAcquisition()),  # type: ignore[arg-type]
        lexicon=small_lexicon(),
        prompts=load_prompts("instruct"),
        policy=Policy(max_answer_tokens=6),
        model_name=request.param,
    )


def gated(context: IMCContext, alpha: float) -> IMCContext:
    """The same context with the gate at another level and nothing held."""
    old = context.calibrator
    assert old is not None
    return replace(
        context,
        calibrator=Calibrator(old.encoder, acquisition=old.acquisition, alpha=alpha),
        features=FeatureStore(),
        images=ImageStore(),
    )


def ask(context: IMCContext, tmp_path: Any) -> tuple[Any, torch.Tensor]:
    """The final state of one question about a corrupted scan, and the answer's features."""
    path = tmp_path / "scan.png"
    Image.fromarray(corrupted(scan(7, side=48), "gaussian", 5).rgb).save(path)
    state = build_imc_graph().invoke({"image": str(path), "question": QUESTION}, context=context)
    held = context.features.get(state["image_name"], calibrated=True)
    assert held is not None
    return state, projected(held.features)


def test_the_encoder_runs_once_and_the_question_is_answered(
    context: IMCContext, tmp_path: Any
) -> None:
    calibrator = gated(context, NEVER)
    assert calibrator.calibrator is not None
    before = calibrator.calibrator.encoder.forwards
    state, _ = ask(calibrator, tmp_path)
    assert calibrator.calibrator.encoder.forwards - before == 1
    assert state["answer"] is not None and state["answer"].failure is None
    assert {step.node for step in state["trace"]} >= {"vision", "coordinator", "answer"}


def test_a_closed_gate_leaves_the_bare_models_features(context: IMCContext, tmp_path: Any) -> None:
    state, features = ask(gated(context, NEVER), tmp_path)
    assert not state["calibration"].applied
    assert context.calibrator is not None
    plain = context.calibrator.encoder.encode(corrupted(scan(7, side=48), "gaussian", 5))
    assert torch.equal(features, projected(plain))


def test_an_open_gate_changes_what_the_model_sees(context: IMCContext, tmp_path: Any) -> None:
    state, features = ask(gated(context, ALWAYS), tmp_path)
    assert state["calibration"].applied, state["calibration"].reason
    assert context.calibrator is not None
    plain = context.calibrator.encoder.encode(corrupted(scan(7, side=48), "gaussian", 5))
    assert not torch.equal(features, projected(plain))
