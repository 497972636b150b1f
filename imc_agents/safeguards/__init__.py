"""What a repair of a question may never change, and what a question may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_agents.safeguards.protected import (
        context_of,
        find_protected,
        load_protected,
        protected_violations,
    )
    from imc_agents.safeguards.protected_table import ProtectedTable, ProtectedToken
    from imc_agents.safeguards.question_checks import check_question

__all__ = [
    "ProtectedTable",
    "ProtectedToken",
    "check_question",
    "context_of",
    "find_protected",
    "load_protected",
    "protected_violations",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_agents.safeguards.protected": (
            "context_of",
            "find_protected",
            "load_protected",
            "protected_violations",
        ),
        "imc_agents.safeguards.protected_table": ("ProtectedTable", "ProtectedToken"),
        "imc_agents.safeguards.question_checks": ("check_question",),
    },
)
