"""Whether source trees come to the same results: for changes that must not change any.

    python scripts/same_searches.py BEFORE AFTER ... [--networks resnet20 resnet18] [--seeds 1 2 3]

In each tree `dse explore --network N --budget area --seed S` runs with the zoo of that tree, on no
images. Compared, byte for byte, are front.csv, run.json and the exported Verilog, but for times,
versions and paths. Exit code 1 where something differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Of run.json: what a clock, a version or a folder says.
_LEFT_OUT = {"seconds", "versions", "version", "liberty", "zoo_folder"}
_WRITTEN_BY = re.compile(rb"^// Written by .*$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="+")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet18"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    differ = False
    for network in arguments.networks:
        for seed in arguments.seeds:
            before = results(arguments.before, network, seed)
            for tree in arguments.after:
                after = results(tree, network, seed)
                files = sorted(
                    name
                    for name in before.keys() | after.keys()
                    if before.get(name) != after.get(name)
                )
                differ |= bool(files)
                said = f"{len(files)} differ: {', '.join(files[:5])}" if files else "equal"
                print(f"{network}, seed {seed}, {tree}: {len(before)} files, {said}", flush=True)
    sys.exit(differ)


def results(tree: Path, network: str, seed: int) -> dict[str, bytes]:
    """File -> what a search of a tree wrote into it.

    Raises:
        subprocess.CalledProcessError: when the search fails; its errors are on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="same-searches-") as temporary:
        folder = Path(temporary) / "run"
        subprocess.run(
            [
                *(sys.executable, "-m", "dse", "explore", "--network", network),
                *("--budget", "area", "--seed", str(seed), "--out", str(folder)),
            ],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree.resolve())},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        verilog = {
            str(path.relative_to(folder)): _WRITTEN_BY.sub(b"", path.read_bytes())
            for path in (folder / "verilog").rglob("*.v")
        }
        run = without_times(json.loads((folder / "run.json").read_text()))
        return {
            "front.csv": (folder / "front.csv").read_bytes(),
            "run.json": json.dumps(run).encode(),
            **verilog,
        }


def without_times(value: Any) -> Any:
    """A JSON document without what differs from one run to the next."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in _LEFT_OUT}
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    return value


if __name__ == "__main__":
    main()
