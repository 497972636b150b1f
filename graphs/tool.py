"""The whole graph as one LangChain tool, for any agent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

from graphs.context import IMCContext
from graphs.document import Document, to_document
from graphs.imc import build_imc_graph
from graphs.rooted_images import RootedImages
from graphs.state import IMCInput, IMCOutput
from imc_core.errors import IMCError

NAME = "ask_about_medical_image"
DESCRIPTION = (
    "Ask one question about one medical image. Noise in the image and errors in the question are "
    "found and corrected first. Returns the answer with its confidence, and what was found; or why "
    "the image or the question was refused."
)


class Asked(BaseModel):
    """Arguments of the tool."""

    image: str = Field(
        description="Name of the image as it was given to you: a path, or sha256: and digits."
    )
    question: str = Field(description="One question about it, such as: Is there an effusion?")


def imc_tool(
    context: IMCContext,
    *,
    image_root: str | Path | None = None,
    name: str = NAME,
    description: str = DESCRIPTION,
) -> BaseTool:
    """A tool that answers questions about images, and returns refusals as text.

    An agent writes the tool's arguments, and what it writes may come from an attacker: it reaches
    the files under one folder and no others.

    Args:
        context: the model and its policy; see `graphs.load_context`.
        image_root: the folder under which the agent may name files; None: it may name the images
            that the program has put into `context.images`, by the name which that returned.
        name: of the tool.
        description: what the agent reads of it.

    Returns:
        A tool whose content is a sentence for the agent, and whose artifact is the document of
        `graphs.to_document`, or ``{"refused": REASON}``.

    Raises:
        ImageRefused: `image_root` is not a folder.
    """
    own = replace(context, images=RootedImages(image_root, held=context.images))
    graph = build_imc_graph()

    def asked(image: str, question: str) -> IMCInput:
        return {"image": image, "question": question}

    def ask(image: str, question: str) -> tuple[str, Document]:
        try:
            state = graph.invoke(asked(image, question), context=own)
        except IMCError as refusal:
            return _refused(refusal)
        return _answered(state, own)

    async def ask_async(image: str, question: str) -> tuple[str, Document]:
        try:
            state = await graph.ainvoke(asked(image, question), context=own)
        except IMCError as refusal:
            return _refused(refusal)
        return _answered(state, own)

    return StructuredTool.from_function(
        func=ask,
        coroutine=ask_async,
        name=name,
        description=description,
        args_schema=Asked,
        response_format="content_and_artifact",
    )


def _refused(refusal: IMCError) -> tuple[str, Document]:
    return f"Refused: {refusal}", {"refused": str(refusal)}


def _answered(state: Any, context: IMCContext) -> tuple[str, Document]:
    """The answer in sentences, and the whole document."""
    document = to_document(cast("IMCOutput", state), context)
    answer = state.get("answer")
    if answer is None or answer.failure is not None:
        why = "it was interrupted" if answer is None else answer.failure
        return f"No answer: {why}", document
    said = [f"Answer: {answer.text} (confidence {answer.confidence:.2f})."]
    question = document["question"]
    if question["changed"]:
        said.append(f"The question was read as: {question['used']}")
    return "\n".join([*said, *answer.evidence]), document
