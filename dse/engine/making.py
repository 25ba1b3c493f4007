"""Multipliers made for the network while a search runs: rounds of walks by worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hdl.files import encode_json
from hdl.multipliers import NetlistDesign

from ..evaluation.executor import Executor
from ..evaluation.point import DesignPoint
from ..evaluation.store import PointStore
from ..evaluation.workers import Failure
from ..ground_truth.recalibration import ROUNDS
from ..search.space import DesignSpace
from ..search.synthesis.rounds import (
    WALK_VERSION,
    MadeDesigns,
    WalkRequest,
    done_walks,
    planned_walks,
    worth_evaluating,
)
from .ledger import Ledger, Progress
from .request import Search

__all__ = ["Maker"]


class Maker:
    """Makes designs for the network of a search, and has the best of them evaluated.

    Walks are kept in the point store by what they depend on: a search that goes on does none again.

    Attributes:
        designs: the netlists that were made and evaluated; lists of terms are specs, and known
            without it.
        candidates: changes of circuits that walks have judged.
        failures: of walks: where one began -> one-line reason.
    """

    def __init__(
        self,
        ledger: Ledger,
        store_path: Path,
        *,
        executor: Executor,
        search: Search,
        space: DesignSpace,
    ) -> None:
        self.designs: list[NetlistDesign] = []
        self.candidates = 0
        self.failures: dict[str, str] = {}
        self._space = space
        self._ledger, self._store_path = ledger, store_path
        self._executor, self._search = executor, search

    def make(self, number: int, room: int) -> None:
        """Does the walks of round `number`, from 0, and evaluates up to `room` new designs."""
        search, ledger = self._search, self._ledger
        rounds = ROUNDS - 1
        count = search.walks * (number + 1) // rounds - search.walks * number // rounds
        requests = planned_walks(
            self._searched(ledger.points.values()),
            self._searched(ledger.front().points),
            count,
            number=number,
            max_drop_pp=search.max_drop_pp,
            seed=search.seed,
            cautious=not search.recalibrate,
        )
        walks = self._walked(requests)
        self.candidates += sum(walk.candidates for walk in walks)
        fresh = worth_evaluating(walks, ledger.done, room)
        netlists = [design for design in fresh if isinstance(design, NetlistDesign)]
        if netlists:
            self.designs += netlists
            ledger.introduce(netlists)
        ledger.evaluate([design.name for design in fresh])

    def _searched(self, points: Iterable[DesignPoint]) -> list[DesignPoint]:
        """Those of operands that are searched: exact multipliers of the widest need not be."""
        return [point for point in points if self._space.holds(point.encoding, point.widths)]

    def _walked(self, requests: Sequence[WalkRequest]) -> list[MadeDesigns]:
        """What comes of the walks, in the order of the requests."""
        ledger = self._ledger
        front = ledger.front()
        state = Progress(len(ledger.done), len(front.points), front.hypervolume())
        found: dict[str, MadeDesigns] = {}

        def tell() -> None:
            ledger.on_progress(replace(state, walks=(len(found), len(requests))))

        with PointStore(self._store_path, self._context()) as store:
            items = {request.text: self._item(request) for request in requests}
            known = store.get(set(items.values()))
            for text, item in items.items():
                if item in known and (made := MadeDesigns.from_dict(known[item])) is not None:
                    found[text] = made
            tell()
            # Walks from large circuits take long: a late one would leave the other workers idle.
            start_of = {request.text: request.start for request in requests}
            missing = sorted(
                (text for text in items if text not in found),
                key=lambda text: -ledger.points[start_of[text]].area_um2,
            )
            for text, result in done_walks(
                missing, ledger.bench, ledger.predictors, executor=self._executor
            ):
                if isinstance(result, Failure):
                    self.failures[f"walk {items[text]}"] = result.reason
                    continue
                store.put(items[text], result)
                made = MadeDesigns.from_dict(result)
                assert made is not None
                found[text] = made
                tell()
        return [found[request.text] for request in requests if request.text in found]

    def _item(self, request: WalkRequest) -> str:
        """What a walk is kept by: the circuit it starts from, not its name."""
        digest = self._ledger.bench.circuit_digest(request.start)
        careful = " cautious" if request.cautious else ""
        over = "terms" if request.terms else "gates"
        return f"{digest} {request.seed} {request.max_drop_pp:g} {over}{careful}"

    def _context(self) -> str:
        """Hash of all that walks depend on beside their requests."""
        digest = hashlib.sha256(f"walks {WALK_VERSION} {self._ledger.bench.context()}".encode())
        for network, predictors in sorted(self._ledger.predictors.items()):
            for encoding, predictor in sorted(predictors.items()):
                digest.update(f"{network} {encoding}".encode() + encode_json(predictor))
        return digest.hexdigest()
