"""Places that cannot be written to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hostile.cases import NETWORK, TRAIN, Case, steps, write


def outputs() -> Iterator[Case]:
    for name, command in {
        "a table": ("table", "exact:width=4", "-o", "it/t.npy"),
        "a table that is a pipe": ("table", "exact:width=4", "-o", "pipe.npy"),
        "a table of no kind": ("table", "exact:width=4", "-o", "t.txt"),
        "pictures": ("show", "exact:width=4", "-o", "it/x"),
        "Verilog": ("export", "exact:width=4", "-o", "it"),
        "a run": ("explore", "--network", "resnet20", "--out", "it"),
        "a profile": ("profile", "--network", NETWORK, "--data", "digits", "--out", "it/x"),
        "a calibration": ("calibrate", "--network", NETWORK, "--data", "digits", "--out", "it/x"),
        "a study": ("study", "--networks", NETWORK, "--data", "digits", "--out", "it/x"),
        "weights": (*TRAIN, "--out", "it/x"),
    }.items():
        yield Case(
            f"output: {name}", command, steps(write("it", ""), lambda: os.mkfifo("pipe.npy"))
        )
