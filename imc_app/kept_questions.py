"""`imc ask` as a thread that is kept: what was asked for is recorded with it, so that it can be
finished by another process with the same answer."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from imc_agents.chat.placement import Placement
from imc_app.model_options import ANYWHERE
from imc_app.refusals import InputRefused
from imc_app.session import Outcome, Request, answer_state, open_context, outcome_of
from imc_app.stages import STAGES

if TYPE_CHECKING:
    from graphs.checkpoints.kept import KeptThreads
    from graphs.context import IMCContext
    from graphs.state import IMCOutput
    from imc_agents.policy import Method

RECORD = "imc_ask"
"""Key of a checkpoint's metadata under which the settings of `imc ask` lie."""

PATHS = ("model", "prototypes", "acquisition")
"""Settings that may name a file, which can have moved when a thread is resumed."""
_LISTS = ("protected", "noise", "stages")


@dataclass(frozen=True)
class AskSettings:
    """The options of `imc ask` that its answer depends on; paths are absolute."""

    model: str | None = None
    prototypes: str | None = None
    acquisition: str | None = None
    profile: str = "auto"
    protected: tuple[str, ...] = ()
    method: str = "imc"
    stages: tuple[str, ...] = STAGES
    seed: int = 0
    placement: Placement = ANYWHERE
    noise: tuple[str, ...] = ()
    """What image and question were corrupted with; they are kept corrupted."""

    @classmethod
    def of(cls, **options: Any) -> AskSettings:
        """From the command's options, which may be relative paths."""
        for name in PATHS:
            path = options.get(name)
            if path is not None and Path(path).exists():
                options[name] = str(Path(path).resolve())
        options["protected"] = tuple(str(Path(path).resolve()) for path in options["protected"])
        return cls(**options)

    def record(self) -> str:
        """As JSON, without what is the default."""
        plain, own = asdict(AskSettings()), asdict(self)
        plain |= plain.pop("placement")
        own |= own.pop("placement")
        return json.dumps({name: it for name, it in own.items() if it != plain[name]})

    @classmethod
    def read(cls, record: object) -> AskSettings:
        """From what `record` wrote. Raises InputRefused for anything else."""
        try:
            found = json.loads(str(record))
            names = {one.name for one in fields(cls)} - {"placement"}
            places = {one.name for one in fields(Placement)}
            if not isinstance(found, dict) or not found.keys() <= names | places:
                raise ValueError("other keys")
            placed = Placement(**{name: found.pop(name) for name in places & found.keys()})
            lists = {name: tuple(found[name]) for name in _LISTS if name in found}
            return cls(**{**found, **lists}, placement=placed)
        except (ValueError, TypeError):
            raise InputRefused(
                "this thread was not begun by imc ask, or by another version: it cannot be resumed "
                "here; ask again"
            ) from None

    def open(self) -> IMCContext:
        """Load what is asked. Raises what `open_context` raises."""
        return open_context(
            self.model,
            None if self.prototypes is None else Path(self.prototypes),
            acquisition=None if self.acquisition is None else Path(self.acquisition),
            profile=self.profile,
            protected=tuple(map(Path, self.protected)),
            method=cast("Method", self.method),
            stages=self.stages,
            seed=self.seed,
            placement=self.placement,
        )

    def changed(self, **given: Any) -> AskSettings:
        """With what was named again, where it was."""
        return replace(self, **{name: it for name, it in given.items() if it is not None})

    def on(self, placement: Placement) -> AskSettings:
        """On this machine: device, device map and attention as given, where they are; the number
        format stays, since answers depend on it."""
        named = {
            one.name: getattr(placement, one.name)
            for one in fields(Placement)
            if one.name != "dtype" and getattr(placement, one.name) != one.default
        }
        if "device" in named:
            named["device_map"] = None
        elif "device_map" in named:
            named["device"] = "auto"
        return replace(self, placement=replace(self.placement, **named))


@dataclass(frozen=True)
class KeptQuestion:
    """One question's thread."""

    kept: KeptThreads
    settings: AskSettings
    thread: str = field(default_factory=lambda: new_thread())

    def ask(self, context: IMCContext, request: Request, *, timings: bool) -> Outcome:
        """Ask a new question. A refused one leaves no thread: it would be refused again.

        Raises:
            ImageNotKept, CheckpointsRefused: it cannot be kept.
            ModelRefused, QuestionRefused: the graph refused it.
        """
        from graphs.checkpoints.images import ImageNotKept
        from graphs.checkpoints.kept import CheckpointsRefused
        from graphs.threads import ThreadUnknown, delete
        from imc_core import IMCError

        try:
            asked = {"image": context.images.put(request.image), "question": request.question}
            return self._run(context, asked, timings=timings)
        except (CheckpointsRefused, ImageNotKept):
            raise
        except IMCError:
            with suppress(ThreadUnknown):  # refused before its first step
                delete(self.kept, self.thread)
            raise

    def resume(self, context: IMCContext, *, timings: bool) -> tuple[Outcome, Request]:
        """Finish a question that was stopped, or show the answer of a finished one.

        Raises:
            InputRefused: it waits for a person, or never had a first step.
            ImageRefused: its picture is gone or was changed.
        """
        from graphs.imc import build_imc_graph
        from graphs.threads import config_of

        graph = build_imc_graph(checkpointer=self.kept)
        snapshot = graph.get_state(config_of(self.thread))
        if snapshot.interrupts:
            raise InputRefused(
                f"thread {self.thread!r} waits for a review by a person; give it in imc step or "
                "the studio"
            )
        context.images.search(self.kept.images)
        if snapshot.next:
            outcome = self._run(context, None, timings=timings)
            snapshot = graph.get_state(config_of(self.thread))
        else:
            outcome = self._outcome(cast("IMCOutput", snapshot.values), context, timings=timings)
        from imc_app.corruption import parse_noise

        values = snapshot.values
        image = context.images.read(values["image"])
        noises = tuple(parse_noise(option) for option in self.settings.noise)
        return outcome, Request(image, values["question"], noises)

    def _run(self, context: IMCContext, asked: Any, *, timings: bool) -> Outcome:
        state = answer_state(
            context,
            asked,
            checkpointer=self.kept,
            config={
                "configurable": {"thread_id": self.thread},
                "metadata": {RECORD: self.settings.record()},
            },
        )
        return self._outcome(state, context, timings=timings)

    def _outcome(self, state: IMCOutput, context: IMCContext, *, timings: bool) -> Outcome:
        outcome = outcome_of(state, context, timings=timings)
        # A thread's name is new each time; without times the same request gives the same bytes.
        document = {**outcome.document, "thread": self.thread} if timings else outcome.document
        return replace(outcome, document=document)


def open_threads(place: str) -> KeptThreads:
    """The threads kept in `place`.

    Raises:
        CheckpointsRefused: it cannot be opened or written.
    """
    from graphs.checkpoints.kept import CheckpointsRefused
    from graphs.checkpoints.opening import open_checkpointer

    try:
        return cast("KeptThreads", open_checkpointer(place))
    except CheckpointsRefused as refusal:
        raise CheckpointsRefused(
            f"{refusal}; or keep no thread (--ephemeral)"
        ) from refusal


def with_exchanges(context: IMCContext, kept: KeptThreads) -> IMCContext:
    """The context, with a store of every request to the model beside the threads.

    Raises:
        ExchangesRefused: it cannot be opened.
    """
    from graphs.exchange_store import ExchangeStore, exchanges_path

    return replace(context, exchanges=ExchangeStore(exchanges_path(kept.images.path)))


def find_question(place: str, thread: str) -> KeptQuestion:
    """A thread that `imc ask` began.

    Raises:
        CheckpointsRefused, ThreadUnknown, InputRefused: in one line each.
    """
    from graphs.threads import metadata_of

    kept = open_threads(place)
    return KeptQuestion(kept, AskSettings.read(metadata_of(kept, thread).get(RECORD)), thread)


def new_thread() -> str:
    """A name for a thread: when it was begun, and four digits that tell apart those of a second."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
