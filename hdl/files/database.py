"""SQLite files that may be a stranger's."""

from __future__ import annotations

import sqlite3

__all__ = ["check_database"]

_LONGEST_VALUE_BYTES = 256 << 20


def check_database(database: sqlite3.Connection) -> None:
    """Refuses a file in which reading or writing a table would run somebody's statements. Raises
    sqlite3.Error.
    """
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
    database.execute("PRAGMA trusted_schema = OFF")
    try:
        found = database.execute(
            "SELECT type, name FROM sqlite_schema WHERE type NOT IN ('table', 'index')"
        ).fetchone()
    except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
        raise sqlite3.DatabaseError("malformed database schema") from error
    if found is not None:
        raise sqlite3.DatabaseError(f"it holds a {found[0]}, which none of ours does")
