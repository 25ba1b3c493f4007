"""Evaluations that are known already, whatever the design is called and whatever has been changed
that they do not depend on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from .store import PointStore
from .workbench import Evaluation, Workbench

__all__ = ["EvaluationStore"]


class EvaluationStore:
    """Evaluations of a workbench by the circuit that was evaluated, in a :class:`PointStore`.

    Which circuit a spec stands for is kept too, as long as the sources that make circuits of specs
    are the same: a warm search elaborates nothing. Raises (from every method) StoreError.
    """

    def __init__(self, path: Path, bench: Workbench) -> None:
        self.bench = bench
        self._results = PointStore(path, bench.context())
        self._circuits = PointStore(path, bench.circuit_context())
        # A new search need not find out the circuits of its designs: its workers do.
        self._worth_looking = len(self._results) > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for store in (self._results, self._circuits):
            store.__exit__()

    def get(self, designs: Iterable[str]) -> dict[str, Evaluation]:
        """Known evaluations among those of `designs`."""
        circuits = self._digests(list(designs))
        results = self._results.get(set(circuits.values()))
        found = {
            design: Evaluation.from_dict(results[digest])
            for design, digest in circuits.items()
            if digest in results
        }
        return {
            design: evaluation for design, evaluation in found.items() if evaluation is not None
        }

    def put(self, design: str, result: dict[str, Any]) -> None:
        """Keeps the fields of an evaluation at once: when this returns, they survive the
        process.
        """
        self._results.put(result["circuit"], result)
        self._keep_digest(design, result["circuit"])

    def _digests(self, designs: list[str]) -> dict[str, str]:
        if not self._worth_looking:
            return {}
        known = self._circuits.get(design for design in designs if not self._is_own(design))
        digests = {}
        for design in designs:
            if isinstance(digest := known.get(design, {}).get("circuit"), str):
                digests[design] = digest
            else:
                digests[design] = self.bench.circuit_digest(design)
                self._keep_digest(design, digests[design])
        return digests

    def _keep_digest(self, design: str, digest: str) -> None:
        if not self._is_own(design):
            self._circuits.put(design, {"circuit": digest})

    def _is_own(self, design: str) -> bool:
        """Whether it is an own design, whose name does not say for certain what its file holds."""
        multiplier, _ = self.bench.placed(design)
        return any(multiplier == own.name for own in self.bench.designs)
