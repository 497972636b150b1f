"""An MCP server over the graph: the tools `ask`, `perceive` and `refine` (extra `mcp`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from imc_app.refusals import InputRefused
from imc_core.errors import IMCError

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from graphs.context import IMCContext

INSTRUCTIONS = (
    "Questions about medical images, robust to noise in image and question. An image is named by "
    "a path under the server's image folder, or given as a data: URI with base64. For engineering "
    "and research, not for clinical use."
)

Document = dict[str, Any]
Method = Literal["none", "pdc", "sms", "imc"]


class Tools:
    """The tools, over one context that is loaded by the first call that needs it."""

    def __init__(self, open_context: Callable[[], IMCContext], image_root: Path | None) -> None:
        """
        Args:
            open_context: loads the model.
            image_root: the folder under which files may be named; None: none may be.

        Raises:
            ImageRefused: `image_root` is not a folder.
        """
        from graphs.rooted_images import RootedImages

        self._open, self._images = open_context, RootedImages(image_root)
        self._context: IMCContext | None = None
        self._lock = threading.Lock()

    def _ready(self) -> IMCContext:
        with self._lock:
            if self._context is None:
                self._context = replace(self._open(), images=self._images)
            return self._context

    def ask(self, image: str, question: str, method: Method = "imc") -> Document:
        """Ask one question about one medical image.

        Noise in the image and errors in the question are found and corrected first. Returns answer,
        confidence, how the question was read, the noise in the image and what was done.

        Args:
            image: a path under the server's image folder, or a data: URI with base64.
            question: such as: Is there an effusion?
            method: imc corrects both, pdc the image, sms the question, none neither.
        """
        from graphs.document import to_document
        from graphs.imc import build_imc_graph

        with _refusals():
            read = self._images.read(image)  # before the model is loaded
            context = self._ready().with_policy(method=method)
            asked: Any = {"image": context.images.put(read), "question": question}
            state = build_imc_graph().invoke(asked, context=context)
        return to_document(cast("Any", state), context)

    def perceive(self, image: str) -> Document:
        """Find the noise in a medical image: kind, severity and probability of each kind.

        Args:
            image: a path under the server's image folder, or a data: URI with base64.
        """
        with _refusals():
            read = self._images.read(image)
            calibrator = self._ready().calibrator
            if calibrator is None:
                raise InputRefused("this model has no image side: noise in images is not found")
            noise = calibrator.perceive(read)
        size = {"sha256": read.sha256, "width": read.width, "height": read.height}
        return {**size, "noise": noise.model_dump(mode="json")}

    def refine(self, question: str) -> Document:
        """Correct errors in a question about a medical image, or leave it alone, and say why.

        Args:
            question: such as: Is ther an effusoin?
        """
        from graphs.document import question_document
        from graphs.refining import refine_batch

        with _refusals():
            (refined,) = refine_batch([question], self._ready().with_policy(method="sms"))
        return question_document(refined)


def build_server(tools: Tools) -> MCPServer:
    """The MCP server of these tools.

    Raises:
        InputRefused: the SDK is not installed.
    """
    try:
        from mcp.server import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError:
        raise InputRefused(
            "imc mcp needs the MCP SDK; install it with: pip install 'imc-agents[mcp]'"
        ) from None
    server = MCPServer(
        "imc", instructions=INSTRUCTIONS, version=version("imc-agents"), log_level="WARNING"
    )
    for tool in (tools.ask, tools.perceive, tools.refine):
        harmless = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        server.add_tool(tool, annotations=harmless, structured_output=False)
    return server


@contextmanager
def _refusals() -> Iterator[None]:
    """A refusal reaches the client as the text of a failed call; a fault of ours by name alone."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        yield
    except IMCError as refusal:
        raise ToolError(str(refusal)) from refusal
