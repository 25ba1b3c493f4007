"""The store of results: a SQLite file that survives kill -9 and that several runs may share.

A row is keyed by what the result is of (the hash of a circuit or a product table) and by a
*context*: a hash of everything else that the result depends on (cell library, tool versions,
network profile, versions of the computations). Rows of other contexts stay untouched and are never
returned.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from hdl.errors import MissingError
from hdl.files import check_database

__all__ = ["PointStore", "StoreError"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS known (
    context TEXT NOT NULL,
    item TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (context, item)
) WITHOUT ROWID;
"""


class StoreError(MissingError):
    """The store's file cannot be opened, read or written."""


class PointStore:
    """Results by item, in one context. Results are JSON objects; damaged rows read as absent and
    are written anew.

    Raises (from every method):
        StoreError: one line that names the file and what SQLite says of it.
    """

    def __init__(self, path: Path, context: str) -> None:
        self.path, self.context = path, context
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StoreError(
                f"point store {str(path)!r} is a link, or no file; remove it, or choose another "
                "--out"
            )
        try:
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            check_database(self._database)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def get(self, items: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Known results among those of `items`."""
        found = {}
        try:
            for item in items:
                row = self._database.execute(
                    "SELECT result FROM known WHERE context = ? AND item = ?", (self.context, item)
                ).fetchone()
                result = None if row is None else _decode(row[0])
                if result is not None:
                    found[item] = result
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return found

    def put(self, item: str, result: dict[str, Any]) -> None:
        """Keeps a result at once: when this returns, it survives the process."""
        try:
            self._database.execute(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?)",
                (self.context, item, _encode(result)),
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def __len__(self) -> int:
        """Number of results in this context."""
        try:
            row = self._database.execute(
                "SELECT count(*) FROM known WHERE context = ?", (self.context,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return int(row[0])

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"point store {str(self.path)!r}: {error}; free space, check permissions, or choose "
            "another --out"
        )


def _encode(result: dict[str, Any]) -> str:
    """A checksum and JSON: a damaged figure would still be a figure."""
    text = json.dumps(result)
    return f"{zlib.crc32(text.encode()):08x} {text}"


def _decode(row: Any) -> dict[str, Any] | None:
    if not isinstance(row, str):
        return None
    checksum, _, text = row.partition(" ")
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        return None
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return result if isinstance(result, dict) else None
