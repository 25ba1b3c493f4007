"""Results of Yosys runs by what went into them: a SQLite file that several processes may use at
once.

The key of a run is a hash of everything its result depends on: commands, input files, names of the
outputs, version of Yosys. Nothing has to be thrown away when other sources change, and designs that
come to the same text share a row. The cache is optional: what cannot be read or written (a full
disk, a damaged row, no database at all) counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..files import check_database

__all__ = ["YosysCache", "run_key"]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, outputs BLOB NOT NULL) WITHOUT ROWID"
)
_FASTEST = 1
#: What the outputs of a run may come to.
_MOST_BYTES = 1 << 30


def run_key(
    version: str, commands: Sequence[str], inputs: Mapping[str, str | bytes], outputs: Sequence[str]
) -> str:
    """Hash of a run, in hexadecimal."""
    digests = {
        name: hashlib.sha256(
            content if isinstance(content, bytes) else content.encode()
        ).hexdigest()
        for name, content in inputs.items()
    }
    return hashlib.sha256(
        json.dumps([version, list(commands), digests, list(outputs)], sort_keys=True).encode()
    ).hexdigest()


class YosysCache:
    """The file is opened for every access anew, so that an instance may be used by threads and by
    forked processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, key: str) -> dict[str, str] | None:
        """The output files of a run: name -> text; None where the run is not known."""
        with (
            contextlib.suppress(sqlite3.Error, zlib.error, ValueError, TypeError, RecursionError),
            self._open() as database,
        ):
            row = database.execute("SELECT outputs FROM runs WHERE key = ?", (key,)).fetchone()
            if row is not None:
                # zlib's checksum finds damaged rows.
                outputs = json.loads(zlib.decompressobj().decompress(row[0], _MOST_BYTES))
                if isinstance(outputs, dict) and all(
                    isinstance(text, str) for text in outputs.values()
                ):
                    return outputs
        return None

    def put(self, key: str, outputs: Mapping[str, str]) -> None:
        packed = zlib.compress(json.dumps(outputs).encode(), _FASTEST)
        with contextlib.suppress(sqlite3.Error), self._open() as database:
            database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (key, packed))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            check_database(database)
            database.execute("PRAGMA journal_mode = WAL")
            # Losing the last rows in a power failure is harmless here, and waiting for the disk
            # after each run is not.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_SCHEMA)
            yield database
        finally:
            database.close()
