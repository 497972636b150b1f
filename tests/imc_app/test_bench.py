"""`imc bench` from the command line."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imc_app.commands import bench_jobs
from imc_bench.errors import StoreRefused
from imc_bench.run.worker import Reply, WorkerDied
from imc_bench.store.result_store import Store
from imc_core.workers import termination_as_interrupt
from tests.conftest import REPOSITORY, Imc

PHANTOMS = ("bench", "run", "--dataset", "phantom", "--limit", "3", "--noises", "none")


def test_a_run_its_status_and_the_same_command_again(
    imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run.db"
    first = imc(*PHANTOMS, "--methods", "none,symspell", "--out", out, "--quiet")
    assert (first.code, first.err) == (0, "")
    assert "6 of 6 rows, complete" in first.out
    assert imc(*PHANTOMS, "--methods", "none,symspell", "--out", out).out == first.out

    status = json.loads(imc("bench", "status", out, "--json").out)
    assert status["complete"] and status["rows"] == 6
    assert status["arguments"]["methods"] == ["none", "symspell"]
    assert "complete" in imc("bench", "status", out).out

    other = imc(*PHANTOMS, "--methods", "none", "--out", out)
    assert other.code == 2
    assert "was written with methods" in other.err and other.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--noises", "fog"), "unknown noise 'fog'"),
        (("--severities", "0"), "from 1 (mild) to 5 (strong)"),
        (("--severities", "three"), "from 1 (mild) to 5 (strong)"),
        (("--methods", "magic"), "unknown method 'magic'"),
        (("--dataset", "atlas"), "unknown data set 'atlas'"),
        (("--dataset", "nowhere.csv"), "there is no file 'nowhere.csv'"),
        (("--dataset", "slake", "--data", "nowhere"), "nowhere"),
        (("--plugin", "nowhere.py"), "plug-in 'nowhere.py'"),
    ],
)
def test_bad_input_is_one_line_before_any_model_is_loaded(
    imc: Imc, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = imc("bench", "run", "--dataset", "phantom", "--out", tmp_path / "run.db", *arguments)
    assert ran.code == 2
    assert said in ran.err and ran.err.count("\n") == 1
    assert not (tmp_path / "run.db").exists()


def test_a_csv_file_is_a_data_set_and_old_option_names_still_work(
    imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    rows = ["image,question,answer", "missing.png,Is there a lesion?,no", "a.png,,no"]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    command = ("bench", "run", "--out", tmp_path / "run.db", "--noises", "none")
    command += ("--methods", "none")
    ran = imc(*command, "--data-set", file, "--batch", "8")
    assert ran.code == 2 and "mine.csv row 2: image 'missing.png' is not there" in ran.err
    image = (REPOSITORY / "examples" / "phantom_ct.png").read_bytes()
    (tmp_path / "missing.png").write_bytes(image)
    ran = imc(*command, "--dataset", file)
    assert ran.code == 0 and "1 of 1 rows, complete" in ran.out
    assert "imc: left out: mine.csv row 3: question is empty" in ran.err
    with Store.read(tmp_path / "run.db") as store:
        assert store.facts()["arguments"]["data_set"] == "mine.csv"


def test_a_status_of_nothing_is_refused(imc: Imc, tmp_path: Path) -> None:
    ran = imc("bench", "status", tmp_path / "none.db")
    assert ran.code == 2 and "no such store" in ran.err


# three units for two workers, and under five severities eleven
SHARED = ("--dataset", "phantom", "--limit", "8", "--noises", "gaussian,typo", "--severities")


ROUNDED = ("confidence", "clean_p_value")
"""Columns that depend, a little, on how many threads added them up: a restored pixel may round to
another grey level."""


def rows_of(store: Path) -> list[dict[str, Any]]:
    """All rows, less the time they took; probabilities equal when they are within rounding."""
    with Store.read(store) as opened:
        rows = [{k: v for k, v in row.items() if k != "ms"} for row in opened.rows()]
    for row in rows:
        row.update((k, pytest.approx(row[k], abs=1e-3)) for k in ROUNDED if row[k] is not None)
    return rows


@pytest.mark.slow
def test_a_noise_and_a_method_of_ones_own_reach_every_process(
    imc: Imc, embedded_model: Path, tmp_path: Path, forget_plugins: Callable[[], None]
) -> None:
    out = tmp_path / "dust.db"
    dust = REPOSITORY / "examples" / "dust.py"
    command = ("bench", "run", "--dataset", "phantom", "--limit", "8", "--noises", "dust")
    command += ("--severities", "1,3,5", "--methods", "none,swept", "--out", str(out))
    ran = imc(*command, "--plugin", dust, "--jobs", "2")
    assert ran.code == 0 and "64 of 64 rows, complete" in ran.out
    with Store.read(out) as store:
        facts = store.facts()
    assert facts["arguments"]["plugins"].keys() == {"dust.py"}
    assert "dust.py" in facts["command"] and str(REPOSITORY.parent) not in facts["command"]

    forget_plugins()
    without = imc(*command)
    assert without.code == 2 and "unknown method 'swept'" in without.err
    # the store knows what the noise was: another file of that name is another run
    other = tmp_path / "dust.py"
    other.write_text(dust.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    ran = imc(*command, "--plugin", other)
    assert ran.code == 2 and "was written with plugins" in ran.err and ran.err.count("\n") == 1
    # a report needs neither
    assert imc("bench", "report", out, "--out", tmp_path / "report").code == 0


def test_the_command_of_a_report_is_pasted_and_names_no_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "runs").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert bench_jobs.shown_path("runs/a.sqlite") == "runs/a.sqlite"
    assert bench_jobs.shown_path(str(here / "runs" / "a.sqlite")) == "runs/a.sqlite"
    assert bench_jobs.shown_path(str(tmp_path / "mine.csv")) == "/path/to/mine.csv"
    assert bench_jobs.shown_path("low_dose+typo,motion") == "low_dose+typo,motion"


@pytest.mark.slow
def test_two_jobs_make_the_rows_of_one(imc: Imc, embedded_model: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    assert imc("bench", "run", *SHARED, "3", "--out", one).code == 0
    ran = imc("bench", "run", *SHARED, "3", "--out", two, "--jobs", "2")
    assert ran.code == 0
    assert "complete" in ran.out
    assert rows_of(two) == rows_of(one)
    with Store.read(two) as store:
        assert store.facts()["command"] == (
            "imc bench run --dataset phantom --out /path/to/two.db --noises gaussian,typo "
            "--severities 3 --limit 8"
        )


@pytest.mark.slow
def test_jobs_that_are_interrupted_all_stop_and_give_back_their_work(
    embedded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run.db"
    command = [sys.executable, "-m", "imc_app.cli", "bench", "run", *SHARED, "1,2,3,4,5"]
    parent = subprocess.Popen(
        [*command, "--out", out, "--jobs", "2"],
        cwd=REPOSITORY,
        # a shell that starts tests in the background has them ignore interrupts, children too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while parent.poll() is None and not working(out):
            time.sleep(0.1)
        parent.send_signal(signal.SIGINT)
        assert parent.wait(timeout=60) == 130
    finally:
        parent.kill()
    with Store.read(out) as store:
        progress = store.progress()
        assert progress.working == 0 and not progress.complete


def working(store: Path) -> int:
    """Units that a live process holds; none before there is a store."""
    try:
        with Store.read(store) as opened:
            return opened.progress().working
    except StoreRefused:
        return 0


class Scripted:
    """A place whose workers say at once what they were given, or die of it."""

    count = 2

    def __init__(self, reply: Reply | None) -> None:
        self.answer = reply

    def seat(self, number: int) -> Scripted:
        return self

    def ready(self, seats: list[Scripted], seconds: float) -> list[Scripted]:
        return seats[:1]

    def reply(self) -> Reply:
        if self.answer is None:
            raise WorkerDied
        return self.answer

    def start(self, wanted: str, recipe: bytes) -> None: ...
    def measure(self, unit: int) -> None: ...
    def dismiss(self) -> None: ...
    def end(self) -> None: ...
    def close(self) -> None: ...


def no_model(*arguments: object, **more: object) -> None:
    raise AssertionError("a command that hands out work loads no model")


def test_a_run_whose_workers_die_says_so(
    imc: Imc, embedded_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_jobs, "_processes", lambda *_: Scripted(None))
    monkeypatch.setattr("imc_agents.chat.loading.load_local_mllm", no_model)
    ran = imc(*PHANTOMS, "--methods", "none", "--out", tmp_path / "run.db", "--jobs", "2")
    assert ran.code == 1
    assert "died" in ran.err.splitlines()[-1] and not (tmp_path / "run.db").exists()


def test_what_a_worker_refuses_is_refused_in_its_words(
    imc: Imc, embedded_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = ("refused", "run.db: disk full: free some space")
    monkeypatch.setattr(bench_jobs, "_processes", lambda *_: Scripted(says))
    monkeypatch.setattr("imc_agents.chat.loading.load_local_mllm", no_model)
    ran = imc(*PHANTOMS, "--methods", "none", "--out", tmp_path / "run.db", "--jobs", "2")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == "imc: run.db: disk full: free some space"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--jobs", "2", "--device", "cuda:1"), "CUDA_VISIBLE_DEVICES"),
        (("--ray", "ray://head:10001"), "HOST:PORT"),
        (("--ray", "127.0.0.1:1"), "no Ray cluster answers there"),
        (("--ray", "somewhere"), "give local, auto"),
        (("--jobs", "2", "--profile", "nowhere"), "prompt profile 'nowhere'"),
    ],
)
def test_workers_that_cannot_be_had_are_one_line(
    imc: Imc, embedded_model: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = imc(*PHANTOMS, "--out", tmp_path / "run.db", *arguments)
    assert ran.code == 2
    assert said in ran.err.splitlines()[-1]
    assert not (tmp_path / "run.db").exists()


def test_each_job_has_a_gpu_and_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(bench_jobs, "usable_cores", lambda: 8)
    given = bench_jobs._processes(4, "auto").environments
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["4", "6", "4", "6"]
    assert {one["OMP_NUM_THREADS"] for one in given} == {"2"}
    given = bench_jobs._processes(2, "cpu").environments
    assert not any("CUDA_VISIBLE_DEVICES" in one for one in given)


WORKER = """
import os, signal, sys, time
from imc_core import workers
workers.follow(int(sys.argv[1]))
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("at work", flush=True)
while True:
    time.sleep(0.1)
"""
PARENT = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]])
print(worker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("hears", ["asked to stop", "deaf"])
def test_a_worker_ends_with_its_parent_however_that_ends(hears: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, WORKER, hears],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert parent.stdout.readline() == "at work\n"
    parent.kill()
    parent.wait()
    while not is_gone(worker):  # the suite's own time limit ends a worker that stays
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    """No process of this id runs; a dead one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_termination_stops_a_run_as_an_interrupt_does() -> None:
    own = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert signal.getsignal(signal.SIGTERM) is own


def test_what_a_settings_file_says_is_part_of_the_runs_command(
    imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    config, out = tmp_path / "imc.toml", tmp_path / "run.db"
    config.write_text('[bench.run]\nlimit = 2\nnoises = "none"\nmethods = "none"\n')
    ran = imc("--config", config, "bench", "run", "--dataset", "phantom", "--out", out, "-q")
    assert (ran.code, ran.err) == (0, "")
    with Store.read(out) as store:
        command = store.facts()["command"]
    assert {"--limit 2", "--noises none", "--methods none"} <= {
        " ".join(pair) for pair in itertools.pairwise(command.split())
    }
    assert "-q" not in command.split()
