"""Calibrates accuracy predictors: emulates a set of multipliers (`candidates.py`), corrected, and
fits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hdl.errors import InputError, MissingError
from hdl.files import read_bytes
from hdl.operands import Widths
from hdl.tables import ProductTable

from ..datasets import Dataset
from ..emulation.ground_truth import GroundTruth
from ..emulation.measurement import EMULATION_VERSION, measure_top1
from .candidates import Candidate
from .fitting import Emulated
from .predictor import AccuracyPredictor
from .profile import NetworkProfile

__all__ = [
    "CALIBRATED_IMAGES",
    "CalibrationError",
    "CalibrationProgress",
    "Measure",
    "calibrate",
    "emulated_accuracies",
    "exact_name",
    "screened_top1_pct",
]

#: The first images of a data set, that calibrations emulate: what comes behind them verifies.
CALIBRATED_IMAGES = 1200

# A network that answers at chance after this many images needs no more of them.
_SCREEN_IMAGES = 250
_HOPELESS_PP = 4.0


#: Measures multipliers, and exact products of some operand widths: (which of them, smoothed top-1
#: in percent) as they come, in any order.
Measure: TypeAlias = Callable[[Sequence[ProductTable | Widths]], Iterable[tuple[int, float]]]


class CalibrationError(InputError):
    """The folder or file of an earlier calibration does not fit this one."""


@dataclass(frozen=True)
class CalibrationProgress:
    """State of a running calibration: `done` of `total` multipliers emulated, the last one
    named.
    """

    done: int
    total: int
    name: str


def calibrate(
    truth: GroundTruth,
    profiles: Sequence[NetworkProfile],
    data: Dataset,
    candidates: Sequence[Candidate],
    results: Path,
    *,
    images: int = CALIBRATED_IMAGES,
    measure: Measure | None = None,
    on_progress: Callable[[CalibrationProgress], None] = lambda state: None,
) -> AccuracyPredictor:
    """A predictor calibrated on the emulation of multipliers.

    Args:
        profiles: of one network and number format, one for the operand widths of every multiplier;
            the widest first.
        candidates: the multipliers, ninety or so (:func:`calibration_set`).

    Further arguments and errors as :func:`emulated_accuracies`; raises
    cnn_eval.prediction.PredictorError for too few multipliers.
    """
    widest = profiles[0]
    tables = [candidate.table for candidate in candidates]
    top1_pct = emulated_accuracies(
        truth,
        widest,
        data,
        tables,
        results,
        images=images,
        measure=measure,
        on_progress=on_progress,
    )
    predictor = AccuracyPredictor.fit(
        [
            Emulated(
                one.multiplier.name,
                one.multiplier.family,
                one.multiplier.widths,
                one.features,
                top1_pct[one.table.name],
                top1_pct[exact_name(one.multiplier.widths)],
            )
            for one in candidates
        ],
        network=widest.network,
        encoding=str(widest.encoding),
        corrected=widest.corrected,
        data=data.name,
        exact_top1_pct=top1_pct[exact_name(widest.widths)],
        chance_pct=widest.chance_pct,
        images=min(images, len(data)),
        images_sha256=data.head(images).sha256(),
    )
    # Fitted against the exact network on the same images; predictions start from its accuracy on
    # the profile's.
    return replace(predictor, exact_top1_pct=widest.exact_top1_pct)


def exact_name(widths: Widths) -> str:
    """Name of exact products of some operand widths among emulated accuracies."""
    return f"exact {widths.a}x{widths.b}"


def emulated_accuracies(
    truth: GroundTruth,
    profile: NetworkProfile,
    data: Dataset,
    tables: Sequence[ProductTable],
    results: Path,
    *,
    images: int = CALIBRATED_IMAGES,
    measure: Measure | None = None,
    on_progress: Callable[[CalibrationProgress], None] = lambda state: None,
) -> dict[str, float]:
    """Emulated top-1 in percent by the table's name, and of exact products of every width that
    occurs by :func:`exact_name`: smoothed (:class:`cnn_eval.emulation.Measurement`).

    Args:
        truth: the network, quantized as its profiles say.
        profile: of the widest operands.
        data: images to measure accuracy on; not those that the profile was made from, or that
            correct.
        results: JSON lines, one emulated multiplier a line, appended as they come; what was
            interrupted goes on from there.
        images: how many of `data` to emulate; multipliers that leave nothing of the accuracy get
            fewer.
        measure: as :func:`screened_top1_pct` does on so many images; None: here, one multiplier
            after the other.

    Raises:
        CalibrationError: `results` belongs to another network, other images or another
            quantization.
    """
    sample = data.head(images)
    identity = {
        "network": profile.network,
        "encoding": str(profile.encoding),
        "digest": _digest(truth, profile.widths, sample),
    }
    log = _Results(results, identity)
    exact = dict.fromkeys([profile.widths, *(table.widths for table in tables)])
    asked: dict[tuple[str, str], ProductTable | Widths] = {
        (exact_name(widths), ""): widths for widths in exact
    }
    asked |= {(table.name, table.sha256): table for table in tables}
    missing = {key: one for key, one in asked.items() if not log.knows(*key)}
    waiting = dict.fromkeys(missing)

    def tell() -> None:
        following, _ = next(iter(waiting), ("", ""))
        on_progress(CalibrationProgress(len(asked) - len(waiting), len(asked), following))

    def measured_here(multipliers: Sequence[ProductTable | Widths]) -> Iterator[tuple[int, float]]:
        for index, one in enumerate(multipliers):
            yield index, screened_top1_pct(truth, one, sample, profile.chance_pct)

    keys = list(missing)
    tell()
    for index, top1_pct in (measure or measured_here)(list(missing.values())):
        name, digest = keys[index]
        log.add(name, top1_pct, digest)
        del waiting[name, digest]
        tell()
    return log.top1_pct


def screened_top1_pct(
    truth: GroundTruth, multiplier: ProductTable | Widths, sample: Dataset, chance_pct: float
) -> float:
    """Smoothed top-1 in percent over the images of `sample`, or over the first of them where the
    network answers at chance.
    """
    network = (
        truth.network(multiplier)
        if isinstance(multiplier, ProductTable)
        else truth.exact(multiplier)
    )
    screened = measure_top1(network, None, sample, images=_SCREEN_IMAGES)
    if screened.images == len(sample) or screened.top1_pct < chance_pct + _HOPELESS_PP:
        return screened.smoothed_top1_pct
    measured = measure_top1(network, None, sample.part(screened.images, len(sample)))
    parts = (screened, measured)
    return sum(part.smoothed_top1_pct * part.images for part in parts) / len(sample)


def _digest(truth: GroundTruth, widest: Widths, sample: Dataset) -> str:
    """Hash of everything a measured accuracy depends on beside the multiplier: the corrected
    network has weights, scales and correction.
    """
    network = truth.exact(widest)
    digest = hashlib.sha256(f"emulation {EMULATION_VERSION}".encode())
    digest.update(b"corrected" if truth.correcting else b"")
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for layer in network.layers.values():
        digest.update(repr(layer.coding).encode())
    digest.update(sample.sha256().encode())
    return digest.hexdigest()


#: Of the file of emulated accuracies: a line is some two hundred bytes.
_LIMIT_BYTES = 64 << 20


class _Results:
    """A JSON lines file: what it belongs to in the first line, then a measured multiplier a
    line.
    """

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        self._path = path
        self.top1_pct: dict[str, float] = {}
        self._tables: dict[str, str] = {}
        try:
            text = (
                read_bytes(path, limit_bytes=_LIMIT_BYTES).decode(errors="replace")
                if path.exists()
                else ""
            )
            lines = text.splitlines()
            if not lines:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(identity) + "\n")
        except OSError as error:
            raise MissingError(
                f"{str(path)!r} cannot be read or written ({error.strerror}); choose another "
                "place for results"
            ) from error
        if not lines:
            return
        if _parsed(lines[0]) != identity:
            raise CalibrationError(
                f"{str(path)!r} holds a calibration of other weights, scales or images; choose "
                "another file or delete it"
            )
        for line in lines[1:]:
            # A kill may have cut the last line short.
            record = _parsed(line)
            if (
                isinstance(record, dict)
                and isinstance(name := record.get("name"), str)
                and isinstance(table := record.get("table"), str)
            ):
                top1_pct = record.get("top1_pct")
                if isinstance(top1_pct, int | float) and 0 <= top1_pct <= 100:
                    self.top1_pct[name], self._tables[name] = float(top1_pct), table
        if not text.endswith("\n"):
            self._append("\n")

    def knows(self, name: str, table: str) -> bool:
        """Whether the multiplier of that name was measured, with the table of that hash: a name
        alone may come to mean another circuit.
        """
        return self._tables.get(name) == table

    def add(self, name: str, top1_pct: float, table: str = "") -> None:
        self.top1_pct[name], self._tables[name] = top1_pct, table
        self._append(json.dumps({"name": name, "table": table, "top1_pct": top1_pct}) + "\n")

    def _append(self, text: str) -> None:
        with self._path.open("a") as file:
            file.write(text)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
