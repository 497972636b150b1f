"""Fits what a model half knows of its domain: how noise stands out there, and what corrects it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from vision.build.domain.fit import DomainFit

__all__ = ["DomainFit"]

__getattr__, __dir__ = lazy_names(__name__, {"vision.build.domain.fit": ("DomainFit",)})
