"""What may have been meant: candidates, proposals, lost words, joint search, edit log-odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_agents.corrections.correction_candidates import CorrectionCandidate
    from imc_agents.corrections.joint_search import JointSearch
    from imc_agents.corrections.proposals import apply_edits, candidate_of, word_edits

__all__ = [
    "CorrectionCandidate",
    "JointSearch",
    "apply_edits",
    "candidate_of",
    "word_edits",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_agents.corrections.correction_candidates": ("CorrectionCandidate",),
        "imc_agents.corrections.joint_search": ("JointSearch",),
        "imc_agents.corrections.proposals": ("apply_edits", "candidate_of", "word_edits"),
    },
)
