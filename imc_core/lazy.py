"""Public names of a package that import their module when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`: importing the package imports none of its modules.

    A type checker does not follow it: repeat the imports under ``if TYPE_CHECKING``, and the names
    in ``__all__``.

    Args:
        package: the package's `__name__`.
        names: module to the public names that it defines.
    """
    modules = {name: module for module, defined in names.items() for name in defined}

    def getattr_(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    def dir_() -> list[str]:
        return sorted(import_module(package).__all__)

    return getattr_, dir_
