"""A graph from a Python file of a person's own: `FILE.py:NAME`."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from graphs.debugging.values import DebugRefused
from imc_core.errors import IMCError, where_raised

__all__ = ["load_graph"]

CHECKPOINTER = "checkpointer"
"""An argument of a function that makes a graph: it is given the session's checkpointer."""


def load_graph(place: str, checkpointer: BaseCheckpointSaver[Any]) -> Pregel[Any, Any, Any, Any]:
    """The graph that a file calls NAME: compiled, still a builder, or a function that makes it.

    The file is run as `python FILE.py` would run it, but not as `__main__`.

    Args:
        place: `FILE.py:NAME`.
        checkpointer: passed to a function with an argument `checkpointer`.

    Raises:
        DebugRefused: no such file or name, a file that fails, or something else than a graph.
    """
    file, colon, name = place.rpartition(":")
    path = Path(file)
    if not colon or not name.isidentifier() or path.suffix != ".py":
        raise DebugRefused(f"--graph {place!r}: write FILE.py:NAME, as in workflow.py:graph")
    module = _run(path)
    if not hasattr(module, name):
        graphs = [key for key, value in vars(module).items() if isinstance(value, _KINDS)]
        have = f"; its graphs are {', '.join(graphs)}" if graphs else ""
        raise DebugRefused(f"graph file {path.name!r} has no name {name!r}{have}")
    found = getattr(module, name)
    if callable(found) and not isinstance(found, _KINDS):
        found = _made(path, name, found, checkpointer)
    if isinstance(found, StateGraph):
        found = _failing_as_refusal(path, found.compile)
    if not isinstance(found, Pregel):
        raise DebugRefused(
            f"{name!r} of graph file {path.name!r} is a {type(found).__name__}: name a compiled "
            "graph, a StateGraph, or a function that returns one"
        )
    return found


_KINDS = (Pregel, StateGraph)


def _run(path: Path) -> Any:
    try:
        source, real = path.read_bytes(), path.resolve()
    except OSError as error:
        raise DebugRefused(f"graph file {str(path)!r}: {error.strerror or error}") from error
    name = f"imc_graph_{hashlib.sha256(source).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, real)
    if spec is None or spec.loader is None:  # cannot be, for a file that ends in .py
        raise DebugRefused(f"graph file {str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its types are looked up by the module's name
    sys.path.insert(0, str(real.parent))  # it may import its neighbours
    try:
        _failing_as_refusal(real, spec.loader.exec_module, module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        with suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(str(real.parent))
    return module


def _made(path: Path, name: str, maker: Any, checkpointer: BaseCheckpointSaver[Any]) -> Any:
    try:
        needed = [
            one.name
            for one in inspect.signature(maker).parameters.values()
            if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        needed = []
    if not set(needed) <= {CHECKPOINTER}:
        raise DebugRefused(
            f"{name!r} of graph file {path.name!r} needs {', '.join(needed)}: name a function "
            f"without arguments, or with {CHECKPOINTER!r} alone"
        )
    given = {key: checkpointer for key in needed}
    return _failing_as_refusal(path.resolve(), maker, **given)


def _failing_as_refusal(path: Path, work: Any, *args: Any, **given: Any) -> Any:
    try:
        return work(*args, **given)
    except IMCError as error:
        raise DebugRefused(f"graph file {path.name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise DebugRefused(
            f"graph file {path.name!r} cannot be run: {where_raised(error, path)}"
        ) from error
