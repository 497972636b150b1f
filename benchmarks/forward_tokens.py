"""Tokens that go through the language model for a noisy question, by family.

    python benchmarks/forward_tokens.py [--families llava_576 gemma3 ...] [--profile instruct]

Tiny models of every supported family with random weights, built from their config classes
(`tests.tiny_models`), are asked noisy questions about one image each: questions of a fixed list
under each core text noise. Counted is what goes through the embedding of the language model, by
prompts, scored texts and written tokens alike, padding included. What a model knows plays no part,
but its tokenizer does: this one was made from six sentences and takes about as many tokens as
letters for words that are not in them, the agents' instructions among them.

`bare` is the answer alone, `first` the agents and the answer for the first noisy question that a
model is asked (the comparisons of shared with whole passes are part of it), `later` the mean over
the noisy questions after it, each about an image of its own. `second` is the answer to a second
question on the image of a first, beside that to the first; `third` to one more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from langchain_core.messages import convert_to_messages

from graphs.context import IMCContext
from graphs.sms import build_sms_graph
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.language.lexicon import Lexicon
from imc_noise import CORE_TEXT, apply_text, noise_rng
from prompts import load_prompts
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import read_image

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = (
    "Is there a lesion in the left lung?",
    "What modality is used to take this image?",
    "Which organ is abnormal in this picture?",
)


class Counter:
    """Counts the tokens that a model embeds."""

    def __init__(self, model: Any) -> None:
        self._tokens = 0
        model.get_input_embeddings().register_forward_hook(self._read)

    def of(self, work: Callable[[], object]) -> int:
        """Tokens that some work takes."""
        self._tokens = 0
        work()
        return self._tokens

    def _read(self, _module: object, inputs: Any, _output: object) -> None:
        self._tokens += inputs[0].numel()


def noisy_questions(severity: int) -> Iterator[str]:
    """The questions under each core text noise, one noise after the other."""
    for question in QUESTIONS:
        for noise in CORE_TEXT:
            yield apply_text(noise, question, severity, noise_rng(question, noise, severity, 0))


def row(family: str, args: argparse.Namespace, lexicon: Lexicon) -> str:
    """One family's line of the table."""
    from tests.tiny_models import build_tiny

    tiny = build_tiny(family)
    encoder = VisionEncoder(tiny.model, tiny.processor)
    counter = Counter(tiny.model)
    graph = build_sms_graph()
    rng = np.random.default_rng(0)

    def image() -> Any:
        return encoder.encode(read_image(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)))

    def fresh() -> IMCContext:
        return IMCContext(
            chat=ChatLocalMLLM.from_parts(tiny.model, tiny.processor, family),
            calibrator=None,
            lexicon=lexicon,
            prompts=load_prompts(args.profile),
        )

    def answer(context: IMCContext, question: str, features: Any) -> None:
        said = convert_to_messages(context.prompts.answer.messages(question=question))
        most = context.policy.max_answer_tokens
        context.chat.invoke(said, features=features, max_new_tokens=most)

    def noisy(context: IMCContext, question: str) -> int:
        def work() -> None:
            state = graph.invoke({"question": question}, context=context)
            answer(context, state["decision"].used, image())

        return counter.of(work)

    asked = list(noisy_questions(args.severity))[: args.questions]
    bare = [counter.of(partial(answer, fresh(), question, image())) for question in asked]
    context = fresh()
    cost = [noisy(context, question) for question in asked]
    ratios = [one / alone for one, alone in zip(cost, bare, strict=True)]
    context, one_image = fresh(), image()
    on_one = [counter.of(partial(answer, context, question, one_image)) for question in QUESTIONS]
    places = image().output.pooler_output
    parts = [places] if isinstance(places, torch.Tensor) else list(places)
    tokens = sum(part.numel() // part.shape[-1] for part in parts)
    return (
        f"| {family} | {tokens} | {statistics.mean(bare):.0f} | {ratios[0]:.1f} × "
        f"| {statistics.mean(ratios[1:]):.1f} × | {max(ratios[1:]):.1f} × "
        f"| {on_one[1] / on_one[0]:.2f} × | {on_one[2] / on_one[0]:.2f} × |"
    )


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from tests.tiny_models import FAMILIES, MORE_FAMILIES

    families = (*MORE_FAMILIES, *FAMILIES)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=families, default=families)
    parser.add_argument("--profile", default="instruct", help="prompts of the agents")
    parser.add_argument("--questions", type=int, choices=range(2, 16), default=6, metavar="2..15")
    parser.add_argument("--severity", type=int, choices=range(1, 6), default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    lexicon = Lexicon.load([])
    print("| family | image tokens | bare | first | later | most | second | third |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for family in args.families:
        print(row(family, args, lexicon), flush=True)


if __name__ == "__main__":
    main()
