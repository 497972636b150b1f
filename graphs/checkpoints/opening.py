"""Where threads are kept: an SQLite file, a Postgres database, or nowhere.

`open_checkpointer` gives a LangGraph checkpointer whose errors are sentences, which serves `invoke`
and `ainvoke` alike, and which knows the folder of the images that its checkpoints name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from graphs.checkpoints.images import ImageFolder
from graphs.checkpoints.kept import CheckpointsRefused
from graphs.checkpoints.serializing import knowing_the_state, serializer

DATABASE, IMAGES = "checkpoints.sqlite", ".images"
URL_SCHEMES = ("postgres://", "postgresql://")


def open_checkpointer(spec: str | Path | BaseCheckpointSaver[Any] | None) -> Any:
    """The checkpointer that `spec` names.

    Args:
        spec: `sqlite`, the database in the user's data directory (`data_folder`); a path of an
            SQLite file, made where it is missing; a `postgresql://` URL; a checkpointer, returned
            with the state's types known to it (`knowing_the_state`); or None, for none.

    Returns:
        A `KeptThreads`, the checkpointer given, or None.

    Raises:
        CheckpointsRefused: a database that cannot be opened or written, one of another program, a
            Postgres driver that is not installed, or a URL of another kind.
    """
    if spec is None:
        return None
    if isinstance(spec, BaseCheckpointSaver):
        return knowing_the_state(spec)
    named = str(spec)
    if named.startswith(URL_SCHEMES):
        from graphs.checkpoints.postgres import open_postgres

        images = data_folder() / f"postgres{IMAGES}"
        return open_postgres(named, serializer(), ImageFolder(images))
    if "://" in named:
        raise CheckpointsRefused(
            f"checkpoints at {named.partition('://')[0]}://...: not a database known here; give "
            "sqlite, a path or a postgresql:// URL"
        )
    from graphs.checkpoints.sqlite import open_sqlite

    path = data_folder() / DATABASE if named == "sqlite" else Path(named).expanduser()
    if not path.name or "\x00" in named:
        raise CheckpointsRefused(f"checkpoints in {named!r}: that names no file; give a path")
    if named == "sqlite":
        _make_private(path.parent)
    return open_sqlite(path, serializer(), ImageFolder(path.with_name(path.name + IMAGES)))


def data_folder() -> Path:
    """The user's data directory of this program, by the XDG base directory specification."""
    base = os.environ.get("XDG_DATA_HOME", "")
    home = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share"
    return home / "imc"


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointsRefused(
            f"{folder}: cannot be made ({error.strerror}); set XDG_DATA_HOME to a folder of yours, "
            "name a file for the checkpoints, or keep none"
        ) from error
