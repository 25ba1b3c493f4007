"""Ground truth for a search: designs emulated in its network image by image, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cnn_eval import zoo
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding, Widths

from ..evaluation.executor import Executor, LocalProcesses
from ..evaluation.store import PointStore
from ..search.assignment import Assignment
from .emulation import Emulation, measured, request_text

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.emulation import Multipliers
    from cnn_eval.networks import TrainedNetwork

__all__ = ["EXACT", "HERE", "Accuracy", "Emulator", "Subject", "emulators_of"]

#: Name of exact products among what is measured.
EXACT = "exact products"

#: What is measured: a design in all layers, a design for every layer, exact products of some
#: operand widths, or of the widest (None).
Subject: TypeAlias = Multiplier | Assignment | Widths | None

#: This process, with all its threads.
HERE = LocalProcesses()


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


@dataclass(frozen=True)
class _Asked:
    """A measurement: what it is kept by in the context of its number format, and of what it is."""

    encoding: OperandEncoding
    item: str
    name: str
    multipliers: Multipliers | Widths


class Emulator:
    """Measures accuracies over images, corrected or not. Results are kept in the point store: what
    was measured once is not measured again, and the correction of a design is kept beside its
    accuracy.

    Args:
        network: quantized as its profiles in `zoo_folder` or in the zoo that ships say.
        roles: which images correct and calibrate.
        sample: the images to measure on.
        executor: where that is done.
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
        executor: Executor = HERE,
    ) -> None:
        self.images = len(sample)
        self._network, self._images = network, replace(roles, judging=sample)
        self._store_path, self._corrected, self._zoo_folder = store_path, corrected, zoo_folder
        self._executor = executor
        self._emulations: dict[OperandEncoding, Emulation] = {}
        self._digest = "".join(
            part.sha256() for part in (sample, roles.correction, roles.calibration)
        )

    def measure(self, design: Multiplier, encoding: OperandEncoding) -> Accuracy:
        """The network's accuracy with a design in the number format `encoding`."""
        return self.measure_all([(design, encoding)])[0]

    def measure_assignment(self, assignment: Assignment) -> Accuracy:
        """The network's accuracy with a design for every layer. Raises
        dse.search.AssignmentError where its layers are others.
        """
        return self.measure_all([(assignment, assignment.encoding)])[0]

    def measure_exact(self, encoding: OperandEncoding, widths: Widths | None = None) -> Accuracy:
        """The same with exact products of some operand widths; None: of the widest."""
        return self.measure_all([(widths, encoding)])[0]

    def measure_all(
        self,
        subjects: Sequence[tuple[Subject, OperandEncoding]],
        *,
        on_progress: Callable[[int, str], None] = lambda done, name: None,
    ) -> list[Accuracy]:
        """The network's accuracy with each of `subjects`; those of them that are not known yet are
        measured at once, by as many workers as there are.

        Args:
            on_progress: called with (how many are known, what is measured next) while there are
                others.

        Raises:
            cnn_eval.emulation.EmulationError: a design cannot take part in the network.
            dse.search.AssignmentError: an assignment to other layers.
        """
        asked = [self._asked(subject, encoding) for subject, encoding in subjects]
        known: dict[tuple[OperandEncoding, str], Accuracy] = {}
        with ExitStack() as opened:
            stores = {
                encoding: opened.enter_context(
                    PointStore(self._store_path, self._context(encoding))
                )
                for encoding in dict.fromkeys(one.encoding for one in asked)
            }
            waiting = {}
            for one in asked:
                row = stores[one.encoding].get([one.item]).get(one.item, {})
                found = Accuracy.from_dict(row)
                if found is None:
                    waiting[one.encoding, one.item] = one
                else:
                    known[one.encoding, one.item] = found

            def tell() -> None:
                if waiting:
                    on_progress(len(asked) - len(waiting), next(iter(waiting.values())).name)

            tell()
            for encoding, store in stores.items():
                tasks = {
                    request_text(one.multipliers): one
                    for one in waiting.values()
                    if one.encoding == encoding
                }
                emulation = self._emulation(encoding)
                for one, row in measured(emulation, Emulation.accuracies, tasks, self._executor):
                    store.put(one.item, row)
                    found = Accuracy.from_dict(row)
                    assert found is not None
                    known[encoding, one.item] = found
                    del waiting[encoding, one.item]
                    tell()
        return [known[one.encoding, one.item] for one in asked]

    def layer_sensitivities(self, encoding: OperandEncoding) -> dict[str, float]:
        """What noise in each layer's output does to the network's answers
        (:mod:`cnn_eval.emulation.sensitivity`), seen on calibration images.
        """
        from cnn_eval.emulation import layer_sensitivities

        images = self._images.calibration.head(_SENSITIVITY_IMAGES)
        truth = self._emulation(encoding).truth
        return layer_sensitivities(truth.exact(self._widest(encoding)), images)

    def _asked(self, subject: Subject, encoding: OperandEncoding) -> _Asked:
        if subject is None or isinstance(subject, Widths):
            widths = subject or self._widest(encoding)
            name = f"{EXACT} {widths.a}x{widths.b}"
            return _Asked(encoding, name, EXACT if subject is None else name, widths)
        if not isinstance(subject, Assignment):
            table = subject.table()
            return _Asked(encoding, table.sha256, subject.name, table)
        tables = subject.tables(self._emulation(encoding).truth.names)
        if len(subject.kinds) == 1:
            return self._asked(subject.multipliers[subject.kinds[0].design], encoding)
        text = "".join(f"{layer} {table.sha256}\n" for layer, table in sorted(tables.items()))
        item = f"assignment {hashlib.sha256(text.encode()).hexdigest()}"
        return _Asked(encoding, item, f"an assignment of {len(subject.kinds)} kinds", tables)

    def _emulation(self, encoding: OperandEncoding) -> Emulation:
        if encoding not in self._emulations:
            self._emulations[encoding] = Emulation(
                self._network, encoding, self._images, self._corrected, self._zoo_folder
            )
        return self._emulations[encoding]

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
        for path in self._emulation(encoding).profile_paths():
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
    executor: Executor = HERE,
) -> dict[str, Emulator]:
    """An :class:`Emulator` of each network; `trained` is the first one, where neither `zoo_folder`
    nor the zoo that ships has its weights.
    """
    first = trained or zoo.zoo_network(networks[0], folder=zoo_folder)
    others = (zoo.zoo_network(network, folder=zoo_folder) for network in networks[1:])
    return {
        network.name: Emulator(
            network,
            roles,
            sample,
            store_path,
            corrected=corrected,
            zoo_folder=zoo_folder,
            executor=executor,
        )
        for network in (first, *others)
    }
