"""Ground truth for a search: designs of its front, emulated in the network image by image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnn_eval import zoo
from hdl.operands import OperandEncoding
from hdl.table import ProductTable

from .evaluate import circuit_of
from .point import DesignPoint
from .run import Exploration
from .store import PointStore

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset

__all__ = ["Verification", "choose", "mean_deviation_pp", "verify"]

# Designs that are predicted to lose more than this are of no use to anyone: emulation time goes to the others.
_USEFUL_DROP_PP = 30.0


@dataclass(frozen=True)
class Verification:
    """State of a running verification, for a progress display: `done` of `total` multipliers emulated."""

    done: int
    total: int
    spec: str


def choose(exploration: Exploration, count: int) -> list[DesignPoint]:
    """Up to `count` designs of the front that err at all: the pick, and others evenly spaced in the order of predicted drops."""
    front = [point for point in exploration.front.points if point.er_pct > 0]
    ordered = sorted(
        [point for point in front if point.predicted_drop_pp <= _USEFUL_DROP_PP] or front,
        key=lambda point: (point.predicted_drop_pp, point.area_ratio, point.spec),
    )
    if len(ordered) <= count:
        return ordered
    chosen = {round(position) for position in np.linspace(0, len(ordered) - 1, count)}
    if exploration.pick in ordered:
        pick = ordered.index(exploration.pick)
        chosen = (chosen - {min(chosen, key=lambda index: abs(index - pick))}) | {pick}
    return [ordered[index] for index in sorted(chosen)]


def verify(
    exploration: Exploration,
    data: Dataset,
    store_path: Path,
    *,
    count: int,
    images: int,
    zoo_folder: Path | None = None,
    on_progress: Callable[[Verification], None] = lambda state: None,
) -> Exploration:
    """The exploration with `count` designs of its front emulated over the first `images` of `data`, each in its own number format.

    Drops are from the exact network on the same images, in the format that is the most accurate there.

    Results are kept in the point store, so that an interrupted verification goes on where it was.
    """
    from cnn_eval.emulate import measure_top1
    from cnn_eval.quantize import shipped_network

    encodings = [OperandEncoding(text) for text in exploration.encodings]
    networks = {encoding: shipped_network(exploration.network, encoding, folder=zoo_folder) for encoding in encodings}
    exact = {encoding: ProductTable.exact(network.width, encoding.signed) for encoding, network in networks.items()}
    chosen = choose(exploration, count)
    work = list(exact.items())
    for point in chosen:
        encoding, circuit = OperandEncoding(point.encoding), circuit_of(point.spec, exploration.imported)
        work.append((encoding, ProductTable.of_rtlil(circuit, signed=encoding.signed, name=point.spec)))
    sample = data.head(images)
    top1_pct: dict[str, float] = {}
    with PointStore(store_path, _context(exploration, sample, zoo_folder)) as store:
        known = store.get(table.name for _, table in work)
        for done, (encoding, table) in enumerate(work):
            name = table.name
            on_progress(Verification(done, len(work), name))
            if name not in known:
                multiplier = None if table is exact[encoding] else table
                known[name] = {"top1_pct": measure_top1(networks[encoding], multiplier, sample).top1_pct}
                store.put(name, known[name])
            top1_pct[name] = float(known[name]["top1_pct"])
        on_progress(Verification(len(work), len(work), ""))
    exact_top1_pct = max(top1_pct[table.name] for table in exact.values())
    emulated = {point.spec: point.emulated(top1_pct[point.spec], exact_top1_pct, len(sample)) for point in chosen}
    return _with_points(exploration, emulated)


def mean_deviation_pp(exploration: Exploration) -> float | None:
    """Mean absolute deviation of the predicted from the emulated drop over the verified designs, in percentage points."""
    deviations = [
        abs(point.predicted_drop_pp - point.emulated_drop_pp) for point in exploration.front.points if point.emulated_drop_pp is not None
    ]
    return float(np.mean(deviations)) if deviations else None


def _with_points(exploration: Exploration, emulated: Mapping[str, DesignPoint]) -> Exploration:
    def updated(points: tuple[DesignPoint, ...]) -> tuple[DesignPoint, ...]:
        return tuple(emulated.get(point.spec, point) for point in points)

    pick = exploration.pick
    return replace(
        exploration,
        points=updated(exploration.points),
        front=replace(exploration.front, points=updated(exploration.front.points)),
        pick=None if pick is None else emulated.get(pick.spec, pick),
    )


def _context(exploration: Exploration, sample: Dataset, zoo_folder: Path | None) -> str:
    """Hash of everything an emulated accuracy depends on beside the multiplier: network, quantization, images."""
    digest = hashlib.sha256(b"emulation")
    profiles = [zoo.profile_path(exploration.network, OperandEncoding(encoding), folder=zoo_folder) for encoding in exploration.encodings]
    for path in (zoo.weights_path(exploration.network, folder=zoo_folder), *profiles):
        digest.update(path.read_bytes())
    digest.update(np.ascontiguousarray(sample.images).tobytes())
    digest.update(sample.labels.tobytes())
    return digest.hexdigest()
