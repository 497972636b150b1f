"""Chat templates of checkpoints, rendered with bounded time, memory and output.

A chat template is a program that comes with the weights. It runs in jinja's immutable sandbox, as
in transformers, and every step that can make something larger is measured first: loops, calls,
concatenation, arithmetic, filters and formatting draw on one budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from imc_agents.chat.template_bounds import (
    CALL_STEPS,
    MOST_NUMBER,
    MOST_OUTPUT,
    TemplateUnbounded,
    bounded,
    budget,
    check_arithmetic,
    check_format,
    check_numbers,
    check_text_method,
    measure,
    measured_filter,
    spend,
)

__all__ = ["MOST_OUTPUT", "TemplateUnbounded", "render_template"]

MOST_SOURCE = 200_000
"""Characters of a template; published ones have up to 20,000."""


def _turns(iterable: Iterable[Any]) -> Iterator[Any]:
    """The items of a loop, each a step."""
    for item in iterable:
        spend(1)
        yield item


def _joined(*parts: Any) -> str:
    """What `~` makes of its operands."""
    if sum(measure(part) for part in parts) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")
    text = "".join(str(part) for part in parts)
    return str(bounded(text))


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


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with every step drawn from the budget of the rendering."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # nothing is computed while it is compiled
            finalize=bounded,
            extensions=[_Generation, loopcontrols],
        )
        self.turns, self.joined, self.bounded = _turns, _joined, bounded
        self.globals.pop("lipsum", None)
        self.globals["range"] = _make_range
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda form: datetime.now().strftime(str(form)[:200])
        self.globals["namespace"] = _PlainNamespace
        self.globals["dict"] = _make_dict
        self.filters = {
            name: measured_filter(name, filter_) for name, filter_ in self.filters.items()
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
            check_format(value.__self__, [*args, *kwargs.values()])
            return str(bounded(wrapped(*args, **kwargs)))

        return measured

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, measured before it is done."""
        spend(1)
        check_arithmetic(operator, left, right)
        return bounded(super().call_binop(context, operator, left, right))

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls of methods, macros and globals, measured before and after."""
        if obj in (_turns, _joined, bounded):
            return obj(*args)
        spend(CALL_STEPS)
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str | bytes):
            check_text_method(owner, getattr(obj, "__name__", ""), [*args, *kwargs.values()])
        result = super().call(context, obj, *args, **kwargs)
        return bounded(result) if isinstance(result, str | bytes | list | tuple | dict) else result


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
        super().__setitem__(name, bounded(value))

    def __repr__(self) -> str:
        return "<Namespace>"  # namespaces within each other would be written without end


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template may not store the attribute {name!r}")


def _make_range(*args: int) -> range:
    made = range(*args)
    if len(made) > MOST_NUMBER:
        raise TemplateUnbounded("it counts without end")
    return made


def _make_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _raise_exception(message: Any) -> None:
    raise TemplateError(str(message)[:400])


def _to_json(value: Any, ensure_ascii: bool = False, indent: Any = None, **settings: Any) -> str:
    check_numbers([indent])
    if measure(value) * (1 + (indent if isinstance(indent, int) else 0)) > MOST_OUTPUT:
        raise TemplateUnbounded("it makes a text without end")
    known = {name: settings[name] for name in ("separators", "sort_keys") if name in settings}
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **known)
    return str(bounded(text))


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
    try:
        with budget():
            return _rendered(source, variables)
    except TemplateError:
        raise
    except (RecursionError, MemoryError) as error:
        raise TemplateUnbounded("it calls itself without end") from error
    except Exception as error:  # whatever a template's own program runs into
        raise TemplateError(f"{type(error).__name__} in the template") from error


def _rendered(source: str, variables: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    length = 0
    for piece in _compiled(source).generate(**variables):
        length += len(piece)
        if length > MOST_OUTPUT:
            raise TemplateUnbounded(f"it writes more than {MOST_OUTPUT} characters")
        pieces.append(piece)
    return "".join(pieces)
