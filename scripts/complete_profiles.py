"""Adds to the profiles of the zoo that ships how often zeros follow zeros, where they do not say.

    python scripts/complete_profiles.py --data cifar10-jpeg-test.npz fashion-mnist [--images 64]

Each network is run, quantized as its profile says, over the last images of that data whose name is
the profile's; these are among those that calibrated it. Nothing else in a file changes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import cnn_eval.zoo
from cnn_eval.arrays import save_arrays
from cnn_eval.datasets import Dataset, ImageRoles, load_dataset
from cnn_eval.prediction import NetworkProfile
from cnn_eval.profiling import zeros_after_zeros
from cnn_eval.zoo import shipped_network
from hdl.files import read_npz

LIMIT_BYTES = 512 << 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--images", type=int, default=64)
    arguments = parser.parse_args()
    images = {}
    for name in arguments.data:
        data = load_dataset(name)
        calibration = ImageRoles.of(data).calibration
        images[data.name] = calibration.part(
            max(len(calibration) - arguments.images, 0), len(calibration)
        )
    for path in sorted(Path(cnn_eval.zoo.__file__).parent.glob("*.profile.npz")):
        complete(path, images)


def complete(path: Path, images: dict[str, Dataset]) -> None:
    """Writes the file anew, if it does not say and there are images of its data."""
    profile = NetworkProfile.load(path)
    if profile.data not in images or all(layer.zero_after_zero for layer in profile.layers):
        return
    network = shipped_network(
        profile.network, profile.encoding, profile.widths, corrected=profile.corrected
    )
    found = zeros_after_zeros(network, images[profile.data])
    arrays = read_npz(path, limit_bytes=LIMIT_BYTES)
    about = json.loads(str(arrays["about"]))
    for layer in about["layers"]:
        layer["zero_after_zero"] = found[layer["name"]]
    save_arrays(path, {**arrays, "about": np.array(json.dumps(about))})
    spans = (
        f"{min(column):.2f} to {max(column):.2f}" for column in zip(*found.values(), strict=True)
    )
    print(f"{path.name}: along terms and pixels {', '.join(spans)}", flush=True)


if __name__ == "__main__":
    main()
