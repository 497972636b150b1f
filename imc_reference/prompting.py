"""A question about an image as the chat prompt that `imc ask` gives a model of this profile."""

from __future__ import annotations

from typing import Any

from transformers import LlavaProcessor

from prompts import RolePrompt, load_prompts


def answer_prompt(config: Any) -> RolePrompt:
    """The answer prompt of a model's profile: the one its config names, else `instruct`."""
    return load_prompts(getattr(config, "imc_profile", None) or "instruct").answer


def chat_text(processor: LlavaProcessor, prompt: RolePrompt, question: str) -> str:
    """The prompt after the chat template, one image token before the question's text."""
    said = prompt.messages(question=question)
    conversation: list[dict[str, Any]] = [
        *said[:-1],
        {**said[-1], "content": [{"type": "image"}, {"type": "text", "text": said[-1]["content"]}]},
    ]
    return str(
        processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    )
