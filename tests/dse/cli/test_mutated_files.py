"""Valid files of every kind, mutated by hypothesis, in every reader: what comes is a value or a
complaint of ours, no other exception.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from design_points import make_assignment
from hostile.cases import NETWORK
from hostile.images import IMAGES, jpeg, packed
from hostile.liberty import liberty_text
from hostile.runs import SEARCH, valid_run
from hostile.tables import EXACT, npy
from hostile.verilog import VERILOG, module
from hostile.zoos import zoo_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnn_eval.datasets import load_dataset
from cnn_eval.prediction import AccuracyPredictor, NetworkProfile
from cnn_eval.zoo import load_model
from dse.engine import recorded_search
from dse.evaluation.store import PointStore
from dse.search import Assignment, Exploration
from hdl.cells import CellLibrary
from hdl.errors import InputError
from hdl.multipliers.verilog_import import import_verilog
from hdl.tables import ProductTable

#: One change of bytes: where (a share of the length), what is put there, and how much of what was
#: there goes.
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, allow_nan=False),
        st.binary(max_size=8)
        | st.sampled_from(
            [
                b"\xff" * 8,
                b"\0" * 8,
                b"-1",
                b"1e999",
                b"NaN",
                b'"',
                b"{",
                b"[",
                b"}",
                b"]",
                b",",
                b"null",
            ]
        ),
        st.integers(0, 12),
    ),
    min_size=1,
    max_size=6,
)


def mutated(content: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    for share, put, gone in changes:
        position = int(share * len(content))
        content = content[:position] + put + content[position + gone :]
    return content


#: A value in the place of another, anywhere in a JSON document.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.just([[1.0]]),
)


def places(document: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where a document's values are, up to a few of each list."""
    keys: list[str | int] = (
        list(document)
        if isinstance(document, dict)
        else list(range(min(3, len(document))))
        if isinstance(document, list)
        else []
    )
    return [
        *([path] if path else []),
        *(place for key in keys for place in places(document[key], (*path, key))),
    ]


def with_value(document: Any, path: tuple[str | int, ...], value: Any, remove: bool) -> Any:
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def read_store(folder: Path) -> None:
    with PointStore(folder / "points.sqlite", "c") as store:
        store.get(["a", "b"])
        store.put("c", {"x": 1})
        len(store)


def make_store(folder: Path) -> None:
    with PointStore(folder / "points.sqlite", "c") as store:
        store.put("a", {"x": 1})
        store.put("b", {"y": [1.5, 2.5]})
    with contextlib.closing(sqlite3.connect(folder / "points.sqlite")) as file:
        file.execute("PRAGMA journal_mode = DELETE")


def idx(values: Any) -> bytes:
    array = np.asarray(values, np.uint8)
    return (
        bytes((0, 0, 8, array.ndim))
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def in_folder(make: Callable[[], None]) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        with contextlib.chdir(folder):
            make()

    return made


def write(name: str, content: bytes | str) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return made


def copied(name: str, source: Path) -> Callable[[Path], None]:
    return write(name, source.read_bytes())


def make_idx(folder: Path) -> None:
    write("data/t10k-images-idx3-ubyte", idx(np.zeros((3, 4, 4))))(folder)
    write("data/t10k-labels-idx1-ubyte", idx([0, 1, 2]))(folder)


SEARCH_TEXT = json.dumps({"search": SEARCH, "versions": {}})
#: Kind -> what makes a folder with a valid file, the file that is mutated, what reads it, and how
#: often it is tried.
READERS: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], object], int]] = {
    "table .npy": (
        write("t.npy", npy(EXACT[:16, :16].copy())),
        "t.npy",
        lambda at: ProductTable.load(at / "t.npy"),
        300,
    ),
    "table .npz": (
        lambda at: ProductTable.exact(4).save(at / "t.npz"),
        "t.npz",
        lambda at: ProductTable.load(at / "t.npz"),
        300,
    ),
    "tables .npz": (
        lambda at: np.savez(at / "t.npz", a=EXACT, b=EXACT),
        "t.npz",
        lambda at: ProductTable.load_collection(at / "t.npz"),
        100,
    ),
    "library": (
        write("l.lib", liberty_text()),
        "l.lib",
        lambda at: CellLibrary.load(at / "l.lib"),
        500,
    ),
    "library, gzipped": (
        write("l.lib.gz", gzip.compress(liberty_text().encode())),
        "l.lib.gz",
        lambda at: CellLibrary.load(at / "l.lib.gz"),
        100,
    ),
    "Verilog": (
        write("m.v", module("assign p = a * b + (a ^ 16'd3);")),
        "m.v",
        lambda at: import_verilog(at / "m.v", "top"),
        150,
    ),
    "Verilog with macros": (
        write("m.v", VERILOG["foreign function from two macros"]),
        "m.v",
        lambda at: import_verilog(at / "m.v", "top"),
        100,
    ),
    "run": (
        lambda at: valid_run(at / "run"),
        "run/run.json",
        lambda at: Exploration.load(at / "run"),
        200,
    ),
    "search": (write("search.json", SEARCH_TEXT), "search.json", recorded_search, 200),
    "assignment": (
        lambda at: make_assignment().save(at / "assignment.json"),
        "assignment.json",
        lambda at: Assignment.load(at / "assignment.json"),
        200,
    ),
    "store": (make_store, "points.sqlite", read_store, 200),
    "profile": (
        copied("p.npz", zoo_file("profile.npz")),
        "p.npz",
        lambda at: NetworkProfile.load(at / "p.npz"),
        20,
    ),
    "predictor": (
        copied("p.json", zoo_file("predictor.json")),
        "p.json",
        lambda at: AccuracyPredictor.load(at / "p.json"),
        100,
    ),
    "weights": (
        copied(f"zoo/{NETWORK}.safetensors", zoo_file("safetensors")),
        f"zoo/{NETWORK}.safetensors",
        lambda at: load_model(NETWORK, folder=at / "zoo"),
        40,
    ),
    "packed JPEG": (in_folder(packed()), "it.npz", lambda at: load_dataset(at / "it.npz"), 200),
    "python batch": (
        write("data/test_batch", pickle.dumps({b"data": IMAGES, b"labels": [0, 1, 2, 3]}, 2)),
        "data/test_batch",
        lambda at: load_dataset(at / "data"),
        400,
    ),
    "binary batch": (
        write("data/test_batch.bin", bytes(2 * 3073)),
        "data/test_batch.bin",
        lambda at: load_dataset(at / "data"),
        100,
    ),
    "IDX images": (
        make_idx,
        "data/t10k-images-idx3-ubyte",
        lambda at: load_dataset(at / "data"),
        200,
    ),
    "IDX labels": (
        make_idx,
        "data/t10k-labels-idx1-ubyte",
        lambda at: load_dataset(at / "data"),
        200,
    ),
    "JPEG": (
        write("data/c/i.jpg", jpeg()),
        "data/c/i.jpg",
        lambda at: load_dataset(at / "data"),
        200,
    ),
    "PNG": (
        write("data/c/i.png", jpeg(kind="PNG")),
        "data/c/i.png",
        lambda at: load_dataset(at / "data"),
        200,
    ),
    "BMP": (
        write("data/c/i.bmp", jpeg(kind="BMP")),
        "data/c/i.bmp",
        lambda at: load_dataset(at / "data"),
        100,
    ),
    "WebP": (
        write("data/c/i.webp", jpeg(kind="WEBP")),
        "data/c/i.webp",
        lambda at: load_dataset(at / "data"),
        100,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_mutated_bytes(kind: str, tmp_path: Path) -> None:
    make, name, read, tries = READERS[kind]
    make(tmp_path)
    valid = (tmp_path / name).read_bytes()
    with contextlib.suppress(InputError):  # the one with macros is refused as it is
        read(tmp_path)

    @settings(max_examples=tries, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CHANGES)
    def tried(changes: list[tuple[float, bytes, int]]) -> None:
        (tmp_path / name).write_bytes(mutated(valid, changes))
        for journal in ("points.sqlite-wal", "points.sqlite-shm"):
            (tmp_path / journal).unlink(missing_ok=True)
        os.utime(tmp_path / name, ns=(tried.count, tried.count))  # type: ignore[attr-defined]  # libraries are kept by their times
        tried.count += 1  # type: ignore[attr-defined]
        with contextlib.suppress(InputError):
            read(tmp_path)

    tried.count = 1  # type: ignore[attr-defined]
    tried()


@pytest.mark.parametrize("kind", ["table .npz", "tables .npz", "profile", "packed JPEG"])
def test_mutated_members(kind: str, tmp_path: Path) -> None:
    """What is inside an archive that is whole."""
    make, name, read, tries = READERS[kind]
    make(tmp_path)
    with zipfile.ZipFile(tmp_path / name) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}

    @settings(max_examples=tries, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(members)), CHANGES)
    def tried(chosen: str, changes: list[tuple[float, bytes, int]]) -> None:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, mutated(content, changes) if member == chosen else content)
        with contextlib.suppress(InputError):
            read(tmp_path)

    tried()


@pytest.mark.parametrize("kind", ["run", "search", "assignment", "predictor"])
@pytest.mark.slow
def test_mutated_documents(kind: str, tmp_path: Path) -> None:
    make, name, read, tries = READERS[kind]
    make(tmp_path)
    document = json.loads((tmp_path / name).read_text())
    read(tmp_path)

    @settings(max_examples=3 * tries, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(places(document)), VALUES, st.booleans())
    def tried(path: tuple[str | int, ...], value: Any, remove: bool) -> None:
        (tmp_path / name).write_text(json.dumps(with_value(document, path, value, remove)))
        with contextlib.suppress(InputError):
            read(tmp_path)

    tried()
