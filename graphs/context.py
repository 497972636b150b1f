"""The context of a run, which no checkpoint holds: model, image side, lexicon, policy."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from graphs.exchange_store import ExchangeStore
from graphs.stores import FeatureStore, ImageStore
from imc_agents.chat.placement import Dtype, Placement
from imc_agents.chat.run_requests import MODEL_FAULTS
from imc_agents.errors import ModelRefused
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.policy import Method, Policy
from imc_agents.safeguards.protected import ProtectedTable, load_protected
from prompts import PROFILES, PromptSet, load_prompts

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf
    from vision.pdc import Calibrator

BANK_FILE = "prototypes.safetensors"
"""A model folder's own model half of PDC."""
VOCABULARY_FILE = "vocabulary.tsv"
"""A model folder's own words, with the counts of its training questions."""
PROFILE_FOLDER = "prompts"
"""A model folder's own prompts: a folder of the five role files."""
REFERENCE_MODEL = "imc-reference"
"""Name of the embedded model; it understands the `reference` prompts only."""


@dataclass(frozen=True)
class IMCContext:
    """Passed to every invoke and every resume; never part of state.

    Raises ModelRefused for a `chat` that would answer without the image, and an `agent_chat` that
    would be given prompts which only the embedded model understands.
    """

    chat: BaseChatModel
    """The multimodal model: `imc_agents.chat.chat_model.ChatLocalMLLM`."""
    calibrator: Calibrator | None
    """The image side of the same model; None for a run of the agents alone."""
    lexicon: LexiconLike
    """Known words, from which corrections are proposed."""
    prompts: PromptSet = field(default_factory=lambda: load_prompts("instruct"))
    """The prompts of each role."""
    protected: ProtectedTable = field(default_factory=load_protected)
    """Words that no correction may change."""
    policy: Policy = field(default_factory=Policy)
    """Method, budgets, thresholds, review, seed."""
    model_name: str = "model"
    """Name of the model in documents."""
    agent_chat: BaseChatModel | None = None
    """Another chat model for the four agents; None: `chat`."""
    features: FeatureStore = field(default_factory=FeatureStore)
    """Encoded images by name."""
    images: ImageStore = field(default_factory=ImageStore)
    """Images given as pixels, by name."""
    exchanges: ExchangeStore | None = None
    """Where every request to the model and its reply is kept; None: nowhere."""
    faults: tuple[type[Exception], ...] = MODEL_FAULTS
    """Errors of a model that do not stop the graph; add those of a remote client."""

    def __post_init__(self) -> None:
        """Refuse models that would silently do less than they are asked."""
        if self.calibrator is not None and not _takes_features(self.chat):
            raise ModelRefused(
                f"{type(self.chat).__name__} takes no image features and would answer without the "
                "image: give a ChatLocalMLLM as chat=, and this model as agent_chat="
            )
        own = (None, REFERENCE_MODEL, "local-mllm")
        agents_name = getattr(self.agent_chat, "model_name", "") if self.agent_chat else None
        if self.prompts.profile == "reference" and agents_name not in own:
            raise ModelRefused(
                f"agent_chat= is {type(self.agent_chat).__name__}, and the reference prompts are "
                "understood by the embedded model alone: give prompts=load_prompts('instruct'), "
                "with the embedded model's answer prompt if that is to answer (docs: own model)"
            )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """For JSON schemas: a context is made in Python, and what JSON can show of it is its policy
        and its model's name."""
        shown = {"policy": handler.generate_schema(Policy), "model_name": core_schema.str_schema()}
        fields = {name: core_schema.typed_dict_field(one) for name, one in shown.items()}
        return core_schema.json_or_python_schema(
            json_schema=core_schema.typed_dict_schema(fields, cls_name=cls.__name__),
            python_schema=core_schema.is_instance_schema(cls),
        )

    @property
    def agents(self) -> BaseChatModel:
        """The chat model that serves the agents."""
        return self.agent_chat if self.agent_chat is not None else self.chat

    def with_policy(self, **changes: Any) -> IMCContext:
        """The same context under a changed policy; model and stores are shared."""
        policy = Policy.model_validate({**self.policy.model_dump(), **changes})
        return replace(self, policy=policy)

    def with_agents(
        self,
        chat: BaseChatModel,
        prompts: PromptSet | None = None,
        *,
        faults: tuple[type[Exception], ...] = (),
    ) -> IMCContext:
        """The same context with the four agents on another chat model, which is given text alone.

        Args:
            chat: any LangChain chat model; without `score` and `choose` it is asked.
            prompts: its own prompts of the agents; None: the `instruct` ones. The answer keeps the
                prompt of the model that answers.
            faults: errors of its client that do not stop the graph, beside those known already.
        """
        own = prompts if prompts is not None else load_prompts("instruct")
        return replace(
            self,
            agent_chat=chat,
            prompts=own.model_copy(update={"answer": self.prompts.answer}),
            faults=(*self.faults, *faults),
        )



Resolve = Callable[[Any], IMCContext]
"""From the run's context to the `IMCContext` that the nodes use."""


def given(context: Any) -> IMCContext:
    """The run's own context. Raises TypeError, in one line, when the run was given none."""
    if not isinstance(context, IMCContext):
        raise TypeError(
            f"this graph needs context=IMCContext(...), not {type(context).__name__}; "
            "make one with graphs.load_context(model_path)"
        )
    return context


def _takes_features(chat: BaseChatModel) -> bool:
    """Whether `invoke(messages, features=...)` reaches the model: text-only models ignore it."""
    return "features" in inspect.signature(chat._generate).parameters


def load_context(
    model_path: str | Path,
    bank_path: str | Path | None = None,
    *,
    acquisition: str | Path | None = None,
    stages: Collection[str] = ("pixels", "features"),
    profile: str | Path | None = None,
    method: Method = "imc",
    seed: int = 0,
    policy: Policy | None = None,
    protected: Sequence[str | Path] = (),
    thresholds: bool = True,
    placement: Placement | None = None,
    device: str = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: bool = False,
    local_files_only: bool = True,
    blocks: str | None = None,
) -> IMCContext:
    """A context over a local model: what the command line and notebooks begin with.

    Args:
        model_path: a HuggingFace folder or cached id.
        bank_path: model half of PDC; None: the model folder's own, if it was built beside this
            acquisition half, or none: pictures are restored all the same. The thresholds beside it
            (`imc_agents.thresholds`) are read too.
        acquisition: an acquisition half of one's own; None: the shipped one.
        stages: of PDC: `pixels`, `features` or both.
        profile: prompt profile; None: the folder's own (see `own_profile`), else `instruct`.
        method: what is done before the model answers.
        seed: recorded with every answer.
        policy: budgets and thresholds; `method` and `seed` are put into it. Margins that it was
            given take precedence over measured ones.
        protected: files of a hospital's own protected words, merged into the shipped ones; see
            `examples/protected_words.yaml`.
        thresholds: read those beside the model half; False: leave the shipped floors, to measure.
        placement: device, number format, device map and attention in one value; None: `device` and
            `dtype` alone.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: of the weights; `auto`: float32 for small models, else the checkpoint's own.
        trust_remote_code: run the checkpoint's own Python code.
        local_files_only: do not fetch files of a hub id.
        blocks: dotted name of its vision blocks, for a tower whose blocks are not found; None:
            those that the model half was built with, or found by structure.

    Raises ModelRefused, BankRefused, EncoderRefused, MarginsRefused, ProtectedWordsRefused or
    PromptRefused, each in one line.
    """
    # before the model: a bad file costs no loading
    table = load_protected(*map(Path, protected))
    half = _acquisition(acquisition)
    from imc_agents.chat.loading import load_local_mllm
    from vision.bank.metadata import fits_acquisition

    local = load_local_mllm(
        str(model_path),
        placement=placement,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        local_files_only=local_files_only,
    )
    folder = Path(local.path)
    own_bank, own_words = folder / BANK_FILE, folder / VOCABULARY_FILE
    reference = is_reference(folder)
    base = policy if policy is not None else Policy()
    bank = bank_path
    if bank is None and own_bank.is_file() and (
        half is None or fits_acquisition(own_bank, half.digest)
    ):
        bank = own_bank
    return context_over(
        local.model,
        local.processor,
        name=REFERENCE_MODEL if reference else local.name,
        bank_path=bank,
        acquisition=half,
        stages=stages,
        profile=profile if profile is not None else own_profile(folder),
        vocabularies=[own_words] if own_words.is_file() else [],
        protected=table,
        thresholds_path=_thresholds(bank, own_bank) if thresholds else None,
        policy=base.model_copy(update={"method": method, "seed": seed}),
        blocks=blocks,
    )


def _thresholds(bank: str | Path | None, own_bank: Path) -> Path | None:
    """The thresholds beside the model half in use, else those of the model's folder, else none."""
    from imc_agents.thresholds import beside

    places = [beside(Path(bank))] if bank is not None else []
    return next((path for path in [*places, beside(own_bank)] if path.is_file()), None)


def context_over(
    model: Any,
    processor: Any,
    *,
    name: str,
    bank_path: str | Path | None = None,
    acquisition: AcquisitionHalf | str | Path | None = None,
    stages: Collection[str] = ("pixels", "features"),
    profile: str | Path = "instruct",
    vocabularies: Sequence[Path] = (),
    protected: ProtectedTable | None = None,
    thresholds_path: Path | None = None,
    policy: Policy | None = None,
    blocks: str | None = None,
) -> IMCContext:
    """A context over a model that is in memory already.

    Args:
        model: an image-text-to-text model in eval mode.
        processor: its processor.
        name: how documents call it.
        bank_path: its model half of PDC; None: pictures are restored, features not calibrated.
        acquisition: an acquisition half of one's own, or its file; None: the shipped one.
        stages: of PDC: `pixels`, `features` or both.
        profile: prompt profile.
        vocabularies: `word<TAB>count` files of words that questions use.
        protected: the words that no repair may change; None: the shipped ones.
        thresholds_path: thresholds measured on its clean questions; None: the shipped floors.
        policy: method, budgets, thresholds; margins that it was given stand.
        blocks: dotted name of its vision blocks; None: those of the model half, or found.

    Raises BankRefused, EncoderRefused, MarginsRefused or PromptRefused, each in one line.
    """
    from imc_agents.chat.chat_model import ChatLocalMLLM
    from imc_agents.language.lexicon import Lexicon
    from imc_agents.thresholds import QuestionThresholds, language_fingerprint
    from vision.acquisition import AcquisitionHalf
    from vision.pdc import Calibrator

    half = _acquisition(acquisition)
    if model.device.type == "cuda":  # pictures are restored there, too
        half = (AcquisitionHalf.shipped() if half is None else half).on(model.device)
    calibrator = Calibrator.load(
        model, processor, bank_path, acquisition=half, blocks=blocks, stages=stages
    )
    policy = policy if policy is not None else Policy()
    if thresholds_path is not None:
        measured = QuestionThresholds.load(thresholds_path, fingerprint=language_fingerprint(model))
        policy = measured.applied(policy)
    return IMCContext(
        chat=ChatLocalMLLM.from_parts(model, processor, name),
        calibrator=calibrator,
        lexicon=Lexicon.load(list(vocabularies)),
        prompts=load_prompts(profile),
        protected=protected if protected is not None else load_protected(),
        policy=policy,
        model_name=name,
    )


def _acquisition(given: AcquisitionHalf | str | Path | None) -> AcquisitionHalf | None:
    """Read an acquisition half of one's own. Raises BankRefused."""
    from vision.acquisition import AcquisitionHalf

    if given is None or isinstance(given, AcquisitionHalf):
        return given
    return AcquisitionHalf.load(given)


def is_reference(folder: Path) -> bool:
    """The folder holds the embedded model or a retraining of it: its config names the prompts that
    it was trained on. What else lies in it (vocabulary, model half, thresholds) any model may
    bring."""
    return _named_profile(folder) == "reference"


def own_profile(folder: Path) -> str | Path:
    """The prompts of a model's folder: its own (`prompts/` with the five role files), else the
    profile of ours that `imc_profile` in its config.json names, else `instruct`."""
    own = folder / PROFILE_FOLDER
    if own.is_dir():
        return own
    named = _named_profile(folder)
    return named if named in PROFILES else "instruct"


def _named_profile(folder: Path) -> str:
    """What the folder's config.json names as `imc_profile`; empty where it names none."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    named = config.get("imc_profile") if isinstance(config, dict) else None
    return named if isinstance(named, str) else ""
