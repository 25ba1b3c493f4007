"""Calibrates accuracy predictors: emulates a set of multipliers and fits.

The set spans the families that a search chooses from and is dense where accuracy starts to go, which is where a search for small designs at
small losses has to be right. How far a family can be pushed depends on the encoding, hence one set for each kind of multiplier.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hdl.errors import InputError, MissingError
from hdl.files import read_bytes
from hdl.tables import ProductTable

from ..datasets import Dataset
from ..emulation.measurement import measure_top1
from ..quantization.quantized_network import ExactConvolution, QuantizedNetwork
from .architectural_error import features
from .predictor import AccuracyPredictor, Emulated
from .profile import NetworkProfile

__all__ = ["EXACT", "CalibrationError", "CalibrationProgress", "calibrate", "calibration_specs", "emulated_accuracies"]

#: Name of the exact network among emulated accuracies.
EXACT = "exact"

# A network that answers at chance after this many images needs no more of them.
_SCREEN_IMAGES = 250
_HOPELESS_PP = 4.0


class CalibrationError(InputError):
    """The folder or file of an earlier calibration does not fit this one."""


@dataclass(frozen=True)
class CalibrationProgress:
    """State of a running calibration: `done` of `total` multipliers emulated, the last one named."""

    done: int
    total: int
    name: str


def calibration_specs(*, signed: bool) -> tuple[str, ...]:
    """Specs of the multipliers that predictors are calibrated on, for 8-bit signed or unsigned multipliers."""
    return tuple(f"{spec},signed=1" if ":" in spec else f"{spec}:signed=1" for spec in _SIGNED) if signed else _UNSIGNED


def calibrate(
    network: QuantizedNetwork,
    profile: NetworkProfile,
    data: Dataset,
    multipliers: Iterable[tuple[str, ProductTable]],
    results: Path,
    *,
    images: int = 1000,
    on_progress: Callable[[CalibrationProgress], None] = lambda state: None,
) -> AccuracyPredictor:
    """A predictor calibrated on the emulation of `multipliers`.

    Arguments and errors as :func:`emulated_accuracies`; raises cnn_eval.prediction.PredictorError for too few multipliers.
    """
    multipliers = list(multipliers)
    top1_pct = emulated_accuracies(network, profile, data, multipliers, results, images=images, on_progress=on_progress)
    predictor = AccuracyPredictor.fit(
        [
            Emulated(table.name, family, tuple(features(profile, table.errors).tolist()), top1_pct[table.name])
            for family, table in multipliers
        ],
        network=profile.network,
        encoding=str(profile.encoding),
        data=data.name,
        exact_top1_pct=top1_pct[EXACT],
        chance_pct=profile.chance_pct,
        images=min(images, len(data)),
        images_sha256=data.head(images).sha256(),
    )
    # Fitted against the exact network on the same images; predictions start from its accuracy on all of them.
    return replace(predictor, exact_top1_pct=profile.exact_top1_pct)


def emulated_accuracies(
    network: QuantizedNetwork,
    profile: NetworkProfile,
    data: Dataset,
    multipliers: Iterable[tuple[str, ProductTable]],
    results: Path,
    *,
    images: int = 1000,
    on_progress: Callable[[CalibrationProgress], None] = lambda state: None,
) -> dict[str, float]:
    """Emulated top-1 in percent by the table's name, and of exact products by the name :data:`EXACT`.

    Args:
        network: quantized as `profile` says.
        data: images to measure accuracy on; not those that the profile was made from.
        multipliers: (family, table), forty or so.
        results: JSON lines, one emulated multiplier a line, appended as they come; what was interrupted goes on from there.
        images: how many of `data` to emulate; multipliers that leave nothing of the accuracy get fewer.

    Raises:
        CalibrationError: `results` belongs to another network, other images or another quantization.
    """
    multipliers = list(multipliers)
    sample = data.head(images)
    log = _Results(results, {"network": profile.network, "encoding": str(profile.encoding), "digest": _digest(network, sample)})
    if EXACT not in log.top1_pct:
        log.add(EXACT, measure_top1(network, None, sample).top1_pct)
    for done, (_, table) in enumerate(multipliers):
        on_progress(CalibrationProgress(done, len(multipliers), table.name))
        if not log.knows(table.name, table.sha256):
            log.add(table.name, _measure(network, table, sample, profile.chance_pct), table.sha256)
    on_progress(CalibrationProgress(len(multipliers), len(multipliers), ""))
    return log.top1_pct


def _measure(network: QuantizedNetwork, table: ProductTable, sample: Dataset, chance_pct: float) -> float:
    screened = measure_top1(network, table, sample, images=_SCREEN_IMAGES)
    if screened.images == len(sample) or screened.top1_pct < chance_pct + _HOPELESS_PP:
        return screened.top1_pct
    rest = sample.part(screened.images, len(sample))
    measured = measure_top1(network, table, rest)
    return (screened.top1_pct * screened.images + measured.top1_pct * measured.images) / len(sample)


def _digest(network: QuantizedNetwork, sample: Dataset) -> str:
    """Hash of everything a measured accuracy depends on beside the multiplier."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    for layer in network.layers.values():
        assert isinstance(layer.sums, ExactConvolution)
        digest.update(repr(layer.coding).encode())
    digest.update(np.ascontiguousarray(sample.images).tobytes())
    digest.update(sample.labels.tobytes())
    return digest.hexdigest()


#: Of the file of emulated accuracies: a line is some two hundred bytes.
_LIMIT_BYTES = 64 << 20


class _Results:
    """A JSON lines file: what it belongs to in the first line, then a measured multiplier a line."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        self._path = path
        self.top1_pct: dict[str, float] = {}
        self._tables: dict[str, str] = {}
        try:
            text = read_bytes(path, limit_bytes=_LIMIT_BYTES).decode(errors="replace") if path.exists() else ""
            lines = text.splitlines()
            if not lines:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(identity) + "\n")
        except OSError as error:
            raise MissingError(f"{str(path)!r} cannot be read or written ({error.strerror}); choose another place for results") from error
        if not lines:
            return
        if _parsed(lines[0]) != identity:
            raise CalibrationError(
                f"{str(path)!r} holds a calibration of other weights, scales or images; choose another file or delete it"
            )
        for line in lines[1:]:
            # A kill may have cut the last line short.
            record = _parsed(line)
            if isinstance(record, dict) and isinstance(name := record.get("name"), str) and isinstance(table := record.get("table"), str):
                top1_pct = record.get("top1_pct")
                if isinstance(top1_pct, int | float) and 0 <= top1_pct <= 100:
                    self.top1_pct[name], self._tables[name] = float(top1_pct), table
        if not text.endswith("\n"):
            self._append("\n")

    def knows(self, name: str, table: str) -> bool:
        """Whether the multiplier of that name was measured, with the table of that hash: a name alone may come to mean another circuit."""
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


# Rules that are defined on magnitudes do about the same to either kind of multiplier.
_ON_MAGNITUDES = (
    *("udm", "sdlc", "sdlc:exact=6", "sdlc:d=3", "sdlc:d=3,exact=6", "sdlc:d=4", "sdlc:d=8,exact=8"),
    *("drum:k=3", "drum:k=4", "drum:k=5", "drum:k=6"),
    *("lodtrunc:k=3", "lodtrunc:k=4", "lodtrunc:k=5", "lodtrunc:k=6"),
    *("ssm:m=5", "ssm:m=6", "essm:m=4", "essm:m=5", "essm:m=6", "etm:offset=-2", "etm:offset=-1"),
    *("mitchell", "mitchw:f=2", "mitchw:f=3", "mitchw:f=4", "mitchw:f=5", "dralm:t=3", "dralm:t=4", "dralm:t=5"),
    *("mbm", "tosam:h=0,t=2", "tosam:h=1,t=3", "ilm:n=1", "recursive:loa=6", "recursive:loa=8"),
)
_UNSIGNED = (
    *("tm:k=1", "tm:k=2", "tm:k=3", "tm:k=4", "tm:k=2,comp=24"),
    *("bam:h=0,v=5", "bam:h=0,v=6", "bam:h=0,v=7", "bam:h=0,v=8", "bam:h=0,v=9"),
    *("bam:h=1,v=6", "bam:h=2,v=0", "bam:h=2,v=6", "bam:h=3,v=0", "bam:h=3,v=7"),
    *("bam:h=0,v=6,comp=8", "bam:h=0,v=6,comp=40", "bam:h=0,v=6,comp=80", "bam:h=0,v=7,comp=8", "bam:h=0,v=7,comp=48"),
    *("bam:h=0,v=8,comp=16", "bam:h=0,v=8,comp=112", "bam:h=2,v=6,comp=60"),
    *("perforate:j=1,k=1", "perforate:j=1,k=2", "perforate:j=2,k=1", "perforate:j=2,k=2", "perforate:j=3,k=1", "perforate:j=4,k=1"),
    *("perforate:j=2,k=1,comp=30", "perforate:j=1,k=2,comp=60"),
    *("mask:bits=fffffffdfef5f8f0", "mask:bits=fffffdfef8f8d0e8", "mask:bits=fffffefcf8f0f060", "mask:bits=fffffefeead0a0c0,comp=30"),
    *("mask:bits=fffefce8f0e8d080", "mask:bits=fffffcf8e0f000a0,comp=60", "mask:bits=faf4f8f0a0d08000"),
    *("compressor:kind=momeni1,cols=5", "compressor:kind=momeni1,cols=6", "compressor:kind=momeni1,cols=7"),
    *("compressor:kind=momeni2,cols=5", "compressor:kind=momeni2,cols=6", "compressor:kind=momeni2,cols=8"),
    *("compressor:kind=venkatachalam,cols=8", "compressor:kind=venkatachalam,cols=9", "compressor:kind=venkatachalam,cols=10"),
    *("compressor:kind=venkatachalam,cols=11", "compressor:kind=venkatachalam,cols=12", "compressor:kind=lin,cols=10"),
    *_ON_MAGNITUDES,
)
# Constants on two's complement: about what cancels the mean shift of margins, and too much and too little of it.
_SIGNED = (
    *("tm:k=1", "tm:k=1,comp=4", "tm:k=2", "tm:k=2,comp=6", "tm:k=2,comp=10", "tm:k=3,comp=22"),
    *("bam:h=0,v=2", "bam:h=0,v=3", "bam:h=0,v=4", "bam:h=0,v=5", "bam:h=0,v=4,comp=3", "bam:h=0,v=4,comp=7"),
    *("bam:h=0,v=5,comp=6", "bam:h=0,v=5,comp=9", "bam:h=0,v=5,comp=12", "bam:h=0,v=5,comp=16"),
    *("bam:h=0,v=6,comp=19", "bam:h=0,v=6,comp=26", "bam:h=0,v=6,comp=31", "bam:h=0,v=7,comp=55"),
    *("bam:h=1,v=0", "bam:h=1,v=0,comp=3", "bam:h=1,v=5,comp=12", "bam:h=2,v=0", "bam:h=2,v=0,comp=5", "bam:h=2,v=0,comp=9"),
    *("bam:h=2,v=0,comp=13", "bam:h=2,v=5,comp=14", "bam:h=2,v=6,comp=27", "bam:h=3,v=0,comp=21"),
    *("perforate:j=1,k=1", "perforate:j=1,k=1,comp=6", "perforate:j=2,k=1", "perforate:j=2,k=1,comp=12", "perforate:j=3,k=1,comp=24"),
    *("mask:bits=fffffffffefffefe", "mask:bits=fffffffffdfef5f8", "mask:bits=fffffffffefcf8fc", "mask:bits=fffffffefef0faf0,comp=8"),
    *("mask:bits=fffffffef4faf0e8", "mask:bits=fffffffefef8e0e0,comp=20", "mask:bits=fffffcf8f8f0c040,comp=50"),
    *("compressor:kind=venkatachalam,cols=5", "compressor:kind=venkatachalam,cols=6", "compressor:kind=venkatachalam,cols=7"),
    *("compressor:kind=single_error,cols=9", "compressor:kind=single_error,cols=10", "compressor:kind=single_error,cols=11"),
    *("compressor:kind=lin,cols=8", "compressor:kind=lin,cols=9", "compressor:kind=lin,cols=10", "compressor:kind=lin,cols=11"),
    *_ON_MAGNITUDES,
)
