"""Emulations as work that an executor shares out: each task is one measurement over all images of a
sample, and carries its product tables by value.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnn_eval import zoo
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

from ..evaluation.executor import Executor, Job
from ..evaluation.workers import Evaluate, Failure

if TYPE_CHECKING:
    from cnn_eval.datasets import ImageRoles
    from cnn_eval.emulation import GroundTruth, Multipliers
    from cnn_eval.networks import TrainedNetwork
    from cnn_eval.prediction import Measure

__all__ = ["Emulation", "measured", "request_text", "requested", "screened"]

_Key = TypeVar("_Key")

#: Processor time of a measurement: a large network on thousands of large images takes hours.
_LIMIT_S = 6 * 3600.0


@dataclass(frozen=True, eq=False)
class Emulation:
    """A network in one number format, and the images that it is measured on: a
    :class:`dse.evaluation.Bench`.

    Attributes:
        network: quantized as its profiles in `zoo_folder` or in the zoo that ships say.
        images: those that correct and calibrate, and those that judge, which all are measured on.
        corrected: whether the network is corrected for every multiplier.
    """

    network: TrainedNetwork
    encoding: OperandEncoding
    images: ImageRoles
    corrected: bool = True
    zoo_folder: Path | None = None

    @cached_property
    def truth(self) -> GroundTruth:
        """What measures. Raises what :func:`cnn_eval.zoo.ground_truth` does."""
        return zoo.ground_truth(
            self.network,
            self.encoding,
            self.images,
            corrected=self.corrected,
            folder=self.zoo_folder,
        )

    def __getstate__(self) -> dict[str, Any]:
        # What measures is made of the rest.
        return {name: value for name, value in vars(self).items() if name != "truth"}

    def profile_paths(self) -> list[Path]:
        """Files of the network's profiles of all operand widths. Raises cnn_eval.zoo.ZooError."""
        name, encoding = self.network.name, self.encoding
        return [
            zoo.profile_path(
                name, encoding, widths, corrected=self.corrected, folder=self.zoo_folder
            )
            for widths in zoo.profile_widths(
                name, encoding, corrected=self.corrected, folder=self.zoo_folder
            )
        ]

    def files(self) -> dict[str, Path]:
        """The network's profiles, as far as there are any, and its learned rounding."""
        name, folder = self.network.name, self.zoo_folder
        profiled = zoo.has_profile(name, self.encoding, corrected=self.corrected, folder=folder)
        rounding = zoo.rounding_path(name, folder=folder)
        paths = [
            *(self.profile_paths() if profiled else []),
            *([] if rounding is None else [rounding]),
        ]
        return {f"zoo/{path.name}": path for path in paths}

    def moved(self, folder: Path, kept: Path) -> Emulation:
        """The same with its files in `folder`."""
        return replace(self, zoo_folder=folder / "zoo")

    def accuracies(self) -> Evaluate:
        """A function from a :func:`request_text` to the measured accuracy and, of multipliers that
        are corrected for, the correction.
        """
        return lambda text: self._accuracy(requested(text))

    def measurements(self, exact_first_last: bool) -> Evaluate:
        """A function from a :func:`request_text` to the fields of its
        :class:`cnn_eval.emulation.Measurement`, the first and the last layer exact or not.
        """

        def measure(text: str) -> dict[str, Any]:
            asked, sample = requested(text), self.images.judging
            return asdict(self.truth.measure(asked, sample, exact_first_last=exact_first_last))

        return measure

    def screenings(self, chance_pct: float) -> Evaluate:
        """A function from a :func:`request_text` to what
        :func:`cnn_eval.prediction.screened_top1_pct` says of it.
        """
        from cnn_eval.prediction import screened_top1_pct

        def screen(text: str) -> dict[str, Any]:
            asked, sample = requested(text), self.images.judging
            assert isinstance(asked, ProductTable | Widths)
            return {"top1_pct": screened_top1_pct(self.truth, asked, sample, chance_pct)}

        return screen

    def _accuracy(self, asked: Multipliers | Widths) -> dict[str, Any]:
        truth, sample = self.truth, self.images.judging
        correction = None if isinstance(asked, Widths) else truth.correction(asked)
        measurement = truth.measure(asked, sample, correction=correction)
        found: dict[str, Any] = {
            name: getattr(measurement, name) for name in ("top1_pct", "smoothed_top1_pct")
        }
        if correction is not None:
            found["gains"], found["offsets"] = (
                {layer: values.tolist() for layer, values in part.items()}
                for part in (correction.gains, correction.offsets)
            )
        return found


def measured(
    emulation: Emulation,
    job: Job[Emulation],
    tasks: Mapping[str, _Key],
    executor: Executor,
) -> Iterator[tuple[_Key, dict[str, Any]]]:
    """Has an executor do a job of an emulation: (key of the task, result) as they come, in any
    order.

    Args:
        tasks: requests -> keys.

    Raises:
        cnn_eval.emulation.EmulationError: one of them failed.
        dse.evaluation.WorkerError, dse.evaluation.ClusterError: the executor cannot do the work.
    """
    from cnn_eval.emulation import EmulationError

    with executor.pool(emulation, job, time_limit_s=_LIMIT_S, threaded=True) as pool:
        for task, result in pool.run(tasks):
            if isinstance(result, Failure):
                raise EmulationError(
                    f"emulating {result.reason}; do it without --cluster to see why"
                )
            yield tasks[task], result


def screened(emulation: Emulation, chance_pct: float, executor: Executor) -> Measure:
    """What measures calibrations, by the workers of an executor."""

    def measure(multipliers: Sequence[ProductTable | Widths]) -> Iterator[tuple[int, float]]:
        tasks = {request_text(one): index for index, one in enumerate(multipliers)}
        job = partial(Emulation.screenings, chance_pct=chance_pct)
        for index, result in measured(emulation, job, tasks, executor):
            yield index, result["top1_pct"]

    return measure


def request_text(asked: Multipliers | Widths) -> str:
    """A task: what it is called, a tab, and a JSON text with the product tables, or the operand
    widths of exact products.
    """
    if isinstance(asked, Widths):
        return _text(f"exact products {asked}", {"widths": asked})
    if isinstance(asked, ProductTable):
        return _text(asked.name, {"table": _packed(asked)})
    tables = list({id(table): table for table in asked.values()}.values())
    places = {id(table): place for place, table in enumerate(tables)}
    layers = {layer: places[id(table)] for layer, table in asked.items()}
    name = f"an assignment of {len(tables)} kinds"
    return _text(name, {"tables": [_packed(table) for table in tables], "layers": layers})


def _text(name: str, values: Mapping[str, Any]) -> str:
    return "\t".join([" ".join(name.split()), json.dumps(values)])


def requested(text: str) -> Multipliers | Widths:
    """What a :func:`request_text` asks for."""
    values = json.loads(text.partition("\t")[2])
    if "widths" in values:
        return Widths(*values["widths"])
    if "table" in values:
        return _unpacked(values["table"])
    tables = [_unpacked(one) for one in values["tables"]]
    return {layer: tables[place] for layer, place in values["layers"].items()}


def _packed(table: ProductTable) -> dict[str, Any]:
    content = base64.b85encode(zlib.compress(table.errors.astype("<i4").tobytes()))
    return {
        "name": table.name,
        "signed": table.signed,
        "widths": table.widths,
        "errors": content.decode(),
    }


def _unpacked(values: Mapping[str, Any]) -> ProductTable:
    exact = ProductTable.exact(Widths(*values["widths"]), values["signed"]).products
    content = zlib.decompress(base64.b85decode(values["errors"]))
    errors = np.frombuffer(content, "<i4").reshape(exact.shape)
    return ProductTable(exact + errors, values["signed"], values["name"])
