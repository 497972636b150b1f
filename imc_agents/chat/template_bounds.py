"""What a chat template may make: one budget of steps, and sizes measured before they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError

__all__ = [
    "CALL_STEPS",
    "MOST_ITEMS",
    "MOST_NUMBER",
    "MOST_OUTPUT",
    "TemplateUnbounded",
    "bounded",
    "budget",
    "check_arithmetic",
    "check_numbers",
    "check_text_method",
    "check_format",
    "measure",
    "measured_filter",
    "spend",
]

MOST_OUTPUT = 1_000_000
"""Characters of a prompt, and of any text on the way to it."""
MOST_ITEMS = 50_000
"""Items of a list or dictionary, nested ones included."""
_BUDGET = 1_000_000
"""Steps of one rendering, a few seconds at most: a loop's turn is one, and so is an item of a list
that is made or 10 characters of a text."""
CALL_STEPS = 40
"""Steps of a call."""
MOST_NUMBER = 10_000
"""Widths, counts and exponents that a template may write."""
_MOST_BITS = 256


class TemplateUnbounded(TemplateError):
    """A template that takes more time or memory than a prompt needs."""


_left: ContextVar[list[int]] = ContextVar("steps left of the rendering under way")


def spend(steps: int) -> None:
    """Draw steps from the budget. Raises TemplateUnbounded where it is used up."""
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TemplateUnbounded("it takes too many steps")


def measure(value: Any) -> int:
    """Characters and items of a value, nested ones included.

    Raises TemplateUnbounded where there are more than the bounds.
    """
    if isinstance(value, str | bytes):
        if len(value) > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text without end")
        spend(1 + len(value) // 10)
        return len(value)
    length, items, held = 0, 0, [value]
    while held:
        one = held.pop()
        if isinstance(one, str | bytes):
            length += len(one)
        elif isinstance(one, Mapping):
            held.extend(one.keys())
            held.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            held.extend(one)
        elif isinstance(one, range):
            items += len(one)
        elif isinstance(one, int) and one.bit_length() > _MOST_BITS:
            raise TemplateUnbounded("it makes a number without end")
        items += 1
        if items > MOST_ITEMS or length > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text or list without end")
    spend(items + length // 10)
    return length + items


def bounded(value: Any) -> Any:
    """The value, measured."""
    measure(value)
    return value


def check_numbers(values: Iterable[Any]) -> None:
    """Refuse widths, counts and exponents with which a small value becomes a large one."""
    for value in values:
        if isinstance(value, int) and abs(value) > MOST_NUMBER:
            raise TemplateUnbounded("it uses a number that is too large")


@contextmanager
def budget() -> Iterator[None]:
    """Within the block a rendering has the whole budget; blocks may lie in each other."""
    token = _left.set([_BUDGET])
    try:
        yield
    finally:
        _left.reset(token)


def check_arithmetic(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be without end."""
    if operator == "%" and isinstance(left, str):
        check_format(left, right if isinstance(right, tuple) else (right,))
    elif operator == "**":
        check_numbers((right,))
        if isinstance(left, int) and left.bit_length() * abs(right) > _MOST_BITS:
            raise TemplateUnbounded("it makes a number without end")
    elif operator == "*":
        for text, times in ((left, right), (right, left)):
            if isinstance(text, str | bytes | list | tuple) and isinstance(times, int):
                most = MOST_OUTPUT if isinstance(text, str | bytes) else MOST_ITEMS
                if measure(text) * max(times, 0) > most:
                    raise TemplateUnbounded("it makes a text or list without end")
    elif operator == "+":
        measure([left, right])


_GROWING = {"center", "expandtabs", "join", "ljust", "replace", "rjust", "zfill"}
"""Methods of texts whose result is larger than the text; others are free."""
_FORBIDDEN = {"format_map", "maketrans", "translate"}


def check_text_method(text: str | bytes, name: str, values: list[Any]) -> None:
    """Refuse a method of a text whose result would be without end."""
    if name in _FORBIDDEN:
        raise SecurityError(f"a template may not call {name}")
    if name not in _GROWING:
        return
    check_numbers(values)
    if name == "join":
        parts = values[0] if values and isinstance(values[0], list | tuple) else []
        if measure(values) + len(parts) * len(text) > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text without end")
    elif name == "replace" and len(values) >= 2 and isinstance(text, str):
        _check_replaced(text, str(values[0]), str(values[1]))
    elif name == "expandtabs":
        width = next((one for one in values if isinstance(one, int)), 8)
        if len(text) * max(width, 1) > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text without end")


def _check_replaced(text: str, old: str, new: str) -> None:
    places = text.count(old)
    if len(text) + places * len(new) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")


def check_format(form: str, values: Iterable[Any]) -> None:
    """Refuse widths in a format, and values that it would repeat without end."""
    held = list(values)
    check_numbers(held)
    digits = 0
    for character in form:
        digits = digits + 1 if character.isdecimal() else 0
        if digits > 4:
            raise TemplateUnbounded("it uses a number that is too large")
    places = form.count("%") + form.count("{")
    if len(form) + places * (measure(held) + MOST_NUMBER * (places > 100)) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")


_MEASURED = (str, bytes, list, tuple, dict, range, int)


def measured_filter(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments are measured before it runs, and its result after."""

    @wraps(filter_)  # keeps jinja's marks: whether it takes the context or the environment
    def measured(*args: Any, **kwargs: Any) -> Any:
        values = [*args, *kwargs.values()]
        given = [value for value in values if isinstance(value, _MEASURED)]
        spend(CALL_STEPS)
        measure(given)
        check_numbers([value for value in given[1:] if not isinstance(value, bool)])
        texts = [value for value in given if isinstance(value, str)]
        if name == "replace" and len(texts) >= 3:
            _check_replaced(*texts[:3])
        elif name == "format" and texts:
            check_format(texts[0], given[1:])
        elif name == "indent" and texts:
            width = next((v for v in given[1:] if isinstance(v, int)), 4)
            widest = max([width, *map(len, texts[1:])])
            if len(texts[0]) + (texts[0].count("\n") + 1) * widest > MOST_OUTPUT:
                raise TemplateUnbounded("it makes a text without end")
        elif name == "join":
            lists = [value for value in given if isinstance(value, list | tuple)]
            if sum(map(len, lists)) * sum(map(len, texts)) > MOST_OUTPUT:
                raise TemplateUnbounded("it makes a text without end")
        result = filter_(*args, **kwargs)
        return bounded(result) if isinstance(result, str | list | tuple | dict) else result

    return measured
