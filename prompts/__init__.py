"""Role prompts as data, one folder per profile, and their loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from prompts.loader import PROFILES, ROLES, PromptSet, load_prompts
    from prompts.role import AskPrompt, PromptRefused, RolePrompt

__all__ = [
    "PROFILES",
    "ROLES",
    "AskPrompt",
    "PromptRefused",
    "PromptSet",
    "RolePrompt",
    "load_prompts",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "prompts.loader": ("PROFILES", "ROLES", "PromptSet", "load_prompts"),
        "prompts.role": ("AskPrompt", "PromptRefused", "RolePrompt"),
    },
)
