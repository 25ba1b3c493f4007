"""Ground truth for a search: designs emulated in its network image by image, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_eval import zoo
from hdl.multipliers import ImportedDesign, named_multiplier
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

from ..evaluation.store import PointStore

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset
    from cnn_eval.networks import TrainedNetwork
    from cnn_eval.quantization import QuantizedNetwork

__all__ = ["EXACT", "Emulator"]

#: Name of exact products among what an :class:`Emulator` measures.
EXACT = "exact products"


class Emulator:
    """Measures top-1 over the images of `sample`. Results are kept in the point store: what was measured once is not measured again.

    Args:
        network: quantized as its profile in `zoo_folder` or in the zoo that ships says.
        imported: own designs that may be asked for by name.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        sample: Dataset,
        store_path: Path,
        *,
        zoo_folder: Path | None = None,
        imported: Sequence[ImportedDesign] = (),
    ) -> None:
        self.images = len(sample)
        self._network, self._sample, self._store_path = network, sample, store_path
        self._zoo_folder, self._imported = zoo_folder, imported
        self._quantized: dict[OperandEncoding, QuantizedNetwork] = {}
        self._digest = sample.sha256()

    def top1_pct(self, design: str, encoding: OperandEncoding) -> float:
        """Top-1 in percent with a design in the number format `encoding`, or with :data:`EXACT`."""
        table = None
        if design != EXACT:
            table = named_multiplier(design, self._imported).table()
        item = EXACT if table is None else table.sha256
        with PointStore(self._store_path, self._context(encoding)) as store:
            known = store.get([item]).get(item, {}).get("top1_pct")
            if not isinstance(known, int | float) or not 0 <= known <= 100:
                known = self._measure(table, encoding)
                store.put(item, {"top1_pct": known})
        return float(known)

    def _measure(self, table: ProductTable | None, encoding: OperandEncoding) -> float:
        from cnn_eval.emulation import measure_top1
        from cnn_eval.quantization import quantize_as

        if encoding not in self._quantized:
            profile = zoo.load_profile(self._network.name, encoding, folder=self._zoo_folder)
            self._quantized[encoding] = quantize_as(self._network.model, profile)
        return measure_top1(self._quantized[encoding], table, self._sample).top1_pct

    def _context(self, encoding: OperandEncoding) -> str:
        """Hash of everything an emulated accuracy depends on beside the product table: network, quantization, images, the computation."""
        from cnn_eval.emulation import EMULATION_VERSION

        digest = hashlib.sha256(f"emulation {EMULATION_VERSION}, torch {version('torch')}".encode())
        digest.update(self._network.sha256().encode())
        digest.update(zoo.profile_path(self._network.name, encoding, folder=self._zoo_folder).read_bytes())
        digest.update(self._digest.encode())
        return digest.hexdigest()
