"""Temporary folders, and what becomes of those that a killed process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hdl.files import locked_folder, scratch_folder

ROOT = Path(__file__).parents[3]
HOLDER = (
    "from hdl.files import locked_folder\nprint(locked_folder('test')[0], "
    "flush=True)\nimport time\ntime.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        assert left.is_dir()
        held, lock = locked_folder("test")
        assert left.is_dir()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "ameliorate-test-link").symlink_to(outside)
    with scratch_folder("test") as folder:
        assert not left.exists()
        assert held.is_dir()
        (folder / "file").touch()
    assert not folder.exists()
    assert outside.is_dir()
    os.close(lock)
    with scratch_folder("test"):
        assert not held.exists()


def test_a_folder_that_is_just_being_made_is_left(tmp_path: Path) -> None:
    young, old = tmp_path / "ameliorate-test-young", tmp_path / "ameliorate-test-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    with scratch_folder("test"):
        assert young.exists()
        assert not old.exists()
