"""Searches that are killed, starved or robbed of their children end as undisturbed ones, byte for
byte.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_once import made_once
from PIL import Image

from dse.engine import Search, record_search
from dse.search.budget import Budget
from hdl.operands import OperandEncoding
from hdl.yosys.runs import ATTEMPTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]

ROOT = Path(__file__).parents[3]
IMAGES = 640


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of nothing: that accuracies are the same is what matters, not what they are."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(IMAGES):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(stream, "JPEG")
        files.append(stream.getvalue())
    path = tmp_path_factory.mktemp("images") / "images.npz"
    offset = np.cumsum([0, *map(len, files)])
    classes = np.array([f"class {index}" for index in range(10)])
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=offset,
        label=rng.integers(0, 10, IMAGES),
        classes=classes,
    )
    return path


def prepare(folder: Path, data: Path) -> None:
    """What a small search with every phase but walks is asked."""
    folder.mkdir(exist_ok=True)
    search = Search(
        network="resnet8",
        encodings=(OperandEncoding.SIGN_MAGNITUDE,),
        budget=Budget.parse("area"),
        evaluations=13,
        corrected=False,
        population=4,
        families=("tm",),
        recalibrate=2,
        data=data,
    )
    record_search(search, folder)


def start(folder: Path, data: Path, temporary: Path, *, workers: int = 1) -> subprocess.Popen[str]:
    """The search, or what remains of it, in a session of its own."""
    command = [sys.executable, "-m", "dse", "explore", "--resume", "--out", str(folder)]
    options = ["--workers", str(workers), "--verify", "2", "--images", "8", "--data", str(data)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                state, _, _, belongs = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
                if int(belongs) == leader and state not in "ZX":
                    found.append(int(entry.name))
    return found


def results(folder: Path) -> dict[str, bytes]:
    """What came out, without times."""
    verilog = sorted((folder / "verilog").glob("*/*"))
    files = (folder / "front.csv", *verilog)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows(folder: Path) -> set[tuple[str, str, str]]:
    path = folder / "points.sqlite"
    if not path.exists():
        return set()
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as store:
        try:
            return set(store.execute("SELECT context, item, result FROM known"))
        except sqlite3.OperationalError:  # killed before there was a table
            return set()


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, data: Path, run_folder: Callable[[Path], Path]
) -> dict[str, bytes]:
    def make(folder: Path) -> None:
        prepare(run_folder(folder / "run"), data)
        finish(start(folder / "run", data, folder))

    return results(made_once(tmp_path_factory, "undisturbed_search", make) / "run")


#: After so many lines of progress, and so many seconds: in the start, the search with its
#: recalibrations, the best effort, the verification, the accelerator and the report.
MOMENTS = [(0, 0.1), (4, 0.0), (11, 0.0), (13, 0.1), (18, 0.0)]


def test_kills_in_every_phase_lose_nothing(
    undisturbed: dict[str, bytes],
    data: Path,
    tmp_path: Path,
    run_folder: Callable[[Path], Path],
) -> None:
    folder, temporary = run_folder(tmp_path / "run"), tmp_path / "temporary"
    temporary.mkdir()
    prepare(folder, data)
    killed, known = 0, rows(folder)
    for lines, delay_s in MOMENTS:
        process = start(folder, data, temporary)
        assert process.stderr is not None
        for _ in range(lines):
            process.stderr.readline()
        time.sleep(delay_s)
        killed += process.poll() is None
        process.kill()
        process.wait()
        process.stderr.close()
        deadline = time.monotonic() + 60
        while session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not session(process.pid), "processes are left"
        assert known <= rows(folder)
        known = rows(folder)
    assert killed >= 4
    finish(start(folder, data, temporary))
    assert known <= rows(folder)
    assert results(folder) == undisturbed
    assert not list(temporary.glob("ameliorate-*"))  # libraries may have folders of their own
    assert not [
        path.name
        for path in folder.rglob("*")
        if path.name.endswith((".new", "-wal", "-shm", ".lock"))
    ]


def hold_up(leader: int, seconds: float) -> None:
    """No process of a session gets on, as on a machine that is busy with others."""
    for sent in (signal.SIGSTOP, signal.SIGCONT):
        for pid in session(leader):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        if sent == signal.SIGSTOP:
            time.sleep(seconds)


def test_children_that_are_held_up_and_killed_at_random_change_nothing(
    undisturbed: dict[str, bytes], data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    prepare(run, data)
    process = start(run, data, tmp_path, workers=2)
    rng, stop = random.Random(1), threading.Event()
    kills: list[int] = []

    def of_yosys(pid: int) -> bool:
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            return b"yosys" in command
        return False

    def last_result_ns() -> int:
        return max((path.stat().st_mtime_ns for path in run.glob("*.sqlite*")), default=0)

    def kill() -> None:
        before = 0
        while not stop.wait(rng.uniform(0.2, 0.6)):
            hold_up(process.pid, rng.uniform(0.1, 0.3))
            victims = [pid for pid in session(process.pid) if of_yosys(pid)]
            # One for each result at most: on a slow machine none would ever come about. And fewer
            # in all than a single run of Yosys is begun again.
            if victims and len(kills) < ATTEMPTS - 1 and (now := last_result_ns()) != before:
                before = now
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), signal.SIGKILL)
                    kills.append(1)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        finish(process)
    finally:
        stop.set()
        killer.join()
    assert len(kills) >= 3
    assert results(run) == undisturbed
