"""A conversation as the prompt string of the model's own chat template.

What people write is data: a control token spelled out in a message ("<image>", "</s>",
"<|assistant|>") is broken by a blank after its first character before the template sees it, so it
can neither open a turn nor claim an image. Everything else passes through unchanged.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from jinja2.exceptions import TemplateError

from imc_agents.chat.chat_templates import TemplateUnbounded, render_template
from imc_agents.chat.messages import Conversation, Turn
from imc_agents.errors import ModelRefused, QuestionRefused

__all__ = ["Renderer"]

_PROBE = "probe text"
_MAX_PASSES = 8  # breaking one token can at most reveal the few that contain it


class Renderer:
    """Renders conversations with a processor's chat template.

    Args:
        processor: a `transformers.ProcessorMixin` with a tokenizer.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer

    @cached_property
    def template(self) -> str | None:
        """The chat template's source; None when the checkpoint has none."""
        template = getattr(self._processor, "chat_template", None) or getattr(
            self._tokenizer, "chat_template", None
        )
        if isinstance(template, dict):
            template = template.get("default") or next(iter(template.values()), None)
        return template if isinstance(template, str) else None

    @cached_property
    def image_token(self) -> str:
        """The placeholder that one image takes in an unexpanded prompt."""
        return str(getattr(self._processor, "image_token", None) or "<image>")

    @cached_property
    def image_token_id(self) -> int | None:
        """Its id; None when it is not one token."""
        ids = self._tokenizer(self.image_token, add_special_tokens=False)["input_ids"]
        return int(ids[0]) if len(ids) == 1 else None

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """Token text to id: every special token, and added ones that the template itself writes."""
        template = self.template or ""
        return {
            token.content: token_id
            for token_id, token in self._tokenizer.added_tokens_decoder.items()
            if not token.content.isspace()
            and (token.special or token.content in template or token.content == self.image_token)
        }

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.control_tokens, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def plain(self, text: str) -> str:
        """Break the control tokens that a person's text spells out.

        Args:
            text: what a message says.

        Returns:
            `text`, unchanged when it spells out no control token.

        Raises:
            QuestionRefused: half a character (a lone surrogate), which no tokenizer reads, or a
                control token survives, which no known tokenizer does.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as problem:
            raise QuestionRefused(
                f"the text holds half a character (U+{ord(text[problem.start]):04X}) at position "
                f"{problem.start}; send it as UTF-8"
            ) from problem
        text = self._broken(text)
        if self._holds_control(text):
            # The tokenizer's normalizer composed a control token (full-width letters, for one).
            normalizer = getattr(
                getattr(self._tokenizer, "backend_tokenizer", None), "normalizer", None
            )
            if normalizer is not None:
                text = self._broken(normalizer.normalize_str(text))
            if self._holds_control(text):
                raise QuestionRefused("the text spells out a control token of the model: reword it")
        return text

    def _broken(self, text: str) -> str:
        for _ in range(_MAX_PASSES):
            text, found = self._control_pattern.subn(
                lambda match: match.group()[0] + " " + match.group()[1:], text
            )
            if not found:
                break
        return text

    def _holds_control(self, text: str) -> bool:
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return not set(self.control_tokens.values()).isdisjoint(ids)

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template reads content as a list of parts (else as one string)."""
        try:
            prompt = self._apply([{"role": "user", "content": [{"type": "text", "text": _PROBE}]}])
        except (TemplateError, TypeError):
            return False
        return _PROBE in prompt and "'type'" not in prompt

    @cached_property
    def turn_end(self) -> int | None:
        """Id of the control token that the template writes after an assistant turn; None if none.

        It is scored as part of an option in `choose`, so that "no" does not win over "normal" by
        being its beginning.
        """
        if self.template is None:
            return self._tokenizer.eos_token_id  # type: ignore[no-any-return]
        turns = [Turn("user", (_PROBE,)), Turn("assistant", (_PROBE,))]
        try:
            prompt = self._apply([self._message(turn) for turn in turns], open_answer=False)
        except (TemplateError, TypeError):
            return self._tokenizer.eos_token_id  # type: ignore[no-any-return]
        rest = prompt.rpartition(_PROBE)[2]
        for token_id in self._tokenizer(rest, add_special_tokens=False)["input_ids"]:
            if token_id in self.control_tokens.values():
                return int(token_id)
        return None

    def _message(self, turn: Turn) -> dict[str, Any]:
        if self._takes_parts:
            content: Any = [
                {"type": "image"} if part is None else {"type": "text", "text": self.plain(part)}
                for part in turn.parts
            ]
        else:
            content = "".join(
                f"{self.image_token}\n" if part is None else self.plain(part) for part in turn.parts
            )
        return {"role": turn.role, "content": content}

    def _apply(self, conversation: list[dict[str, Any]], *, open_answer: bool = True) -> str:
        variables = {
            **self._tokenizer.special_tokens_map,
            "messages": conversation,
            "tools": None,
            "documents": None,
            "add_generation_prompt": open_answer,
        }
        try:
            return render_template(self.template or "", variables)
        except TemplateUnbounded as error:
            raise ModelRefused(
                f"the model's chat template is refused ({error}): copy the checkpoint's own"
            ) from error

    def render(self, conversation: Conversation) -> str:
        """Write the prompt up to the point where the assistant answers.

        Args:
            conversation: turns; the last one is usually the user's.

        Returns:
            The prompt, one placeholder per image. Without a chat template: the images' placeholders
            and the texts, line by line.

        Raises:
            QuestionRefused: the template cannot render this conversation.
            ModelRefused: the template takes more time or memory than a prompt needs.
        """
        first = conversation.turns[0]
        if first.role == "untemplated":
            return "".join(self.plain(part) for part in first.parts if part)
        if self.template is None:
            slots = sum(part is None for turn in conversation.turns for part in turn.parts)
            lines = [
                "".join(self.plain(part) for part in turn.parts if part)
                for turn in conversation.turns
            ]
            return self.image_token * slots + "\n".join(line for line in lines if line)
        turns = list(conversation.turns)
        try:
            return self._apply([self._message(turn) for turn in turns])
        except (TemplateError, TypeError):
            # Templates without a system role refuse it: its text then opens the user's turn.
            try:
                return self._apply([self._message(turn) for turn in _without_system(turns)])
            except (TemplateError, TypeError) as error:
                raise QuestionRefused(
                    f"the model's chat template cannot render {len(turns)} turns "
                    f"({type(error).__name__}): send one human message"
                ) from error


def _without_system(turns: list[Turn]) -> list[Turn]:
    """Fold system text into the user turn that follows it, and merge neighbours of one role."""
    folded: list[Turn] = []
    for turn in turns:
        role = "user" if turn.role == "system" else turn.role
        if folded and folded[-1].role == role:
            folded[-1] = Turn(role, (*folded[-1].parts, "\n", *turn.parts))
        else:
            folded.append(Turn(role, turn.parts))
    return folded
