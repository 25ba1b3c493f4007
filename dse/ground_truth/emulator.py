"""Ground truth for a search: designs emulated in its network image by image, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_eval import zoo
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding, Widths

from ..evaluation.store import PointStore
from ..search.assignment import Assignment

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.emulation import GroundTruth, Measurement, Multipliers
    from cnn_eval.networks import TrainedNetwork

__all__ = ["EXACT", "Accuracy", "Emulator", "emulators_of"]

#: Name of exact products among what is measured.
EXACT = "exact products"


#: Enough to tell layers apart: most differ by more than a half.
_SENSITIVITY_IMAGES = 128


@dataclass(frozen=True)
class Accuracy:
    """Top-1 in percent, and the smoothed one (:class:`cnn_eval.emulation.Measurement`)."""

    top1_pct: float
    smoothed_top1_pct: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Accuracy | None:
        """The accuracy that a stored row tells; None where it does not (a damaged store)."""
        found = [values.get(name) for name in ("top1_pct", "smoothed_top1_pct")]
        known = [float(one) for one in found if isinstance(one, int | float) and 0 <= one <= 100]
        return cls(*known) if len(known) == len(found) else None


class Emulator:
    """Measures accuracies over images, corrected or not. Results are kept in the point store: what
    was measured once is not measured again, and the correction of a design is kept beside its
    accuracy.

    Args:
        network: quantized as its profiles in `zoo_folder` or in the zoo that ships say.
        roles: which images correct and calibrate.
        sample: the images to measure on.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        roles: ImageRoles,
        sample: Dataset,
        store_path: Path,
        *,
        corrected: bool = True,
        zoo_folder: Path | None = None,
    ) -> None:
        self.images = len(sample)
        self._network, self._roles, self._sample = network, roles, sample
        self._store_path, self._corrected, self._zoo_folder = store_path, corrected, zoo_folder
        self._truths: dict[OperandEncoding, GroundTruth] = {}
        self._digest = "".join(
            part.sha256() for part in (sample, roles.correction, roles.calibration)
        )

    def measure(self, design: Multiplier, encoding: OperandEncoding) -> Accuracy:
        """The network's accuracy with a design in the number format `encoding`."""
        table = design.table()
        return self._known(table.sha256, encoding, lambda: self._measured(table, encoding))

    def measure_assignment(self, assignment: Assignment) -> Accuracy:
        """The network's accuracy with a design for every layer. Raises
        dse.search.AssignmentError where its layers are others.
        """
        encoding = assignment.encoding
        tables = assignment.tables(self._truth(encoding).names)
        if len(assignment.kinds) == 1:
            return self.measure(assignment.multipliers[assignment.kinds[0].design], encoding)
        text = "".join(f"{layer} {table.sha256}\n" for layer, table in sorted(tables.items()))
        item = f"assignment {hashlib.sha256(text.encode()).hexdigest()}"
        return self._known(item, encoding, lambda: self._measured(tables, encoding))

    def measure_exact(self, encoding: OperandEncoding, widths: Widths | None = None) -> Accuracy:
        """The same with exact products of some operand widths; None: of the widest."""
        widths = widths or self._widest(encoding)
        measure = partial(self._truth(encoding).measure, widths, self._sample)
        return self._known(f"{EXACT} {widths.a}x{widths.b}", encoding, lambda: _values(measure()))

    def layer_sensitivities(self, encoding: OperandEncoding) -> dict[str, float]:
        """What noise in each layer's output does to the network's answers
        (:mod:`cnn_eval.emulation.sensitivity`), seen on calibration images.
        """
        from cnn_eval.emulation import layer_sensitivities

        images = self._roles.calibration.head(_SENSITIVITY_IMAGES)
        return layer_sensitivities(self._truth(encoding).exact(self._widest(encoding)), images)

    def _known(
        self, item: str, encoding: OperandEncoding, measured: Callable[[], dict[str, Any]]
    ) -> Accuracy:
        with PointStore(self._store_path, self._context(encoding)) as store:
            found = Accuracy.from_dict(store.get([item]).get(item, {}))
            if found is None:
                values = measured()
                store.put(item, values)
                found = Accuracy.from_dict(values)
        assert found is not None
        return found

    def _measured(self, multipliers: Multipliers, encoding: OperandEncoding) -> dict[str, Any]:
        truth = self._truth(encoding)
        correction = truth.correction(multipliers)
        found = _values(truth.measure(multipliers, self._sample, correction=correction))
        if correction is not None:
            found["gains"], found["offsets"] = (
                {layer: values.tolist() for layer, values in part.items()}
                for part in (correction.gains, correction.offsets)
            )
        return found

    def _truth(self, encoding: OperandEncoding) -> GroundTruth:
        if encoding not in self._truths:
            self._truths[encoding] = zoo.ground_truth(
                self._network,
                encoding,
                self._roles,
                corrected=self._corrected,
                folder=self._zoo_folder,
            )
        return self._truths[encoding]

    def _widest(self, encoding: OperandEncoding) -> Widths:
        return zoo.profile_widths(
            self._network.name, encoding, corrected=self._corrected, folder=self._zoo_folder
        )[0]

    def _context(self, encoding: OperandEncoding) -> str:
        """Hash of everything an emulated accuracy depends on beside the product table: network,
        quantization, images, the computation.
        """
        from cnn_eval.emulation import EMULATION_VERSION

        digest = hashlib.sha256(
            (
                f"emulation {EMULATION_VERSION}, torch {version('torch')}, corrected "
                f"{self._corrected}"
            ).encode()
        )
        digest.update(self._network.sha256().encode())
        for widths in zoo.profile_widths(
            self._network.name, encoding, corrected=self._corrected, folder=self._zoo_folder
        ):
            path = zoo.profile_path(
                self._network.name,
                encoding,
                widths,
                corrected=self._corrected,
                folder=self._zoo_folder,
            )
            digest.update(path.read_bytes())
        digest.update(self._digest.encode())
        return digest.hexdigest()


def emulators_of(
    networks: Sequence[str],
    roles: ImageRoles,
    sample: Dataset,
    store_path: Path,
    *,
    corrected: bool = True,
    zoo_folder: Path | None = None,
    trained: TrainedNetwork | None = None,
) -> dict[str, Emulator]:
    """An :class:`Emulator` of each network; `trained` is the first one, where neither `zoo_folder`
    nor the zoo that ships has its weights.
    """
    first = trained or zoo.zoo_network(networks[0], folder=zoo_folder)
    others = (zoo.zoo_network(network, folder=zoo_folder) for network in networks[1:])
    return {
        network.name: Emulator(
            network, roles, sample, store_path, corrected=corrected, zoo_folder=zoo_folder
        )
        for network in (first, *others)
    }


def _values(measurement: Measurement) -> dict[str, Any]:
    return {name: getattr(measurement, name) for name in ("top1_pct", "smoothed_top1_pct")}
