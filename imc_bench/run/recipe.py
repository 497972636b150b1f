"""What another process is given in order to measure units of a run: values alone, no model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imc_agents.chat.placement import Placement
from imc_bench.run.session import RunRequest, check_request, identity_of, make_runner
from imc_reference import MODEL_DIR

if TYPE_CHECKING:
    from imc_bench.run.runner import Runner
    from imc_bench.store.schema import Identity

Name = TypeVar("Name", str, str | None)


@dataclass(frozen=True)
class ModelRequest:
    """A model and what goes with it, as `graphs.context.load_context` takes them."""

    path: str | None = None
    """A folder or a cached id; None: the embedded model of whichever process loads it."""
    prototypes: str | None = None
    acquisition: str | None = None
    profile: str | None = None
    protected: tuple[str, ...] = ()
    seed: int = 0
    placement: Placement = Placement()


@dataclass(frozen=True)
class RunRecipe:
    """What is measured, and with which model."""

    request: RunRequest
    model: ModelRequest

    def absolute(self) -> RunRecipe:
        """The same whatever the working directory: paths are absolute, links in them stay."""
        request, model = self.request, self.model
        return RunRecipe(
            replace(
                request,
                dataset=_absolute(request.dataset),
                data=None if request.data is None else request.data.absolute(),
                plugins=tuple(file.absolute() for file in request.plugins),
            ),
            replace(
                model,
                path=_absolute(model.path),
                prototypes=_absolute(model.prototypes),
                acquisition=_absolute(model.acquisition),
                profile=_absolute(model.profile),
                protected=tuple(_absolute(file) for file in model.protected),
            ),
        )

    def prepare(self) -> tuple[Runner, Identity]:
        """Read the items, load the model: what measures units, and what its rows depend on.

        Raises IMCError, in one line: the refusals of `check_request` and `load_context`.
        """
        from graphs.context import load_context

        checked = check_request(self.request)
        given = dict(vars(self.model))
        path, prototypes = given.pop("path"), given.pop("prototypes")
        context = load_context(MODEL_DIR if path is None else path, prototypes, **given)
        return make_runner(checked, context), identity_of(checked, context)


def _absolute(name: Name) -> Name:
    """An existing file or folder by its absolute path; names of other things stay."""
    if name is None or not Path(name).exists():
        return name
    return str(Path(name).absolute())
