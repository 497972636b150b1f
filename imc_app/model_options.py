"""The options that say which model runs, where and how: a command takes them as one value.

A function of a command with a parameter `placement: Placement` is given `--device`, `--dtype`,
`--device-map` and `--attention` in its place by `with_placement`; one with `settings:
ModelSettings` is given all that a served model needs by `with_served_model`, and there a variable
of the environment may say what no option does.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from imc_agents.chat.placement import Placement
from imc_app.options import (
    AcquisitionOption,
    ModelOption,
    ProfileOption,
    ProtectedOption,
    PrototypesOption,
    Seed,
)
from imc_app.stages import ALL_STAGES, STAGES, StagesOption, parse_stages

if TYPE_CHECKING:
    from graphs.context import IMCContext

__all__ = [
    "ANYWHERE",
    "SERVED",
    "ModelSettings",
    "Placement",
    "read_settings_of",
    "with_placement",
    "with_served_model",
]

ANYWHERE = Placement()
"""Where a model runs when nothing was said."""

Command = TypeVar("Command", bound=Callable[..., Any])


class DtypeName(StrEnum):
    """Number format of a model's weights."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class DeviceMapName(StrEnum):
    """How a model's layers are divided over devices."""

    NONE = "none"
    AUTO = "auto"


class AttentionName(StrEnum):
    """Implementation of a model's attention."""

    AUTO = "auto"
    SDPA = "sdpa"
    EAGER = "eager"
    FLASH_ATTENTION_2 = "flash_attention_2"


DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="Where the model runs: auto, cpu, cuda, cuda:1 or mps."
    ),
]
DtypeOption = Annotated[
    DtypeName,
    typer.Option(
        "--dtype",
        help="Number format of the model's weights; auto: float32 for small models, else the "
        "checkpoint's own.",
    ),
]
DeviceMapOption = Annotated[
    DeviceMapName,
    typer.Option(
        "--device-map",
        help="auto: divide the model's layers over all accelerators (needs accelerate); then "
        "leave --device out.",
    ),
]
AttentionOption = Annotated[
    AttentionName,
    typer.Option(
        "--attention", help="Implementation of attention; auto: the usual one of the model."
    ),
]


@dataclass(frozen=True)
class ModelSettings:
    """A model and all beside it that a served process opens it with."""

    model: str | None = None
    """Folder or cached id; None: the embedded one."""
    prototypes: Path | None = None
    acquisition: Path | None = None
    profile: str = "auto"
    protected: tuple[Path, ...] = ()
    stages: tuple[str, ...] = STAGES
    seed: int = 0
    placement: Placement = ANYWHERE

    def check(self) -> None:
        """Refuse files that are not there, which takes no model library.

        Raises ModelRefused or BankRefused.
        """
        from imc_app.session import check_files

        check_files(self.model, self.prototypes, self.acquisition)

    def open(self) -> IMCContext:
        """Load it. Raises what `imc_app.session.open_context` raises."""
        from imc_app.session import open_context

        return open_context(
            self.model,
            self.prototypes,
            acquisition=self.acquisition,
            profile=self.profile,
            protected=self.protected,
            stages=self.stages,
            seed=self.seed,
            placement=self.placement,
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that say the same to another process; paths are absolute."""
        said = {
            "model": _absolute(self.model),
            "prototypes": _absolute(self.prototypes),
            "acquisition": _absolute(self.acquisition),
            "profile": _absolute(self.profile),
            "protected": os.pathsep.join(str(path.resolve()) for path in self.protected),
            "stages": ",".join(self.stages),
            "seed": str(self.seed),
            "device": self.placement.device,
            "dtype": self.placement.dtype,
            "device_map": self.placement.device_map or DeviceMapName.NONE.value,
            "attention": self.placement.attention,
        }
        return {variable(name): value for name, value in said.items() if value}


SERVED = ModelSettings()
"""The embedded model, as it comes."""


def variable(name: str) -> str:
    """The variable of the environment that says what the option of a served model does."""
    return f"IMC_{name.upper()}"


def with_placement(command: Command) -> Command:
    """Give a command the options of a `Placement`, in place of its parameter `placement`."""
    return _expanded(command, "placement", _PLACEMENT, _placement)


def with_served_model(command: Command) -> Command:
    """Give a command the options of `ModelSettings`, in place of its parameter `settings`.

    Each may be said by a variable of the environment too: `IMC_MODEL`, `IMC_PROTOTYPES` ...
    """
    return _expanded(command, "settings", _SERVED, read_settings_of)


def _absolute(named: str | Path | None) -> str | None:
    """What may name a file or folder, found from any working directory."""
    if named is None:
        return None
    return str(Path(named).resolve()) if Path(named).exists() else str(named)


# -- details ------------------------------------------------------------------------------------


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _or_variable(option: inspect.Parameter) -> inspect.Parameter:
    """The same option, whose value may come from the environment."""
    plain, described = get_args(option.annotation)
    described = copy(described)
    described.envvar = variable(option.name)
    return option.replace(annotation=Annotated[plain, described])


_PLACEMENT = (
    _option("device", DeviceOption, "auto"),
    _option("dtype", DtypeOption, DtypeName.AUTO),
    _option("device_map", DeviceMapOption, DeviceMapName.NONE),
    _option("attention", AttentionOption, AttentionName.AUTO),
)
_SERVED = tuple(
    _or_variable(option)
    for option in (
        _option("model", ModelOption, None),
        _option("prototypes", PrototypesOption, None),
        _option("acquisition", AcquisitionOption, None),
        _option("profile", ProfileOption, "auto"),
        _option("protected", ProtectedOption, None),
        _option("stages", StagesOption, ALL_STAGES),
        *_PLACEMENT,
        _option("seed", Seed, 0),
    )
)


def _placement(values: Mapping[str, Any]) -> Placement:
    mapped = values["device_map"]
    return Placement(
        device=values["device"],
        dtype=values["dtype"].value,
        device_map=None if mapped is DeviceMapName.NONE else mapped.value,
        attention=values["attention"].value,
    )


def read_settings_of(values: Mapping[str, Any]) -> ModelSettings:
    """The settings that a command's parsed options make, other options beside them.

    Raises ModelRefused or InputRefused for values that exclude each other.
    """
    return ModelSettings(
        model=values["model"],
        prototypes=values["prototypes"],
        acquisition=values["acquisition"],
        profile=values["profile"],
        protected=tuple(values["protected"] or ()),
        stages=parse_stages(values["stages"]),
        seed=values["seed"],
        placement=_placement(values),
    )


def _expanded(
    command: Command,
    name: str,
    options: tuple[inspect.Parameter, ...],
    make: Callable[[Mapping[str, Any]], Any],
) -> Command:
    """`command` with `options` in place of its parameter `name`, which is given what `make` makes
    of their values."""
    own = inspect.signature(command, eval_str=True)
    shown = [
        option
        for parameter in own.parameters.values()
        for option in (options if parameter.name == name else (parameter,))
    ]

    @functools.wraps(command)
    def called(**values: Any) -> Any:
        of = {option.name: values.pop(option.name) for option in options}
        return command(**values, **{name: make(of)})

    called.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in shown}
    return called  # type: ignore[return-value]
