"""Threads that are kept: what lies in the database, what comes back, and what is refused."""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from PIL import Image

from graphs.checkpoints import CheckpointsRefused, KeptThreads, open_checkpointer
from graphs.checkpoints.images import ImageFolder, ImageNotKept
from graphs.checkpoints.opening import data_folder, serializer
from graphs.imc import build_imc_graph
from tests.fakes import FakeCalibrator, grey_square
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, nodes_of, thread
from vision.errors import ImageRefused
from vision.reading.medical_image import MedicalImage, read_image

QUESTION_BYTES, THOUSAND_BYTES = 64 << 10, 100 << 20


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A picture whose pixels, path and name can be searched for."""
    path = tmp_path / "Doe_John.png"
    noise = np.random.default_rng(3).integers(0, 255, (48, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def block(image: Path) -> dict[str, str]:
    encoded = base64.b64encode(image.read_bytes()).decode()
    return {"type": "image", "base64": encoded, "mime_type": "image/png"}


def kept_bytes(database: Path) -> bytes:
    """Everything in the database, its log included, as it lies there and unpacked."""
    files = [*database.parent.glob(f"{database.name}*")]
    raw = b"".join(file.read_bytes() for file in files if file.is_file())
    with sqlite3.connect(database) as connection:
        tables = ("checkpoints", "type, checkpoint"), ("writes", "type, value")
        rows = [
            row
            for table, columns in (*tables, ("channel_values", "type, value"))
            for row in connection.execute(f"SELECT {columns} FROM {table}")
        ]
    unpacked = [repr(serializer().loads_typed(row)).encode() for row in rows]
    return raw + b"".join(unpacked)


@pytest.mark.parametrize("given", [str, block], ids=["path", "block"])
def test_neither_pixels_nor_paths_reach_the_database(
    database: Path, image: Path, given: Any
) -> None:
    graph = build_imc_graph(checkpointer=database)
    state = graph.invoke({"image": given(image), "question": TYPO}, thread(), context=context_of())
    assert state["answer"].text == "yes"
    kept = kept_bytes(database)
    assert CLEAN.encode() in kept  # it was unpacked
    assert b"Doe_John" not in kept
    row = np.asarray(Image.open(image))[20]
    assert row[:12].tobytes() not in kept
    assert base64.b64encode(image.read_bytes())[:40] not in kept


async def test_an_asynchronous_run_is_kept_like_another(database: Path, image: Path) -> None:
    graph = build_imc_graph(checkpointer=database)
    state = await graph.ainvoke(
        {"image": block(image), "question": TYPO}, thread(), context=context_of()
    )
    assert (await graph.aget_state(thread())).values["answer"] == state["answer"]
    assert len([snapshot async for snapshot in graph.aget_state_history(thread())]) > 5
    assert b"Doe_John" not in kept_bytes(database)


@pytest.mark.parametrize("as_url", [False, True])
def test_pixels_reach_no_checkpointer_at_all(image: Path, as_url: bool) -> None:
    given = block(image)
    pixels = f"data:image/png;base64,{given['base64']}" if as_url else given
    graph = build_imc_graph(checkpointer=InMemorySaver())
    graph.invoke({"image": pixels, "question": CLEAN}, thread(), context=context_of())
    sources = [snapshot.values.get("image") for snapshot in graph.get_state_history(thread())]
    assert set(sources) == {None, f"sha256:{read_image(image).sha256}"}


def test_a_run_embedded_in_a_kept_workflow_takes_its_image_in(database: Path, image: Path) -> None:
    from langgraph.graph import END, START, StateGraph

    from graphs.context import IMCContext
    from graphs.state import IMCState

    builder = StateGraph(IMCState, context_schema=IMCContext)
    builder.add_node("imc", build_imc_graph())
    builder.add_edge(START, "imc")
    builder.add_edge("imc", END)
    saver = open_checkpointer(database)
    builder.compile(checkpointer=saver).invoke(
        {"image": block(image), "question": CLEAN}, thread(), context=context_of()
    )
    inner = [
        found.checkpoint["channel_values"].get("image")
        for found in saver.list(None)
        if found.config["configurable"]["checkpoint_ns"]
    ]
    assert f"sha256:{read_image(image).sha256}" in inner
    assert all(name is None or isinstance(name, str) for name in inner)


def die_at(node: str, database: Path, image: Path) -> None:
    """Ask in a process of its own, which is killed inside `node`."""
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status)
        return
    try:  # the child: never returns into pytest
        import graphs.tracing as tracing

        opened = tracing.timed

        def killed(name: str, **options: Any) -> Any:
            if name == node:
                os.kill(os.getpid(), signal.SIGKILL)
            return opened(name, **options)

        for module in (m for m in list(sys_modules()) if getattr(m, "timed", None) is opened):
            module.timed = killed
        context = context_of(calibrator=FakeCalibrator("gaussian"))
        build_imc_graph(checkpointer=database).invoke(
            {"image": block(image), "question": TYPO}, thread(), context=context, durability="sync"
        )
    finally:
        os._exit(0)


def sys_modules() -> list[Any]:
    import sys

    return [module for name, module in sys.modules.items() if name.startswith("graphs")]


@pytest.mark.parametrize("node", ["vision", "coordinator", "corrector", "verifier", "answer"])
def test_a_run_killed_inside_a_node_is_finished_by_another_process(
    database: Path, image: Path, node: str
) -> None:
    context = context_of(calibrator=FakeCalibrator("gaussian"))
    whole = build_imc_graph().invoke({"image": block(image), "question": TYPO}, context=context)
    die_at(node, database, image)

    again = context_of(calibrator=FakeCalibrator("gaussian"))
    state = build_imc_graph(checkpointer=database).invoke(None, thread(), context=again)
    for key in ("answer", "decision", "findings", "perception", "image_name"):
        assert state[key] == whole[key]
    assert sorted(nodes_of(state)) == sorted(nodes_of(whole))  # nothing lost, nothing doubled


def test_one_question_is_kept_in_64_kib_and_a_thousand_in_100_mb(
    database: Path, tmp_path: Path
) -> None:
    graph = build_imc_graph(checkpointer=database)
    context = context_of(calibrator=FakeCalibrator("gaussian"))
    for side in (8, 512):
        picture = context.images.put(grey_square(side=side))
        graph.invoke({"image": picture, "question": TYPO}, thread(str(side)), context=context)
    (_, _, large), (_, _, small) = graph.checkpointer.thread_sizes()
    assert large == pytest.approx(small, abs=200)  # times differ in their digits
    assert large < QUESTION_BYTES
    rows = 30 * 300  # keys and indices of the rows of one question
    assert 1000 * (large + rows) < THOUSAND_BYTES


def test_database_and_pictures_are_their_owners_alone(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    graph = build_imc_graph(checkpointer="sqlite")
    graph.invoke({"image": str(image), "question": CLEAN}, thread(), context=context_of())
    for path in [data_folder(), *data_folder().rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert data_folder() == tmp_path / "data" / "imc"


def test_a_picture_that_was_changed_on_disk_is_refused(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path / "images")
    kept, other = grey_square(value=40), grey_square(value=41)
    folder.put(kept)
    assert folder.get(kept.sha256) == kept
    assert folder.get(other.sha256) is None
    assert folder.get("../" * 8 + "etc/passwd") is None
    folder.put(other)
    os.replace(folder.path / f"{other.sha256}.png", folder.path / f"{kept.sha256}.png")
    with pytest.raises(ImageRefused, match="changed on disk"):
        folder.get(kept.sha256)


def test_colour_and_grey_come_back_to_the_last_bit(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path / "images")
    drawn = np.random.default_rng(0)
    colour = MedicalImage.from_rgb(drawn.integers(0, 255, (9, 7, 3), dtype=np.uint8))
    grey = read_image(drawn.integers(0, 255, (9, 7), dtype=np.uint8))
    for image in (colour, grey):
        folder.put(image)
        found = folder.get(image.sha256)
        assert found is not None
        assert np.array_equal(found.rgb, image.rgb)
    assert sorted(folder.names()) == sorted([colour.sha256, grey.sha256])
    folder.remove(grey.sha256)
    assert [*folder.names()] == [colour.sha256]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageNotKept, match="cannot be kept"):
        ImageFolder(tmp_path / "file" / "images").put(grey_square())


def test_a_thread_of_langgraphs_own_saver_goes_on(database: Path, image: Path) -> None:
    plain = SqliteSaver(
        sqlite3.connect(database, check_same_thread=False), serde=serializer()
    )
    build_imc_graph(checkpointer=plain).invoke(
        {"image": str(image), "question": TYPO},
        thread(),
        context=context_of(),
        interrupt_before=["answer"],
    )
    plain.conn.close()
    state = build_imc_graph(checkpointer=database).invoke(None, thread(), context=context_of())
    assert state["answer"].text == "yes"
    assert state["decision"].used == CLEAN


def test_a_deleted_thread_leaves_nothing_in_the_file(database: Path, image: Path) -> None:
    saver = open_checkpointer(database)
    graph = build_imc_graph(checkpointer=saver)
    graph.invoke({"image": str(image), "question": TYPO}, thread("a"), context=context_of())
    assert b"thread" in database.read_bytes() or saver.thread_sizes()
    saver.delete_thread("a")
    assert saver.thread_sizes() == []
    raw = b"".join(file.read_bytes() for file in database.parent.glob("runs.sqlite*-*"))
    with sqlite3.connect(database) as connection:
        for table in ("checkpoints", "writes", "channel_values"):
            assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)
    assert TYPO.encode() not in raw + database.read_bytes()


# what is refused


def test_none_stays_none_and_a_checkpointer_keeps_its_storage() -> None:
    saver = InMemorySaver()
    assert open_checkpointer(None) is None
    assert open_checkpointer(saver).storage is saver.storage


def not_a_database(path: Path) -> Path:
    path.write_bytes(b"this is a letter and not a database " * 200)
    return path


def in_no_folder(path: Path) -> Path:
    return path.parent / "nowhere" / path.name


def a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def a_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (not_a_database, "no SQLite file"),
        (in_no_folder, "folder that exists"),
        (a_folder, "not a file"),
        (a_pipe, "not a file"),
        (lambda _: "mysql://host/db", "sqlite, a path or a postgresql:// URL"),
        (lambda _: "", "names no file"),
        (lambda _: "/", "names no file"),
        (lambda _: "a\x00b", "names no file"),
    ],
)
def test_what_holds_no_checkpoints_is_refused(database: Path, made: Any, said: str) -> None:
    with pytest.raises(CheckpointsRefused, match=said) as refusal:
        open_checkpointer(made(database))
    assert "\n" not in str(refusal.value)


def test_a_locked_database_is_refused_after_a_wait(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphs.checkpoints.sqlite.LOCK_SECONDS", 0.05)
    open_checkpointer(database).close()
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CheckpointsRefused, match="locked"):
        open_checkpointer(database)


def full(saver: KeptThreads) -> None:
    """No page more fits into the file."""
    pages = saver.conn.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
    saver.conn.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]


def read_only(saver: KeptThreads) -> None:
    saver.conn.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("breaks", "said"), [(full, "disk is full"), (read_only, "read-only")])
def test_a_write_that_fails_in_a_run_is_one_sentence(
    database: Path, image: Path, breaks: Any, said: str
) -> None:
    saver = open_checkpointer(database)
    breaks(saver)
    graph = build_imc_graph(checkpointer=saver)
    with pytest.raises(CheckpointsRefused, match=said):
        graph.invoke(
            {"image": str(image), "question": TYPO}, thread(), context=context_of()
        )


@pytest.mark.parametrize(
    "stored",
    [
        ("msgpack+zlib", b"\x00" * 40),
        ("msgpack+zlib", b"x\x9c" + b"\x00" * 40),
        ("msgpack", b"\xc1"),
        ("pickle", b"cos\nsystem\n(S'true'\ntR."),
    ],
    ids=["no zlib", "damaged", "no msgpack", "pickle"],
)
def test_a_value_that_cannot_be_read_is_refused(stored: tuple[str, bytes]) -> None:
    with pytest.raises(CheckpointsRefused, match="cannot be read"):
        serializer().loads_typed(stored)


def test_a_value_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, data = serializer().dumps_typed("lesion " * 100)
    assert kind == "msgpack+zlib" and len(data) < 100
    assert serializer().loads_typed((kind, data)) == "lesion " * 100
    monkeypatch.setattr("graphs.checkpoints.compact.MAX_BYTES", 600)
    with pytest.raises(CheckpointsRefused, match="cannot be read"):
        serializer().loads_typed((kind, data))
