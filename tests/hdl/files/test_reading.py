"""Bytes, arrays and documents of strangers, and files written whole."""

from __future__ import annotations

import io
import json
import os
import threading
import tracemalloc
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hdl.files import (
    FileError,
    MissingFileError,
    check_writable,
    decode_json,
    encode_json,
    read_bytes,
    read_json,
    read_npy,
    read_npz,
    unzip,
    writable_file,
    writable_folder,
    write_whole,
)

LIMIT = 1 << 20


def test_a_regular_file_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bytes(path, limit_bytes=10) == b"x" * 10
    with pytest.raises(FileError, match="holds more than 9 bytes"):
        read_bytes(path, limit_bytes=9)


@pytest.mark.parametrize("name", ["none", "", "nul\0", "x" * 300])
def test_what_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingFileError, match="cannot be read") as caught:
        read_bytes(f"{tmp_path}/{name}", limit_bytes=LIMIT)
    assert str(caught.value).isprintable()


@pytest.mark.timeout(20)
def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/stdin")):
        with pytest.raises(FileError, match=r"is a pipe, a socket or a device|cannot be read"):
            read_bytes(path, limit_bytes=LIMIT)


def test_what_a_file_zipped_holds_is_limited() -> None:
    import gzip

    assert unzip(b"plain", "x", limit_bytes=LIMIT) == b"plain"
    assert unzip(gzip.compress(b"zipped"), "x", limit_bytes=LIMIT) == b"zipped"
    with pytest.raises(FileError, match="holds more than 1 MiB"):
        unzip(gzip.compress(bytes(LIMIT + 1)), "x", limit_bytes=LIMIT)
    with pytest.raises(FileError, match="is a damaged gzip file"):
        unzip(gzip.compress(b"zipped")[:-4], "x", limit_bytes=LIMIT)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def announcing(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """The header of an array that is not there."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@given(
    hnp.arrays(
        dtype=st.sampled_from(["<i4", "|u1", "<f8", "<U3", "|b1"]),
        shape=hnp.array_shapes(min_dims=0, max_side=4),
    ),
    st.booleans(),
)
def test_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray[Any, Any], fortran: bool
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    path.write_bytes(npy(np.asfortranarray(array) if fortran else array))
    np.testing.assert_array_equal(read_npy(path, limit_bytes=LIMIT), array)
    np.savez_compressed(path.with_suffix(".npz"), one=array, two=array.copy())
    np.testing.assert_array_equal(
        read_npz(path.with_suffix(".npz"), limit_bytes=LIMIT)["two"], array
    )


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)) + b"x",
        npy(np.array([_Code()], dtype=object)),
        announcing((1 << 40,)),
        announcing((1 << 62, 1 << 62)),
        announcing((-1, 8)),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os')",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}",
        b"\x93NUMPY\x03\x00\x02\x00\x00\x00{}",
        announcing((3,)).replace(b"<f8", b"zzz"),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_what_is_no_array_is_refused_before_it_is_made_room_for(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    try:
        for read, path in ((read_npy, tmp_path / "a.npy"), (read_npz, tmp_path / "a.npz")):
            with pytest.raises(FileError) as caught:
                read(path, limit_bytes=LIMIT)
            assert str(caught.value).isprintable()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert not Path("owned").exists()


def test_archives_that_unpack_to_more_than_the_limit_or_are_none(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros(LIMIT))
    with pytest.raises(FileError, match="unpacks to more than 1 MiB"):
        read_npz(path, limit_bytes=LIMIT)
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(FileError, match=r"is not a numpy \.npz file"):
        read_npz(path, limit_bytes=LIMIT)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(np.ones(1)))
    with pytest.raises(FileError, match="some of one name"):
        read_npz(path, limit_bytes=LIMIT)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(np.zeros(1)))
    np.testing.assert_array_equal(read_npz(path, limit_bytes=LIMIT)["a"], np.zeros(1))
    with pytest.raises(FileError, match="holds no array 'b'; it has a"):
        read_npz(path, ["b"], limit_bytes=LIMIT)


@dataclass(frozen=True)
class Inner:
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    inner: tuple[Inner, ...]
    pick: Inner | None
    settings: dict[str, Any]


VALID = {
    "count": 1,
    "inner": [{"share": 0.5, "names": ["a"]}],
    "pick": None,
    "settings": {"x": [1, {"y": None}]},
}


def test_documents_come_back(tmp_path: Path) -> None:
    read = decode_json(json.dumps(VALID), Outer, "x")
    assert read == Outer(1, (Inner(0.5, ("a",)),), None, {"x": [1, {"y": None}]})
    assert json.loads(encode_json(read)) == VALID
    (tmp_path / "x.json").write_bytes(encode_json(read))
    assert read_json(tmp_path / "x.json", Outer, limit_bytes=LIMIT) == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(VALID | {"extra": 1}), "unknown key extra"),
        (
            json.dumps({key: VALID[key] for key in VALID if key != "count"}),
            "missing required field `count`",
        ),
        (json.dumps(VALID | {"pick": {"share": 0.5}}), "key pick.names is missing"),
        (
            json.dumps(VALID | {"pick": {"share": 0.5, "names": [], "nmaes": []}}),
            "unknown key pick.nmaes",
        ),
        (
            json.dumps(VALID | {"inner": [{"share": 2.0, "names": []}]}),
            r"Expected `float` <= 1.0 - at `\$.inner\[0\].share`",
        ),
        (
            json.dumps(VALID | {"inner": [{"share": float("nan"), "names": []}]}),
            "JSON is malformed",
        ),
        (json.dumps(VALID).replace("0.5", "1e999"), "Number out of range"),
        (json.dumps(VALID | {"count": 1.5}), "Expected `int`, got `float`"),
        (json.dumps(VALID | {"count": True}), "Expected `int`, got `bool`"),
        (json.dumps(VALID | {"inner": "x"}), "Expected `array`, got `str`"),
        ('{"settings": ' + '{"a":' * 100_000, "truncated|recursion"),
        ("[" * 100_000, "truncated|recursion"),
        ("", "truncated"),
        ("\x00", "malformed"),
    ],
)
def test_documents_that_do_not_fit_are_refused_by_the_place(text: str, message: str) -> None:
    with pytest.raises(FileError, match=message) as caught:
        decode_json(text, Outer, "'x.json'")
    assert str(caught.value).startswith("'x.json': ")
    assert str(caught.value).isprintable()


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr)
)
def test_any_text_is_a_document_or_refused(text: bytes | str) -> None:
    with pytest.raises(FileError):
        decode_json(text, Outer, "x")


def test_a_file_is_written_in_the_place_of_a_link_and_not_through_it(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("mine")
    link.symlink_to(other)
    (tmp_path / ".link.999999999-1.new").write_text("left by a process that was killed")
    (tmp_path / f".link.{os.getpid()}-{threading.get_ident()}.new").symlink_to(other)
    write_whole(link, "text")
    assert (other.read_text(), link.read_text(), link.is_symlink()) == ("mine", "text", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "other"]


def test_what_cannot_be_written_is_told_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        MissingFileError,
        match=r"cannot write to the output folder '.*file/x' \(.*\); choose another with --out",
    ):
        writable_folder(tmp_path / "file" / "x", "--out")
    with pytest.raises(MissingFileError, match=r"\(it is a folder\); choose another with -o"):
        writable_file(tmp_path, "-o")
    with pytest.raises(
        MissingFileError, match=r"\(there is no such folder\); choose another with -o"
    ):
        writable_file(tmp_path / "none" / "x", "-o")
    with pytest.raises(MissingFileError, match="cannot be written"):
        write_whole(tmp_path / "none" / "x", "text")
    assert writable_file(tmp_path / "new", "-o") == tmp_path / "new"
    check_writable(tmp_path / "a" / "b", "--out")
    assert not (tmp_path / "a").exists()
    assert writable_folder(tmp_path / "a" / "b", "--out").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())
