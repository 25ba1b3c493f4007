"""Networks of one's own that are none."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from hostile.cases import Case, steps, write

NETWORKS: dict[str, str] = {
    "that leaves": "raise SystemExit(0)",
    "that does not parse": "def make(:",
    "that fails": "def make(): raise RuntimeError('\\x1b[31m no\\nno')",
    "that makes nothing": "def make(): return None",
    "that leaves when it is called": "import sys\ndef make(): sys.exit()",
    "without the function": "x = 1",
}


def networks() -> Iterator[Case]:
    command = (
        "emulate",
        "drum:k=4",
        "--network",
        "net.py:make",
        "--weights",
        "w.safetensors",
        "--data",
        "digits",
    )
    for name, text in NETWORKS.items():
        yield Case(f"own network: one {name}", command, write("net.py", text))
    linear = (
        "import torch\ndef make(): return torch.nn.Sequential(torch.nn.Flatten(), "
        "torch.nn.Linear(64, 10))"
    )
    contents = {
        "empty": b"",
        "a header beyond the file": struct.pack("<Q", 1 << 62),
        "no tensors": struct.pack("<Q", 2) + b"{}",
    }
    for name, content in contents.items():
        yield Case(
            f"own weights: {name}",
            command,
            steps(write("net.py", linear), write("w.safetensors", content)),
        )
    yield Case(
        "own weights: a pipe",
        command,
        steps(write("net.py", linear), lambda: os.mkfifo("w.safetensors")),
    )
