"""Public names of a package that import their module when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """A module-level `__getattr__` for `package`: importing it loads nothing else.

    A type checker does not follow it: repeat the imports under ``if TYPE_CHECKING``.

    Args:
        package: the package's `__name__`.
        modules: public name to the module that defines it.
    """

    def getattr_(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return getattr_
