"""The language side: a chat model over a local MLLM, the four agents, their safeguards."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from imc_agents.errors import ModelRefused, QuestionRefused

__all__ = ["ModelRefused", "QuestionRefused"]

# Top-level names that other distributions use as well; ours must be the ones that are imported.
_COMMON_NAMES = ("graphs", "prompts", "vision")


def _refuse_shadowed(names: tuple[str, ...] = _COMMON_NAMES) -> None:
    """Fail at once when a package of another origin stands in front of one of ours.

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
