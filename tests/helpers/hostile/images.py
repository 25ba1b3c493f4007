"""Images that are none."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hostile.cases import NETWORK, Case, places, steps, write
from hostile.tables import Code


def jpeg(width: int = 32, height: int = 32, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, kind)
    return stream.getvalue()


def packed(**changes: Any) -> Callable[[], None]:
    image = jpeg()
    arrays = {
        "jpeg": np.frombuffer(image * 4, np.uint8),
        "offset": np.arange(5) * len(image),
        "label": np.zeros(4, np.int64),
        "classes": np.array([f"c{index}" for index in range(10)]),
    }
    kept: dict[str, Any] = {
        name: value for name, value in (arrays | changes).items() if value is not None
    }
    return lambda: np.savez("it.npz", allow_pickle=True, **kept)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that announces so many pixels and has none."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


PACKED: dict[str, Callable[[], None]] = {
    "no labels": packed(label=None),
    "labels out of range": packed(label=np.full(4, 99)),
    "negative labels": packed(label=np.full(4, -1)),
    "labels that are fractions": packed(label=np.full(4, 0.5)),
    "labels in two dimensions": packed(label=np.zeros((2, 2), np.int64)),
    "offsets beyond the end": packed(offset=np.arange(5) * 10**6),
    "offsets that fall": packed(offset=np.arange(5)[::-1].copy()),
    "offsets that are no numbers": packed(offset=np.full(5, np.nan)),
    "no JPEG": packed(jpeg=np.zeros(4 * len(jpeg()), np.uint8)),
    "PNG where JPEG is announced": packed(
        jpeg=np.frombuffer(huge_png(8, 8), np.uint8),
        offset=np.array([0, 60]),
        label=np.zeros(1, np.int64),
    ),
    "PostScript where JPEG is announced": packed(
        jpeg=np.frombuffer(
            (
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch ../outside/executed) "
                b"system\n"
            ),
            np.uint8,
        ),
        offset=np.array([0, 70]),
        label=np.zeros(1, np.int64),
    ),
    "pickled classes": packed(classes=np.array([Code()], dtype=object)),
    "an image of another size": packed(
        jpeg=np.frombuffer(jpeg() + jpeg(16), np.uint8),
        offset=np.array([0, len(jpeg()), len(jpeg() + jpeg(16))]),
        label=np.zeros(2, np.int64),
    ),
}


def batch(content: Any, protocol: int = 2) -> Callable[[], None]:
    data = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    return write("data/test_batch", data)


IMAGES = np.zeros((4, 3072), np.uint8)
TEN: list[Any] = [0] * 10
for _ in range(8):
    TEN = [TEN] * 10
BATCHES: dict[str, Callable[[], None]] = {
    "code": batch({b"data": Code(), b"labels": [0]}),
    "a builtin": batch(b"\x80\x02c__builtin__\neval\nX\x04\x00\x00\x001+1 \x85R."),
    "a function of numpy": batch(b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R."),
    "an array of a terabyte": batch(
        b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R."
    ),
    "a memory slot of four billion": batch(b"\x80\x02}r\xff\xff\xff\xfe."),
    "a bytearray of a terabyte": batch(b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00."),
    "a list within lists": batch({b"data": TEN, b"labels": [0]}),
    "no dictionary": batch([1, 2, 3]),
    "no labels": batch({b"data": IMAGES}),
    "labels out of range": batch({b"data": IMAGES, b"labels": [0, 1, 2, 77]}),
    "labels of words": batch({b"data": IMAGES, b"labels": list("abcd")}),
    "too few images": batch({b"data": IMAGES[:3], b"labels": [0, 1, 2, 3]}),
    "fractions": batch({b"data": IMAGES / 2, b"labels": [0, 1, 2, 3]}),
    "cut short": batch(pickle.dumps({b"data": IMAGES, b"labels": [0] * 4}, 2)[:-500]),
    "empty": batch(b""),
}
IDX: dict[str, tuple[bytes, bytes]] = {
    "a terabyte announced": (
        b"\0\0\x08\x03" + struct.pack(">III", 1 << 20, 1 << 10, 1 << 10),
        b"\0\0\x08\x01" + struct.pack(">I", 1),
    ),
    "cut short": (
        b"\0\0\x08\x03" + struct.pack(">III", 2, 4, 4) + bytes(31),
        b"\0\0\x08\x01" + struct.pack(">I", 2) + bytes(2),
    ),
    "other counts": (
        b"\0\0\x08\x03" + struct.pack(">III", 2, 4, 4) + bytes(32),
        b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes(3),
    ),
    "fractions": (
        b"\0\0\x0d\x03" + struct.pack(">III", 1, 1, 1) + bytes(4),
        b"\0\0\x08\x01" + struct.pack(">I", 1) + bytes(1),
    ),
    "no images": (
        b"\0\0\x08\x03" + struct.pack(">III", 0, 4, 4),
        b"\0\0\x08\x01" + struct.pack(">I", 0),
    ),
    "nothing": (b"", b""),
}
PICTURES: dict[str, bytes] = {
    "no image": b"GIF89a no",
    "forty gigapixels": huge_png(200_000, 200_000),
    "a hundred megapixels": huge_png(10_000, 10_000),
    "forty megapixels": huge_png(8_000, 5_000),
    "cut short": jpeg()[:200],
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "TIFF": jpeg(kind="TIFF"),
    "empty": b"",
}


def data() -> Iterator[Case]:
    def command(path: str) -> tuple[str, ...]:
        return ("emulate", "drum:k=4", "--network", NETWORK, "--data", path, "--images", "4")

    for name, make in PACKED.items():
        yield Case(f"packed JPEG: {name}", command("it.npz"), make)
    for name, make in BATCHES.items():
        yield Case(f"python batch: {name}", command("data"), make)
    yield Case(
        "binary batch: half a record", command("data"), write("data/test_batch.bin", bytes(5000))
    )
    yield Case(
        "binary batch: labels out of range",
        command("data"),
        write("data/test_batch.bin", b"\x4d" + bytes(3072)),
    )
    for name, (images, labels) in IDX.items():
        files = (
            write("data/t10k-images-idx3-ubyte", images),
            write("data/t10k-labels-idx1-ubyte", labels),
        )
        yield Case(f"IDX: {name}", command("data"), steps(*files))

    def zipped() -> tuple[str, bytes]:
        return "data/t10k-images-idx3-ubyte.gz", gzip.compress(bytes(4 << 20), 9) * 300

    yield Case(
        "IDX: a gzip bomb",
        command("data"),
        steps(lambda: write(*zipped())(), write("data/t10k-labels-idx1-ubyte", b"")),
        slow=True,
    )
    for name, content in PICTURES.items():
        yield Case(f"image folder: {name}", command("data"), write("data/class/it.png", content))
    yield Case("image folder: none", command("data"), lambda: Path("data").mkdir())
    yield Case(
        "image folder: pixels without end",
        (*command("data"), "--image-px", "2000000000"),
        write("data/class/it.png", jpeg(kind="PNG")),
    )
    for name, make in places(".npz"):
        yield Case(f"data: {name}", command("it.npz"), make)
