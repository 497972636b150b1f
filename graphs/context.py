"""What a run works with and no checkpoint holds: the model, the image side, the policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.language_models import BaseChatModel

from graphs.stores import FeatureStore, ImageStore
from imc_agents.policy import Method, Policy
from imc_agents.proposals import LexiconLike
from imc_agents.self_assessment import MODEL_FAULTS
from prompts import PromptSet, load_prompts

if TYPE_CHECKING:
    from vision.pdc import Calibrator

BANK_FILE = "prototypes.safetensors"
"""A model folder's own prototype bank."""
VOCABULARY_FILE = "vocabulary.tsv"
"""A model folder's own words, with the counts of its training questions."""
REFERENCE_MODEL = "imc-reference"
"""Name of the embedded model; it understands the `reference` prompts only."""


@dataclass(frozen=True)
class IMCContext:
    """Handed to every invoke and every resume; never part of state."""

    chat: BaseChatModel
    """The multimodal model: `imc_agents.chat_model.ChatLocalMLLM`."""
    calibrator: Calibrator | None
    """The image side of the same model; None for a run of the agents alone."""
    lexicon: LexiconLike
    """The words that may be meant."""
    prompts: PromptSet = field(default_factory=lambda: load_prompts("instruct"))
    """What each role says to the model."""
    policy: Policy = field(default_factory=Policy)
    """Method, budgets, thresholds, review, seed."""
    model_name: str = "model"
    """How documents call the model."""
    agent_chat: BaseChatModel | None = None
    """Another chat model to serve the four agents; None: `chat` does."""
    features: FeatureStore = field(default_factory=FeatureStore)
    """Encoded images by name."""
    images: ImageStore = field(default_factory=ImageStore)
    """Images given as pixels, by name."""
    faults: tuple[type[Exception], ...] = MODEL_FAULTS
    """What a model may raise without stopping the graph; add a remote client's own."""

    @property
    def agents(self) -> BaseChatModel:
        """The chat model that serves the agents."""
        return self.agent_chat if self.agent_chat is not None else self.chat

    @cached_property
    def reserved(self) -> frozenset[str]:
        """Strings that mark turns and images in the model's template: no question may hold one."""
        processor = getattr(self.chat, "processor", None)
        tokenizer = getattr(processor, "tokenizer", None)
        marks = getattr(tokenizer, "all_special_tokens", None)
        return frozenset(marks) if isinstance(marks, list) else frozenset()

    def with_policy(self, **changes: Any) -> IMCContext:
        """The same context under a changed policy; model and stores are shared."""
        policy = Policy.model_validate({**self.policy.model_dump(), **changes})
        return replace(self, policy=policy)


def load_context(
    model_path: str | Path,
    bank_path: str | Path | None = None,
    *,
    profile: str | Path | None = None,
    method: Method = "imc",
    seed: int = 0,
    policy: Policy | None = None,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    trust_remote_code: bool = False,
    local_files_only: bool = True,
) -> IMCContext:
    """A context over a local model: what the command line and notebooks begin with.

    Args:
        model_path: a HuggingFace folder or cached id.
        bank_path: prototype bank; None: the model folder's own, or none.
        profile: prompt profile; None: `reference` for the embedded model, else `instruct`.
        method: what is done before the model answers.
        seed: recorded with every answer.
        policy: budgets and thresholds; `method` and `seed` are put into it.
        device, dtype, trust_remote_code, local_files_only: how the model is loaded.

    Raises ModelRefused, BankRefused or PromptRefused, each in one line.
    """
    from imc_agents.chat_model import ChatLocalMLLM
    from imc_agents.lexicon import Lexicon
    from imc_agents.loading import load_local_mllm
    from vision.encoder import VisionEncoder, model_fingerprint
    from vision.pdc import Calibrator
    from vision.prototypes import PrototypeBank

    local = load_local_mllm(
        str(model_path),
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        local_files_only=local_files_only,
    )
    folder = Path(local.path)
    encoder = VisionEncoder(
        local.model, local.processor, fingerprint=model_fingerprint(local.model)
    )
    bank_file = Path(bank_path) if bank_path is not None else folder / BANK_FILE
    bank = (
        PrototypeBank.load(bank_file, fingerprint=encoder.fingerprint)
        if bank_path is not None or bank_file.is_file()
        else None
    )
    words = folder / VOCABULARY_FILE
    base = policy if policy is not None else Policy()
    name = REFERENCE_MODEL if is_reference(folder) else local.name
    return IMCContext(
        chat=ChatLocalMLLM.from_parts(local.model, local.processor, name),
        calibrator=Calibrator(encoder, bank),
        lexicon=Lexicon.load([words] if words.is_file() else []),
        prompts=load_prompts(
            profile
            if profile is not None
            else ("reference" if name == REFERENCE_MODEL else "instruct")
        ),
        policy=base.model_copy(update={"method": method, "seed": seed}),
        model_name=name,
    )


def is_reference(folder: Path) -> bool:
    """The folder holds the embedded model or a retraining of it: its config says so, or the
    vocabulary of its training questions lies beside it."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    named = isinstance(config, dict) and config.get("imc_profile") == "reference"
    return named or (folder / VOCABULARY_FILE).is_file()
