"""What every room uses: the base of all refusals, and names that load when first used."""

from imc_core.errors import IMCError
from imc_core.lazy import lazy_names

__all__ = ["IMCError", "lazy_names"]
