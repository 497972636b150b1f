"""The language side: a chat model over a local MLLM, the four agents, their safeguards."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_agents.chat.chat_model import ChatLocalMLLM
    from imc_agents.chat.loading import LocalMLLM, load_local_mllm
    from imc_agents.coordinator import Coordinator
    from imc_agents.corrector import Corrector
    from imc_agents.detector import Detector
    from imc_agents.errors import ModelRefused, ProtectedWordsRefused, QuestionRefused
    from imc_agents.exchanges import Exchange
    from imc_agents.language.lexicon import Lexicon
    from imc_agents.policy import Margins, Policy
    from imc_agents.safeguards.protected import (
        find_protected,
        load_protected,
        protected_violations,
    )
    from imc_agents.safeguards.question_checks import check_question
    from imc_agents.state import Answer, Candidate, Decision, Edit, Finding, Plain, Verdict
    from imc_agents.thresholds import QuestionThresholds
    from imc_agents.verifier import Verifier

__all__ = [
    "Answer",
    "Candidate",
    "ChatLocalMLLM",
    "Coordinator",
    "Corrector",
    "Decision",
    "Detector",
    "Edit",
    "Exchange",
    "Finding",
    "Lexicon",
    "LocalMLLM",
    "Margins",
    "ModelRefused",
    "Plain",
    "Policy",
    "ProtectedWordsRefused",
    "QuestionRefused",
    "QuestionThresholds",
    "Verdict",
    "Verifier",
    "check_question",
    "find_protected",
    "load_local_mllm",
    "load_protected",
    "protected_violations",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_agents.chat.chat_model": ("ChatLocalMLLM",),
        "imc_agents.chat.loading": ("LocalMLLM", "load_local_mllm"),
        "imc_agents.coordinator": ("Coordinator",),
        "imc_agents.corrector": ("Corrector",),
        "imc_agents.detector": ("Detector",),
        "imc_agents.errors": ("ModelRefused", "ProtectedWordsRefused", "QuestionRefused"),
        "imc_agents.exchanges": ("Exchange",),
        "imc_agents.language.lexicon": ("Lexicon",),
        "imc_agents.policy": ("Margins", "Policy"),
        "imc_agents.safeguards.protected": (
            "find_protected",
            "load_protected",
            "protected_violations",
        ),
        "imc_agents.safeguards.question_checks": ("check_question",),
        "imc_agents.state": (
            "Answer",
            "Candidate",
            "Decision",
            "Edit",
            "Finding",
            "Plain",
            "Verdict",
        ),
        "imc_agents.thresholds": ("QuestionThresholds",),
        "imc_agents.verifier": ("Verifier",),
    },
)

# Top-level names that other distributions use as well; ours must be the ones that are imported.
_COMMON_NAMES = ("graphs", "prompts", "vision")


def _refuse_shadowed(names: tuple[str, ...] = _COMMON_NAMES) -> None:
    """Fail at once when a package of another origin shadows one of ours.

    Args:
        names: top-level package names that must come from the folder this package is in.

    Raises:
        ImportError: one line naming the intruder's path.
    """
    home = Path(__file__).resolve().parent.parent
    for name in names:
        spec = find_spec(name)
        if spec is None:
            continue
        places = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
        if not places and spec.origin is not None:
            places = [Path(spec.origin).resolve()]
        if home / name not in places:
            found = places[0] if places else spec.name
            raise ImportError(
                f"package {name!r} at {found} hides the one of IMC agents in {home}: "
                "remove it, or take its folder off the import path"
            )


_refuse_shadowed()
