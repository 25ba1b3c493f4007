"""Ground truth for a search: designs emulated in its network image by image, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_eval import zoo
from hdl.multipliers import ImportedDesign, named_multiplier
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

from ..evaluation.store import PointStore

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.emulation import GroundTruth
    from cnn_eval.networks import TrainedNetwork

__all__ = ["EXACT", "Emulator"]

#: Name of exact products among what an :class:`Emulator` measures.
EXACT = "exact products"


class Emulator:
    """Measures top-1 over images, corrected or not. Results are kept in the point store: what was
    measured once is not measured again, and the correction of a design is kept beside its accuracy.

    Args:
        network: quantized as its profiles in `zoo_folder` or in the zoo that ships say.
        roles: which images correct and calibrate.
        sample: the images to measure on.
        imported: own designs that may be asked for by name.
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
        imported: Sequence[ImportedDesign] = (),
    ) -> None:
        self.images = len(sample)
        self._network, self._roles, self._sample, self._store_path = (
            network,
            roles,
            sample,
            store_path,
        )
        self._corrected, self._zoo_folder, self._imported = corrected, zoo_folder, imported
        self._truths: dict[OperandEncoding, GroundTruth] = {}
        self._digest = "".join(
            part.sha256() for part in (sample, roles.correction, roles.calibration)
        )

    def top1_pct(self, design: str, encoding: OperandEncoding) -> float:
        """Top-1 in percent with a design in the number format `encoding`, or with :data:`EXACT`:
        exact products of the widest operands.
        """
        if design == EXACT:
            return self.exact_top1_pct(self._widest(encoding), encoding)
        table = named_multiplier(design, self._imported).table()
        return self._known(table.sha256, encoding, lambda: self._measured(table, encoding))

    def exact_top1_pct(self, widths: Widths, encoding: OperandEncoding) -> float:
        """Top-1 in percent with exact products of some operand widths."""
        measure = partial(self._truth(encoding).measure, widths, self._sample)
        return self._known(
            f"{EXACT} {widths.a}x{widths.b}", encoding, lambda: {"top1_pct": measure().top1_pct}
        )

    def _known(
        self, item: str, encoding: OperandEncoding, measured: Callable[[], dict[str, Any]]
    ) -> float:
        with PointStore(self._store_path, self._context(encoding)) as store:
            known = store.get([item]).get(item, {}).get("top1_pct")
            if not isinstance(known, int | float) or not 0 <= known <= 100:
                found = measured()
                store.put(item, found)
                known = found["top1_pct"]
        return float(known)

    def _measured(self, table: ProductTable, encoding: OperandEncoding) -> dict[str, Any]:
        truth = self._truth(encoding)
        correction = truth.correction(table)
        found: dict[str, Any] = {
            "top1_pct": truth.measure(table, self._sample, correction=correction).top1_pct
        }
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
