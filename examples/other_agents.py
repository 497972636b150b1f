"""The four agents on another LangChain chat model, with its own prompts; the answer stays with the
model that sees the image.

Run from the repository: `.venv/bin/python examples/other_agents.py`. The agents' model is a small
word list here, so that the example runs offline; put your own chat model in its place. It is given
the question alone and never the image: as `chat=`, which answers about images, a model that cannot
take them is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from graphs import IMCContext, IMCOutput, build_imc_graph, load_context, to_document
from imc_reference import MODEL_DIR
from prompts import load_prompts

IMAGE = Path(__file__).parent / "phantom_ct.png"
MISSPELT = {"modaliy": "modality", "effusoin": "effusion"}


class WordList(BaseChatModel):
    """Replies to each role as its prompt asks: one JSON object."""

    @property
    def _llm_type(self) -> str:
        return "word-list"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        task, said = str(messages[0].text), str(messages[-1].text)
        found = [word for word in MISSPELT if word in said]
        reply: dict[str, Any] = {"same": True, "reason": "same words"}
        if '{"clean"' in task:
            reply = {"clean": not found}
        elif '{"findings"' in task:
            reply = {"findings": [{"text": word, "kind": "typo"} for word in found]}
        elif '{"question"' in task:
            question = json.loads(said.split("<question>")[1].split("</question>")[0])
            for word in found:
                question = question.replace(word, MISSPELT[word])
            reply = {"question": question}
        message = AIMessage(json.dumps(reply))
        return ChatResult(generations=[ChatGeneration(message=message)])


def with_word_list(context: IMCContext) -> IMCContext:
    """The agents on the word list, with the prompts for models that follow instructions."""
    return context.with_agents(WordList(), load_prompts("instruct"))


def main() -> None:
    """Ask a mistyped question; print the answer and how each agent worked."""
    context = with_word_list(load_context(MODEL_DIR))
    asked: Any = {"image": str(IMAGE), "question": "What modaliy is this?"}
    state = cast("IMCOutput", build_imc_graph().invoke(asked, context=context))
    document = to_document(state, context)
    print(document["question"]["used"], "→", document["answer"])
    for step in document["trace"]:
        print(f"{step['node']:12}{step['calls']} calls  {step.get('note', '')}")


if __name__ == "__main__":
    main()
