"""Channels of the state: every value is validated on its way in, whoever writes it.

Nodes, a person's `update_state` and clients over HTTP write to the same keys, as Python values or
as JSON. A channel turns either into the key's type, or refuses it in one line; the checkpoint
before it stays as it was. What a checkpoint brings back goes the same way, so that a value of an
older version is read as its present type or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Self

from langgraph.channels import BinaryOperatorAggregate, LastValue
from langgraph.channels.base import BaseChannel
from langgraph.channels.binop import _get_overwrite
from langgraph.errors import EmptyChannelError
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from graphs.errors import StateRefused
from imc_core import IMCError

STATE_VERSION = 1
"""Version of the state's keys and values. Checkpoints without one are of version 0, which had
neither `routing` nor `image_read`: the nodes compute both anew."""


class Checked(LastValue[Any]):
    """The last value written, as the key's type.

    Raises StateRefused, or the value's own refusal (QuestionRefused), for any other.
    """

    def update(self, values: Sequence[Any]) -> bool:
        return super().update([self.valid(value) for value in values])

    def valid(self, value: Any) -> Any:
        """The value as the key's type."""
        return checked(self.key, self.typ, value)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        restored = super().from_checkpoint(checkpoint)
        if restored.is_available():
            restored.value = restored_value(self.key, self.typ, restored.value)
        return restored


class PathOrName(Checked):
    """A channel that checkpoints a path or a name, and never an image block with its pixels."""

    def checkpoint(self) -> Any:
        if isinstance(self.value, dict):
            return PathOrName(self.typ, self.key).checkpoint()  # as a channel without a value
        return super().checkpoint()


class Appended(BinaryOperatorAggregate[Any]):
    """A list that grows by what is written, by a reducer of (list, new items)."""

    def __init__(self, typ: Any, operator: Callable[[Any, Any], Any]) -> None:
        super().__init__(typ, operator)
        self.value = []

    def copy(self) -> Self:
        copied = super().copy()
        copied.value = list(self.value)
        return copied

    def update(self, values: Sequence[Any]) -> bool:
        written = super().update([self.valid(value) for value in values])
        if written:
            self.value = checked(self.key, self.typ, self.value)
        return written

    def valid(self, value: Any) -> Any:
        """The new items; an Overwrite, which replaces the list, is checked after it is applied."""
        if _get_overwrite(value)[0]:
            return value
        return checked(self.key, self.typ, value)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        restored = super().from_checkpoint(checkpoint)
        restored.value = restored_value(self.key, self.typ, restored.value)
        return restored


class Version(BaseChannel[int, int, int]):
    """The version of the state. Nodes that run side by side may all write it.

    Raises StateRefused for a checkpoint of a newer version than this code knows.
    """

    def __init__(self, typ: Any = int, key: str = "") -> None:
        super().__init__(typ, key)
        self.value: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version)

    @property
    def ValueType(self) -> type[int]:
        return int

    @property
    def UpdateType(self) -> type[int]:
        return int

    def from_checkpoint(self, checkpoint: Any) -> Self:
        restored = type(self)(self.typ, self.key)
        if isinstance(checkpoint, int):
            if checkpoint > STATE_VERSION:
                raise StateRefused(
                    f"this thread is of state version {checkpoint}, and this program reads up to "
                    f"{STATE_VERSION}: update it, or ask again in a new thread"
                )
            restored.value = checkpoint
        return restored

    def update(self, values: Sequence[int]) -> bool:
        if not values:
            return False
        self.value = STATE_VERSION
        return True

    def get(self) -> int:
        if self.value is None:
            raise EmptyChannelError()
        return self.value


@lru_cache
def _adapter(typ: Any) -> TypeAdapter[Any]:
    return TypeAdapter(typ)


def checked(key: str, typ: Any, value: Any) -> Any:
    """The value as the key's type, from a Python value or from JSON.

    A model is taken apart and built again: `model_copy(update=...)` validates nothing.

    Raises:
        StateRefused: it is not of the type. The line names the place, never the value.
    """
    try:
        if isinstance(value, bytes | bytearray):  # which would be read as text
            raise ValueError
        return _adapter(typ).validate_python(to_jsonable_python(value, inf_nan_mode="constants"))
    except ValidationError as error:
        raise _refusal(f"state key {key!r} cannot hold this value", error) from None
    except ValueError:  # no JSON: to_jsonable_python does not know its type
        raise StateRefused(
            f"state key {key!r} cannot hold {type(value).__name__}; give plain values, or JSON"
        ) from None


def restored_value(key: str, typ: Any, value: Any) -> Any:
    """The value that a checkpoint brought back, as the key's type.

    Raises:
        StateRefused: it was written by another version, in a form that cannot be read.
    """
    try:
        return _adapter(typ).validate_python(value)
    except ValidationError as error:
        what = f"the checkpoint's {key!r} is of a form that this version cannot read"
        raise _refusal(what, error, "ask again in a new thread") from None


def _refusal(what: str, error: ValidationError, remedy: str = "") -> IMCError:
    """One line on the first fault; a refusal that a validator raised is that refusal itself."""
    fault = error.errors(include_input=False, include_url=False)[0]
    own = fault.get("ctx", {}).get("error")
    if isinstance(own, IMCError):
        return own
    place = ".".join(map(str, fault["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    at = f" at {place}" if place else ""
    return StateRefused(f"{what}:{at} {fault['msg']}{more}{'; ' * bool(remedy)}{remedy}")
