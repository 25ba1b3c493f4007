"""From a spec to a design point: RTL, gates, product table, error metrics, AME, area, delay and
energy.

The expensive part, :class:`Evaluation`, does not depend on the baseline or on the predictor and is
what the store keeps; :func:`dse.evaluation.design_point` makes the point from it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hdl.circuits
import hdl.multipliers
import hdl.operands
from cnn_eval import zoo
from cnn_eval.prediction import (
    FEATURES_VERSION,
    AccuracyPredictor,
    NetworkProfile,
    ame,
    dot_products,
    features,
)
from hdl import yosys
from hdl.cells import CellLibrary
from hdl.cost import COST_VERSION, SynthesisReport, synthesize
from hdl.files import Count, Figure, FileError, Name, Percent, Size, convert
from hdl.multipliers import Multiplier, named_multiplier, sign_logic_rtlil
from hdl.operands import OperandDistribution, OperandEncoding, Widths
from hdl.tables import METRICS_VERSION, ProductTable, error_metrics

from .element_costs import Cost, array_cost, element_cost, element_products, element_sources
from .point import placed

__all__ = ["Evaluation", "Predictors", "Reading", "Workbench"]

#: Network -> number format -> its predictor.
Predictors = Mapping[str, Mapping[str, AccuracyPredictor]]


@dataclass(frozen=True)
class Reading:
    """What a network makes of a multiplier.

    Attributes:
        features: what the accuracy predictor reads (:func:`cnn_eval.prediction.features`).
        exact_top1_pct: of the network with exact products of these operand widths.
    """

    features: tuple[Figure, ...]
    exact_top1_pct: Percent


@dataclass(frozen=True)
class Evaluation:
    """What is known of a multiplier before it is compared: units as in
    :class:`dse.evaluation.DesignPoint`.

    Attributes:
        circuit: hash of what was evaluated (:meth:`Workbench.circuit_digest`).
        encoding: the number format that all of it is under.
        width_a, width_b: bits of its operands.
        ame: architectural mean error in the first network.
        readings: of each network, by its name.
        sum_bits: of the element's sum; 0 for a multiplier by itself.
        array_area_um2, image_energy_nj, image_latency_us, utilization_pct: at the level of the
            array, else None.
    """

    circuit: str
    encoding: Name
    width_a: Count
    width_b: Count
    area_um2: Size
    delay_ps: Size
    energy_fj: Size
    leakage_nw: Size
    effort: Name
    er_pct: Percent
    me: Figure
    med: Size
    nmed_pct: Size
    mred_pct: Size
    wce: Count
    ame: Size
    readings: dict[Name, Reading]
    sum_bits: Count = 0
    array_area_um2: Size | None = None
    image_energy_nj: Size | None = None
    image_latency_us: Size | None = None
    utilization_pct: Percent | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation | None:
        """Inverse of `asdict`, or None where the values are not an evaluation's (a damaged
        store).
        """
        try:
            # Results from before there were elements and arrays say nothing of these.
            return convert({**_WITHOUT_ARRAY, **values}, cls, "a result")
        except FileError:
            return None


_WITHOUT_ARRAY = {
    "sum_bits": 0,
    "array_area_um2": None,
    "image_energy_nj": None,
    "image_latency_us": None,
    "utilization_pct": None,
}


@dataclass(frozen=True)
class Workbench:
    """Everything an evaluation depends on beside the spec. Small and picklable: worker processes
    get it and load the rest themselves.

    Attributes:
        networks: that designs are for. Operands, and so energies, are those of the first.
        encodings: the number formats that designs are of. With several, a sign-magnitude multiplier
            is synthesized with its sign logic around it, from sign and magnitude to a two's
            complement product: what a signed one does by itself.
        liberty: the user's cell library; None for the one that ships.
        zoo_folder: where the networks' profiles are looked for first; None for the shipped zoo
            alone.
        corrected: whether networks are corrected for every multiplier
            (:mod:`cnn_eval.quantization.correction`).
        effort, delay_target_ps: of synthesis, as :func:`hdl.cost.synthesize` takes them.
        seed: of the operand samples that energy is estimated from.
        designs: that may be asked for by name: own Verilog, netlists that a search made.
        yosys_cache: file that keeps what Yosys made (:func:`hdl.yosys.keep_results`); no result
            depends on it.
        level: what is evaluated, of :data:`dse.evaluation.point.LEVELS`: a multiplier by itself,
            asked for by its name, or in an element (:func:`dse.evaluation.point.placed_name`), by
            itself or in an array.
        array, memory_pj_per_byte: rows and columns of that array, and the energy of a byte that it
            reads or writes; 0: not counted.
    """

    networks: tuple[str, ...]
    encodings: tuple[OperandEncoding, ...]
    liberty: Path | None = None
    zoo_folder: Path | None = None
    corrected: bool = True
    effort: str = "fast"
    delay_target_ps: float | None = None
    seed: int = 0
    designs: tuple[Multiplier, ...] = ()
    yosys_cache: Path | None = None
    level: str = "multiplier"
    array: str = ""
    memory_pj_per_byte: float = 0.0

    def with_designs(self, designs: Iterable[Multiplier]) -> Workbench:
        """The workbench that knows further designs by their names."""
        return replace(self, designs=(*self.designs, *designs))

    def evaluator(self) -> Callable[[str], dict[str, Any]]:
        """A function from a design's name to the fields of its :class:`Evaluation`; loads library
        and profiles once.
        """
        yosys.keep_results(self.yosys_cache)
        return partial(_evaluate, self, CellLibrary.load(self.liberty), functools.cache(self._read))

    def files(self) -> dict[str, Path]:
        """The profiles, wherever they are found, and the user's cell library. Raises
        cnn_eval.zoo.ZooError.
        """
        library = {} if self.liberty is None else {self.liberty.name: self.liberty}
        return library | {f"zoo/{path.name}": path for path in self.profile_paths()}

    def moved(self, folder: Path, kept: Path) -> Workbench:
        """The same with its files in `folder`, and Yosys' results in the folder `kept`."""
        return replace(
            self,
            liberty=None if self.liberty is None else folder / self.liberty.name,
            zoo_folder=folder / "zoo",
            yosys_cache=None if self.yosys_cache is None else kept / self.yosys_cache.name,
        )

    def widths(self, encoding: OperandEncoding) -> list[Widths]:
        """Operand widths that all networks can be asked about, the widest first. Raises
        cnn_eval.zoo.ZooError where there are none.
        """
        of_each = [
            zoo.profile_widths(network, encoding, corrected=self.corrected, folder=self.zoo_folder)
            for network in self.networks
        ]
        return [widths for widths in of_each[0] if all(widths in other for other in of_each)]

    def profile(self, encoding: OperandEncoding, widths: Widths) -> NetworkProfile:
        """The first network as multipliers of these operand widths see it. Raises
        cnn_eval.zoo.ZooError where there is none.
        """
        return self._profile(self.networks[0], encoding, widths)

    def profiles(self, encoding: OperandEncoding, widths: Widths) -> dict[str, NetworkProfile]:
        """The same of every network, by its name."""
        return {network: self._profile(network, encoding, widths) for network in self.networks}

    def profile_paths(self) -> list[Path]:
        """Files of all profiles that evaluations may read: of every network, number format and
        operand widths. Raises cnn_eval.zoo.ZooError.
        """
        return [
            zoo.profile_path(
                network, encoding, widths, corrected=self.corrected, folder=self.zoo_folder
            )
            for network in self.networks
            for encoding in self.encodings
            for widths in self.widths(encoding)
        ]

    def _profile(self, network: str, encoding: OperandEncoding, widths: Widths) -> NetworkProfile:
        return zoo.load_profile(
            network, encoding, widths, corrected=self.corrected, folder=self.zoo_folder
        )

    def _read(
        self, encoding: OperandEncoding, widths: Widths
    ) -> tuple[dict[str, NetworkProfile], OperandDistribution]:
        profiles = self.profiles(encoding, widths)
        return profiles, self.operands(profiles[self.networks[0]])

    def operands(self, profile: NetworkProfile) -> OperandDistribution:
        """Operand codes of what is synthesized, layer by layer."""
        return profile.operand_distribution() if self.bare else dot_products(profile).operands

    @property
    def bare(self) -> bool:
        """Whether multipliers are synthesized by themselves, without sign logic."""
        return len(self.encodings) == 1

    def placed(self, text: str) -> tuple[str, str]:
        """The multiplier and the form of the element in a design's name; "" without an element."""
        return (text, "") if self.level == "multiplier" else placed(text)

    def multiplier(self, text: str) -> Multiplier:
        """The multiplier of a design: by a spec's text, or an own one's name."""
        return named_multiplier(self.placed(text)[0], self.designs)

    def encoding_of(self, multiplier: Multiplier) -> OperandEncoding:
        """The number format of a design, by its signedness where there are several."""
        return (
            self.encodings[0]
            if self.bare
            else OperandEncoding.fitting(signed=multiplier.signed, among=self.encodings)
        )

    def circuits(self, multiplier: Multiplier) -> tuple[str, str]:
        """RTLIL of a design: the multiplier, and what is synthesized of it, which may have sign
        logic around.
        """
        circuit = multiplier.rtlil()
        alone = self.bare or multiplier.signed or self.level != "multiplier"
        return circuit, circuit if alone else sign_logic_rtlil(multiplier)

    def circuit_digest(self, text: str) -> str:
        """Hash of a design's circuits and number format: designs that have it in common come to the
        same figures.
        """
        multiplier, (_, form) = self.multiplier(text), self.placed(text)
        return _design_digest(self.encoding_of(multiplier), self.circuits(multiplier), form)

    def context(self) -> str:
        """Hash of all that figures depend on beside the circuit: computations, tools, cell library,
        profiles, options of synthesis.
        """
        profiles = [path.read_bytes() for path in self.profile_paths()]
        return _digest(
            f"cost {COST_VERSION}, error metrics {METRICS_VERSION}, features {FEATURES_VERSION}",
            f"yosys {yosys.version()}, numpy {version('numpy')}",
            f"cell library {CellLibrary.load(self.liberty).sha256}",
            (
                f"effort {self.effort}, delay target {self.delay_target_ps}, seed {self.seed}, "
                f"bare {self.bare}"
            ),
            *(hashlib.sha256(profile).hexdigest() for profile in profiles),
            # What is around a multiplier is not part of its circuit.
            *([] if self.level == "multiplier" else [self.circuit_context(), *element_sources()]),
            *([f"{self.array}, memory {self.memory_pj_per_byte}"] if self.array else []),
        )

    def circuit_context(self) -> str:
        """Hash of all that circuits depend on beside the spec: the sources that turn specs into
        RTLIL, byte by byte.
        """
        folders = [
            Path(folder) for room in (hdl.circuits, hdl.multipliers) for folder in room.__path__
        ]
        modules = [
            Path(hdl.operands.__file__),
            *(source for folder in folders for source in sorted(folder.rglob("*.py"))),
        ]
        sources = (module.read_text() for module in modules)
        return _digest(
            f"circuits, bare {self.bare}",
            f"amaranth {version('amaranth')}",
            *map(str, self.encodings),
            *sources,
        )


def _design_digest(encoding: OperandEncoding, circuits: tuple[str, str], form: str) -> str:
    return _digest(str(encoding), *circuits, *([form] if form else []))


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _evaluate(
    bench: Workbench,
    library: CellLibrary,
    read: Callable[
        [OperandEncoding, Widths], tuple[dict[str, NetworkProfile], OperandDistribution]
    ],
    text: str,
) -> dict[str, Any]:
    multiplier = bench.multiplier(text)
    encoding = bench.encoding_of(multiplier)
    circuit, synthesized = bench.circuits(multiplier)
    table = ProductTable.of_rtlil(circuit, signed=encoding.signed, name=text)
    profiles, operands = read(encoding, table.widths)
    _, form = bench.placed(text)
    if form:
        table = element_products(form, table)
        place = element_cost
        if bench.array:
            place = partial(
                array_cost, sides=bench.array, memory_pj_per_byte=bench.memory_pj_per_byte
            )
        cost: Cost | SynthesisReport = place(
            form,
            multiplier,
            encoding,
            list(profiles.values()),
            library,
            bench.effort,
            bench.seed,
        )
    else:
        cost = synthesize(
            synthesized,
            library,
            operands,
            effort=bench.effort,
            delay_target_ps=bench.delay_target_ps,
            seed=bench.seed,
            subject=text,
        )
    metrics = error_metrics(table)
    return asdict(
        Evaluation(
            circuit=_design_digest(encoding, (circuit, synthesized), form),
            encoding=str(encoding),
            width_a=table.width_a,
            width_b=table.width_b,
            area_um2=cost.area_um2,
            delay_ps=cost.delay_ps,
            energy_fj=cost.energy_fj,
            leakage_nw=cost.leakage_nw,
            effort=bench.effort,
            er_pct=metrics.er_pct,
            me=metrics.me,
            med=metrics.med,
            nmed_pct=metrics.nmed_pct,
            mred_pct=metrics.mred_pct,
            wce=metrics.wce,
            ame=ame(profiles[bench.networks[0]], table.errors),
            readings={
                network: Reading(
                    tuple(float(value) for value in features(profile, table.errors)),
                    profile.exact_top1_pct,
                )
                for network, profile in profiles.items()
            },
            **(
                {name: getattr(cost, name) for name in _WITHOUT_ARRAY}
                if isinstance(cost, Cost)
                else {}
            ),
        )
    )
