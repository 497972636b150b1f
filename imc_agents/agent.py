"""What all four agents are made of: one model, under this role's prompts, budgets and words."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import ProtectedTable, load_protected
from imc_agents.self_assessment import SelfAssessment
from prompts import PromptSet

CANNOT_ASSESS = "the model gives no log-likelihoods, and the prompt profile asks nothing instead"
"""Why a model cannot judge a question, or a correction of one."""


class RoleAgent:
    """One role of the model; each agent adds what it does when it is called."""

    def __init__(
        self,
        chat: BaseChatModel,
        prompts: PromptSet,
        lexicon: LexiconLike,
        policy: Policy,
        protected: ProtectedTable | None = None,
    ) -> None:
        """`protected` None: the shipped protected words."""
        self.model = SelfAssessment(chat)
        self.prompts = prompts
        self.lexicon = lexicon
        self.policy = policy
        self.protected = protected if protected is not None else load_protected()
