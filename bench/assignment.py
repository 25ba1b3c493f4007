"""How long the program takes that gives each layer a design: ResNet-18's 21 layers, 100 designs
drawn at random between costly and lossy, at most 3 kinds.

    python -m bench.assignment
"""

from __future__ import annotations

import time

import numpy as np

from dse.search import LayerProgram

LAYERS, DESIGNS, KINDS = 21, 100, 3


def drawn(seed: int) -> LayerProgram:
    """Layers differ in multiplications and sensitivity, designs in all layers a little."""
    rng = np.random.default_rng(seed)
    quality = np.sort(rng.random(DESIGNS))
    layers = rng.lognormal(0, 1, (2, LAYERS, 1))
    noise = rng.lognormal(0, (0.1, 0.2), (LAYERS, DESIGNS, 2))
    costs = layers[0] * ((1 - quality) ** 2 + 0.02) * noise[..., 0]
    losses = layers[1] * quality**2 * noise[..., 1]
    return LayerProgram(costs, losses, KINDS)


def main() -> None:
    print(f"{LAYERS} layers, {DESIGNS} designs, at most {KINDS} kinds")
    print("seed  limit  processor s  gap")
    for seed in range(4):
        program = drawn(seed)
        most = float(program.losses.max(axis=1).sum())
        for share in (0.05, 0.2, 0.5):
            started = time.process_time()
            found = program.solve(share * most)
            seconds = time.process_time() - started
            print(f"{seed:>4}  {share:>5}  {seconds:11.2f}  {found.gap:.2g}")


if __name__ == "__main__":
    main()
