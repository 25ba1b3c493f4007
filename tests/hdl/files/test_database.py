"""SQLite files of strangers."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from hdl.files.database import check_database


def test_a_damaged_schema_that_is_no_text_is_an_error_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE known (item TEXT)")
        database.commit()
        check_database(database)
    content = path.read_bytes()
    assert content.count(b"known (item TEXT)") == 1
    path.write_bytes(content.replace(b"known (item TEXT)", b"known \x80item TEXT)"))
    with (
        contextlib.closing(sqlite3.connect(path)) as database,
        pytest.raises(sqlite3.DatabaseError, match="malformed database schema"),
    ):
        check_database(database)


def test_a_trigger_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "points.sqlite")) as database:
        database.execute("CREATE TABLE known (item TEXT)")
        database.execute("CREATE TRIGGER more AFTER INSERT ON known BEGIN DELETE FROM known; END")
        with pytest.raises(sqlite3.DatabaseError, match="it holds a trigger"):
            check_database(database)
