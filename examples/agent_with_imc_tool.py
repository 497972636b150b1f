"""Any LangChain agent asks about images with one tool; a refusal comes back to it as text.

    model ⇄ tools (ask_about_medical_image)

Run from the repository: `.venv/bin/python examples/agent_with_imc_tool.py`. The agent's model is
scripted here, so that the example runs offline; put your own chat model, which calls tools, in its
place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from graphs import imc_tool, load_context
from imc_reference import MODEL_DIR

IMAGES = Path(__file__).parent


class ScriptedModel(BaseChatModel):
    """Calls the tool for the file that a message names, then reports what came back."""

    tool: str

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            reply = AIMessage(f"The tool says:\n{last.text}")
        else:
            image, question = re.split(r"\s*:\s*", str(last.text), maxsplit=1)
            arguments = {"image": image, "question": question}
            call = {"name": self.tool, "args": arguments, "id": f"call-{len(messages)}"}
            reply = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=reply)])


def build_agent(tool: BaseTool) -> CompiledStateGraph[Any, Any, Any, Any]:
    """An agent with one tool."""
    model = ScriptedModel(tool=tool.name)
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([tool]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile()


def ask(agent: CompiledStateGraph[Any, Any, Any, Any], said: str) -> str:
    """What the agent replies to a message of the form `FILE: QUESTION`."""
    state = agent.invoke({"messages": [HumanMessage(said)]})
    return str(state["messages"][-1].text)


def main() -> None:
    """Ask about an example image, then about one outside the folder."""
    agent = build_agent(imc_tool(load_context(MODEL_DIR), image_root=IMAGES))
    for said in ("phantom_ct.png: What modaliy is this?", "/etc/passwd: What modality is this?"):
        print(f"> {said}\n{ask(agent, said)}\n")


if __name__ == "__main__":
    main()
