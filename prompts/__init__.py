"""Role prompts as data, one folder per profile, and their loader."""

from prompts.loader import ROLES, PromptSet, load_prompts
from prompts.role import AskPrompt, PromptRefused, RolePrompt

__all__ = ["ROLES", "AskPrompt", "PromptRefused", "PromptSet", "RolePrompt", "load_prompts"]
