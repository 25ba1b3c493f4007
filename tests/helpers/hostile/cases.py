"""What a hostile input is, and how its files are made."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OUTSIDE = Path("..", "outside")
NETWORK = "resnet20"
TRAIN = ("train", "--network", NETWORK, "--data", "digits", "--test", "digits")


@dataclass(frozen=True)
class Case:
    """An input: what it is called, its command line once `make` has written its files to the
    current folder, and whether it is slow.
    """

    name: str
    command: tuple[str, ...]
    make: Callable[[], None]
    slow: bool = False


def nothing() -> None:
    """Needs no files."""


def steps(*makers: Callable[[], Any]) -> Callable[[], None]:
    def make() -> None:
        for maker in makers:
            maker()

    return make


def write(name: str, content: bytes | str) -> Callable[[], None]:
    def make() -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(
            content.encode(errors="surrogateescape") if isinstance(content, str) else content
        )

    return make


def places(suffix: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is no file, under a name with this suffix: (name of the case, what makes `it` +
    suffix).
    """
    path = f"it{suffix}"

    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as place:
            place.bind(path)

    yield "missing", nothing
    yield "a folder", lambda: Path(path).mkdir()
    yield "a pipe", lambda: os.mkfifo(path)
    yield "a device without end", lambda: Path(path).symlink_to("/dev/zero")
    yield "a link to itself", lambda: Path(path).symlink_to(path)
    yield "a socket", listen
    yield "empty", write(path, b"")
    yield "random bytes", write(path, np.random.default_rng(1).bytes(5000))
    yield "a terabyte of nothing", steps(Path(path).touch, lambda: os.truncate(path, 1 << 40))
