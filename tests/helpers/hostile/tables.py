"""Product tables that are none, and specs that nobody has."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hostile.cases import OUTSIDE, Case, nothing, places, write


class Code:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {OUTSIDE}/executed",)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def announcing(shape: tuple[int, ...], dtype: str = "<i4", data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + data


def archive(
    name: str, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED
) -> Callable[[], None]:
    def make() -> None:
        with zipfile.ZipFile(name, "w", kind) as file:
            for member, content in members.items():
                file.writestr(member, content)

    return make


EXACT = np.multiply.outer(np.arange(256), np.arange(256)).astype(np.int32)
NPY: dict[str, bytes] = {
    "pickled code": npy(np.array([[Code()]], dtype=object)),
    "a terabyte announced": announcing((1 << 20, 1 << 20)),
    "more announced than there are numbers": announcing((1 << 62, 1 << 62)),
    "a negative side": announcing((-256, 256)),
    "a header that is a program": b"\x93NUMPY\x01\x00\x40\x00"
    + b"__import__('os').system('touch ../outside/executed')".ljust(64),
    "a header of parentheses": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    "fractions": npy(EXACT / 2),
    "no number": npy(np.full((256, 256), np.nan)),
    "text": npy(np.full((16, 16), "a")),
    "a structure": npy(np.zeros((16, 16), dtype=[("a", "<i4"), ("b", "<f8")])),
    "three dimensions": npy(np.zeros((16, 16, 16), dtype=np.int32)),
    "no dimension": npy(np.int32(3)),
    "an odd side": npy(np.zeros((100, 100), dtype=np.int32)),
    "out of range": npy(EXACT.astype(np.int64) << 20),
    "negative": npy(-EXACT),
    "cut short": npy(EXACT)[:-1000],
    "more behind": npy(EXACT) + b"more",
}


def tables() -> Iterator[Case]:
    commands = (("metrics",), ("show", "-o", "out"), ("predict", "--network", "resnet20"))
    for index, (name, content) in enumerate(NPY.items()):
        command, *options = commands[index % 3]
        yield Case(f"table: {name}", (command, "it.npy", *options), write("it.npy", content))
        if index % 2:
            members = {
                "products.npy": content,
                "signed.npy": npy(np.bool_(False)),
                "name.npy": npy(np.str_("t")),
                "width.npy": npy(8),
            }
            yield Case(
                f"table: {name}, in an archive", ("metrics", "it.npz"), archive("it.npz", members)
            )
    for name, make in places(".npy"):
        yield Case(f"table: {name}", ("metrics", "it.npy"), make)
    bomb = {"products.npy": announcing((4096, 4096), "<i8", bytes(8 << 24))}
    yield Case(
        "table: a bomb",
        ("metrics", "it.npz"),
        archive("it.npz", bomb | {"signed.npy": npy(np.bool_(0)), "name.npy": bytes(1 << 26)}),
    )
    yield Case("table: nothing in it", ("metrics", "it.npz"), archive("it.npz", {}))
    yield Case(
        "table: other arrays", ("metrics", "it.npz"), archive("it.npz", {"a.npy": npy(EXACT)})
    )
    signed = {
        "products.npy": npy(EXACT),
        "signed.npy": npy(np.zeros(5)),
        "name.npy": npy(np.str_("t")),
    }
    yield Case("table: signed by five numbers", ("metrics", "it.npz"), archive("it.npz", signed))


SPECS = (
    "mask:bits=" + "f" * 100_000, "terms:sum=" + "00+" * 30_000 + "00",
    "", ":", "drum", "drum:k", "drum:k=", "drum:k=4,k=5",
    "drum:k=99999999999999999999",
    "drum:k=-1", "drum:k=1e3", "drum:k=0x4;exec",
    "drum:k=4,width=1000000000", "../../drum:k=4", "exact:signed=maybe", "\u202emurd:k=4",
    "$(touch ../outside/executed)", "{{7*7}}", "%s%n", "drum:k=4" * 10_000,
)  # fmt: skip


def specs() -> Iterator[Case]:
    for spec in SPECS:
        yield Case(f"spec: {spec[:30]!r}", ("metrics", "--", spec), nothing)
    for name in ("../exact", "__init__", "\x1b[2J", "x" * 10_000):
        yield Case(f"family: {name[:30]!r}", ("families", name), nothing)
