"""Chat templates of checkpoints, rendered with bounded time, memory and output.

A chat template is a program that comes with the weights. It runs in jinja's immutable sandbox, as
in transformers, and every step that can make something larger is measured first: loops, calls,
concatenation, arithmetic, filters and formatting draw on one budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

__all__ = ["MOST_OUTPUT", "TemplateUnbounded", "render_template"]

MOST_SOURCE = 200_000
"""Characters of a template; published ones have up to 20,000."""
MOST_OUTPUT = 1_000_000
"""Characters of a prompt, and of any text on the way to it."""
_MOST_ITEMS = 50_000
"""Items of a list or dictionary, nested ones included."""
_BUDGET = 1_000_000
"""Steps of one rendering, a few seconds at most: a loop's turn is one, and so is an item of a list
that is made or 10 characters of a text."""
_CALL = 40
"""Steps of a call."""
_MOST_NUMBER = 10_000
"""Widths, counts and exponents that a template may write."""
_MOST_BITS = 256


class TemplateUnbounded(TemplateError):
    """A template that takes more time or memory than a prompt needs."""


_left: ContextVar[list[int]] = ContextVar("steps left of the rendering under way")


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TemplateUnbounded("it takes too many steps")


def _size(value: Any) -> int:
    """Characters and items of a value, nested ones included.

    Raises TemplateUnbounded where there are more than the bounds.
    """
    if isinstance(value, str | bytes):
        if len(value) > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text without end")
        _spend(1 + len(value) // 10)
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
        if items > _MOST_ITEMS or length > MOST_OUTPUT:
            raise TemplateUnbounded("it makes a text or list without end")
    _spend(items + length // 10)
    return length + items


def _bounded(value: Any) -> Any:
    _size(value)
    return value


def _check_numbers(values: Iterable[Any]) -> None:
    """Refuse widths, counts and exponents with which a small value becomes a large one."""
    for value in values:
        if isinstance(value, int) and abs(value) > _MOST_NUMBER:
            raise TemplateUnbounded("it uses a number that is too large")


def _turns(iterable: Iterable[Any]) -> Iterator[Any]:
    """The items of a loop, each a step."""
    for item in iterable:
        _spend(1)
        yield item


def _joined(*parts: Any) -> str:
    """What `~` makes of its operands."""
    if sum(_size(part) for part in parts) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")
    text = "".join(str(part) for part in parts)
    return str(_bounded(text))


class _Measured(NodeTransformer):
    """Puts loops, concatenation and literals of lists under the budget."""

    def _call(self, name: str, *args: Any, lineno: int) -> nodes.Call:
        call = nodes.Call(nodes.EnvironmentAttribute(name), list(args), [], None, None)
        call.set_lineno(lineno)
        return call

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = self._call("turns", node.iter, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        self.generic_visit(node)
        return self._call("joined", *node.nodes, lineno=node.lineno)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Call:
        return self._call("bounded", nodes.Const(node.data), lineno=node.lineno)

    def visit_List(self, node: nodes.List) -> nodes.Call:
        self.generic_visit(node)
        return self._call("bounded", node, lineno=node.lineno)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Call:
        self.generic_visit(node)
        return self._call("bounded", node, lineno=node.lineno)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Tuple | nodes.Call:
        self.generic_visit(node)
        return self._call("bounded", node, lineno=node.lineno) if node.ctx == "load" else node


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant wrote; here its contents alone."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        """The contents of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


_GROWING = {"center", "expandtabs", "join", "ljust", "replace", "rjust", "zfill"}
"""Methods of texts whose result is larger than the text; others are free."""
_FORBIDDEN = {"format_map", "maketrans", "translate"}


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with every step drawn from the budget of the rendering."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # nothing is computed while it is compiled
            finalize=_bounded,
            extensions=[_Generation, loopcontrols],
        )
        self.turns, self.joined, self.bounded = _turns, _joined, _bounded
        self.globals.pop("lipsum", None)
        self.globals["range"] = _make_range
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda form: datetime.now().strftime(str(form)[:200])
        self.globals["namespace"] = _PlainNamespace
        self.globals["dict"] = _make_dict
        self.filters = {
            name: _measured_filter(name, filter_) for name, filter_ in self.filters.items()
        }
        self.filters["tojson"] = _to_json

    def _generate(self, source: nodes.Template, *args: Any, **settings: Any) -> str:
        return super()._generate(_Measured().visit(source), *args, **settings)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The sandbox's own `format`, measured first."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def measured(*args: Any, **kwargs: Any) -> str:
            _check_format(value.__self__, [*args, *kwargs.values()])
            return str(_bounded(wrapped(*args, **kwargs)))

        return measured

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, measured before it is done."""
        _spend(1)
        if operator == "%" and isinstance(left, str):
            _check_format(left, right if isinstance(right, tuple) else (right,))
        elif operator == "**":
            _check_numbers((right,))
            if isinstance(left, int) and left.bit_length() * abs(right) > _MOST_BITS:
                raise TemplateUnbounded("it makes a number without end")
        elif operator == "*":
            for text, times in ((left, right), (right, left)):
                if isinstance(text, str | bytes | list | tuple) and isinstance(times, int):
                    most = MOST_OUTPUT if isinstance(text, str | bytes) else _MOST_ITEMS
                    if _size(text) * max(times, 0) > most:
                        raise TemplateUnbounded("it makes a text or list without end")
        elif operator == "+":
            _size([left, right])
        return _bounded(super().call_binop(context, operator, left, right))

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls of methods, macros and globals, measured before and after."""
        if obj in (_turns, _joined, _bounded):
            return obj(*args)
        _spend(_CALL)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str | bytes):
            _check_text_method(owner, getattr(obj, "__name__", ""), [*args, *kwargs.values()])
        result = super().call(context, obj, *args, **kwargs)
        return _bounded(result) if isinstance(result, str | bytes | list | tuple | dict) else result


class _PlainNamespace(Namespace):
    """A namespace without names that lead into the interpreter, as in transformers."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, _bounded(value))

    def __repr__(self) -> str:
        return "<Namespace>"  # namespaces within each other would be written without end


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template may not store the attribute {name!r}")


def _make_range(*args: int) -> range:
    made = range(*args)
    if len(made) > _MOST_NUMBER:
        raise TemplateUnbounded("it counts without end")
    return made


def _make_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _raise_exception(message: Any) -> None:
    raise TemplateError(str(message)[:400])


def _to_json(value: Any, ensure_ascii: bool = False, indent: Any = None, **settings: Any) -> str:
    _check_numbers([indent])
    if _size(value) * (1 + (indent if isinstance(indent, int) else 0)) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")
    known = {name: settings[name] for name in ("separators", "sort_keys") if name in settings}
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **known)
    return str(_bounded(text))


def _check_text_method(text: str | bytes, name: str, values: list[Any]) -> None:
    """Refuse a method of a text whose result would be without end."""
    if name in _FORBIDDEN:
        raise SecurityError(f"a template may not call {name}")
    if name not in _GROWING:
        return
    _check_numbers(values)
    if name == "join":
        parts = values[0] if values and isinstance(values[0], list | tuple) else []
        if _size(values) + len(parts) * len(text) > MOST_OUTPUT:
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


def _check_format(form: str, values: Iterable[Any]) -> None:
    """Refuse widths in a format, and values that it would repeat without end."""
    held = list(values)
    _check_numbers(held)
    digits = 0
    for character in form:
        digits = digits + 1 if character.isdecimal() else 0
        if digits > 4:
            raise TemplateUnbounded("it uses a number that is too large")
    places = form.count("%") + form.count("{")
    if len(form) + places * (_size(held) + _MOST_NUMBER * (places > 100)) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")


def _measured_filter(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments are measured before it runs, and its result after."""

    @wraps(filter_)  # keeps jinja's marks: whether it takes the context or the environment
    def measured(*args: Any, **kwargs: Any) -> Any:
        values = [*args, *kwargs.values()]
        given = [value for value in values if isinstance(value, _MEASURED)]
        _spend(_CALL)
        _size(given)
        _check_numbers([value for value in given[1:] if not isinstance(value, bool)])
        texts = [value for value in given if isinstance(value, str)]
        if name == "replace" and len(texts) >= 3:
            _check_replaced(*texts[:3])
        elif name == "format" and texts:
            _check_format(texts[0], given[1:])
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
        return _bounded(result) if isinstance(result, str | list | tuple | dict) else result

    return measured


_MEASURED = (str, bytes, list, tuple, dict, range, int)


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    if len(source) > MOST_SOURCE:
        raise TemplateUnbounded(f"it is longer than {MOST_SOURCE} characters")
    return _BoundedEnvironment().from_string(source)


def render_template(source: str, variables: Mapping[str, Any]) -> str:
    """Render a chat template as transformers does, within bounds.

    Args:
        source: the template.
        variables: what it reads: `messages`, `add_generation_prompt`, `bos_token`, ...

    Raises:
        TemplateUnbounded: it takes more than the bounds.
        TemplateError: it is no template, refuses the messages, or fails in another way.
    """
    token = _left.set([_BUDGET])
    try:
        pieces: list[str] = []
        length = 0
        for piece in _compiled(source).generate(**variables):
            length += len(piece)
            if length > MOST_OUTPUT:
                raise TemplateUnbounded(f"it writes more than {MOST_OUTPUT} characters")
            pieces.append(piece)
        return "".join(pieces)
    except TemplateError:
        raise
    except (RecursionError, MemoryError) as error:
        raise TemplateUnbounded("it calls itself without end") from error
    except Exception as error:  # whatever a template's own program runs into
        raise TemplateError(f"{type(error).__name__} in the template") from error
    finally:
        _left.reset(token)
