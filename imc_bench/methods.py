"""The methods that are compared: what each does to the image and to the question.

A method has two sides. Its *sight* turns images into the features the model is shown; its
*reading* turns a question into the one the model is asked. Each side carries a name, and methods
whose side has the same name share its work: `sms` sees what `none` sees. A new method is one small
class, usually a subclass of `Untouched` that overrides one side, given to `register`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from langchain_core.messages import convert_to_messages

from graphs.context import IMCContext
from graphs.sms import build_sms_graph
from imc_bench.conditions import RunRefused
from imc_bench.denoisers import (
    Denoiser,
    median,
    non_local_means,
    total_variation,
    wiener,
)
from imc_bench.spelling import SpellChecker
from prompts.role import places
from vision.encoder import EncodedImage
from vision.reading import MedicalImage
from vision.report import NoisePerception

if TYPE_CHECKING:
    from imc_agents.chat_model import ChatLocalMLLM

Side = Literal["nothing", "image", "text", "both"]
AS_IT_IS, CALIBRATED = "as it is", "calibrated"
AS_ASKED, REFINED = "as asked", "refined"

REWRITE = (
    "Rewrite this question about a medical image with its mistakes corrected. "
    "Reply with the question alone.\n\n{question}"
)
"""The one prompt of `rewrite`, for models that follow instructions."""


@dataclass(frozen=True)
class Seen:
    """One image as a method shows it to the model."""

    features: EncodedImage
    key: str
    """Names the features' content: equal keys are bit-identical features."""
    touched: bool
    """The method changed something."""
    perception: NoisePerception | None
    """What was perceived of the image; None without a prototype bank."""
    ms: float
    """Milliseconds, an equal share of the batch it was made in."""


@dataclass(frozen=True)
class Read:
    """One question as a method puts it to the model."""

    text: str
    calls: int = 0
    """Passes through the model that it took."""
    ms: float = 0.0


@dataclass
class Tools:
    """What methods work with: a model's context, and batches."""

    context: IMCContext
    batch: int = 16
    """Most prompts in one pass of the model."""


class Method(Protocol):
    """What the runner asks of a method. Both sides must not depend on the batch they are in."""

    @property
    def name(self) -> str:
        """How tables call it."""

    @property
    def acts_on(self) -> Side:
        """What it may change."""

    @property
    def sight(self) -> str:
        """Name of the image side."""

    @property
    def reading(self) -> str:
        """Name of the text side."""

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """Each image as the model will be shown it."""

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """Each question as the model will be asked it."""


class Untouched:
    """`none`: the bare model; and the base of the others, which override a side."""

    name: str = "none"
    acts_on: Side = "nothing"
    sight: str = AS_IT_IS
    reading: str = AS_ASKED

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """The plain features."""
        return encode(images, tools, calibrate=False)

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """The question as it stands."""
        return [Read(question) for question in questions]


class PDC(Untouched):
    """`pdc`: features calibrated by the model's prototype bank."""

    name = "pdc"
    acts_on: Side = "image"
    sight = CALIBRATED

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """Perceived and calibrated; bit-identical to the plain features where the gate is shut."""
        return encode(images, tools, calibrate=True)


class SMS(Untouched):
    """`sms`: the question refined by the four agents."""

    name = "sms"
    acts_on: Side = "text"
    reading = REFINED

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """Through the sms graph, one question at a time.

        Raises QuestionRefused for a question that cannot be put to a model.
        """
        context, graph = tools.context.with_policy(method="sms"), build_sms_graph()
        refined = []
        for question in questions:
            start = time.perf_counter()
            state = graph.invoke({"question": question}, context=context)
            decision = state["decision"]
            used = question if decision is None else decision.used
            calls = sum(step.calls for step in state["trace"])
            refined.append(Read(used, calls, _ms(start)))
        return refined


class IMC(PDC):
    """`imc`: both."""

    name = "imc"
    acts_on: Side = "both"
    reading = REFINED

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """As `sms` does."""
        return SMS().read(questions, tools)


class Denoised(Untouched):
    """An image-space denoiser, applied blindly to every image, as a user would."""

    acts_on: Side = "image"

    def __init__(self, name: str, denoise: Denoiser) -> None:
        self.name = self.sight = name
        self.denoise = denoise

    def see(self, images: Sequence[MedicalImage], tools: Tools) -> list[Seen]:
        """The plain features of the denoised images.

        Raises RunRefused where scikit-image is not installed.
        """
        start = time.perf_counter()
        repaired = [MedicalImage.from_rgb(self.denoise(image.rgb)) for image in images]
        spent = _ms(start) / max(1, len(images))
        return [
            Seen(one.features, one.key, one.key != image.sha256, one.perception, one.ms + spent)
            for one, image in zip(encode(repaired, tools, calibrate=False), images, strict=True)
        ]


class Spelled(Untouched):
    """`symspell`: a dictionary spell checker, word by word."""

    name = "symspell"
    acts_on: Side = "text"
    reading = "symspell"

    def __init__(self) -> None:
        self._checker: SpellChecker | None = None

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """Every word that the dictionary lacks becomes its nearest frequent neighbour."""
        if self._checker is None:  # its dictionary takes seconds to load
            self._checker = SpellChecker()
        checked = []
        for question in questions:
            start = time.perf_counter()
            checked.append(Read(self._checker(question), 0, _ms(start)))
        return checked


class Rewritten(Untouched):
    """`rewrite`: the same model asked, in one prompt, to write the question anew."""

    name = "rewrite"
    acts_on: Side = "text"
    reading = "rewrite"

    def read(self, questions: Sequence[str], tools: Tools) -> list[Read]:
        """Whatever the model replies is used; an empty reply leaves the question as it was.

        The embedded model knows one such prompt (`correct: ...`), its corrector's; models that
        follow instructions get `REWRITE`, so that the corrector's safeguards are not borrowed.
        """
        own = tools.context.prompts.corrector
        knows_its_own = own.system is None and places(own.user) == {"question"}
        rewritten: list[Read] = []
        for start in range(0, len(questions), tools.batch):
            chunk = questions[start : start + tools.batch]
            asked = [
                convert_to_messages(
                    own.messages(question=question)
                    if knows_its_own
                    else [{"role": "user", "content": REWRITE.replace("{question}", question)}]
                )
                for question in chunk
            ]
            began = time.perf_counter()
            # a rewritten question is hardly longer than three tokens a word; twice that is ample
            longest = 16 + 6 * max(len(question.split()) for question in chunk)
            replies = local_chat(tools.context).generate_batch(asked, max_new_tokens=longest)
            spent = _ms(began) / len(chunk)
            rewritten += [
                Read(str(reply.text).strip() or question, 1, spent)
                for question, reply in zip(chunk, replies, strict=True)
            ]
        return rewritten


def encode(images: Sequence[MedicalImage], tools: Tools, *, calibrate: bool) -> list[Seen]:
    """Features of several images in one pass of the encoder where their sizes allow it.

    Raises RunRefused where the context has no image side.
    """
    calibrator = tools.context.calibrator
    if calibrator is None:
        raise RunRefused("the model has no image side: answers about images cannot be measured")
    start = time.perf_counter()
    results = calibrator.calibrate_batch(images, calibrate=calibrate)
    spent = _ms(start) / max(1, len(images))
    return [
        Seen(
            one.features,
            image.sha256 + (":calibrated" if one.report.applied else ""),
            one.report.applied,
            one.perception,
            spent,
        )
        for image, one in zip(images, results, strict=True)
    ]


def local_chat(context: IMCContext) -> ChatLocalMLLM:
    """The context's chat model. Raises RunRefused where it is not one that takes features."""
    from imc_agents.chat_model import ChatLocalMLLM

    if not isinstance(context.chat, ChatLocalMLLM):
        raise RunRefused("the benchmark needs a local model; give one with --model")
    return context.chat


def _ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000.0


def registry() -> dict[str, Method]:
    """Every method by name, freshly made."""
    methods: list[Method] = [
        Untouched(),
        PDC(),
        SMS(),
        IMC(),
        Denoised("median", median),
        Denoised("wiener", wiener),
        Denoised("tv", total_variation),
        Denoised("nlm", non_local_means),
        Spelled(),
        Rewritten(),
        *_REGISTERED,
    ]
    return {method.name: method for method in methods}


_REGISTERED: list[Method] = []


def register(method: Method) -> None:
    """Add a method of your own, under its name, to this process.

    Raises RunRefused where the name is taken.
    """
    if method.name in registry():
        raise RunRefused(f"there is a method {method.name!r} already; give yours another name")
    _REGISTERED.append(method)


def get_methods(names: Sequence[str]) -> list[Method]:
    """The methods of these names, each once, in this order.

    Raises RunRefused for an unknown name, listing the known, and for no name at all.
    """
    known = registry()
    if not names:
        raise RunRefused(f"no method was asked for; choose from: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise RunRefused(f"unknown method {name!r}; choose from: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]
