"""A combinational module built of standard cells: instances in topological order, nets by
number.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import yosys
from ..cells.library import MAX_INPUTS, Cell, CellLibrary
from ..errors import InputError

__all__ = ["Gates", "MappedInstance", "MappedNetlist", "MappedNetlistError"]

ZERO, ONE = 0, 1
OPEN = -1


class MappedNetlistError(InputError):
    """A netlist that is not a combinational circuit of the library's cells: one line with the
    module, the culprit and the next step.
    """


@dataclass(frozen=True)
class MappedInstance:
    """One cell of the netlist: `inputs` and `outputs` are net numbers in the order of the cell's
    pins, OPEN for an output left open.
    """

    name: str
    cell: Cell
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Gates:
    """The netlist as arrays, one row for each driven cell output in topological order.

    `instance` and `pin` say which output it is; `output` is its net, `inputs` (gates, MAX_INPUTS)
    the nets of its cell's inputs padded with OPEN, `functions` the truth tables as uint64 (bit m:
    value where input i equals bit i of m).
    """

    instance: NDArray[np.int32]
    pin: NDArray[np.int32]
    output: NDArray[np.int32]
    inputs: NDArray[np.int32]
    functions: NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class MappedNetlist:
    """Instances in topological order. Nets are numbered from 0; nets 0 and 1 are the constants.

    `inputs` and `outputs` give the nets of each port from bit 0 up.
    """

    name: str
    library: CellLibrary
    net_names: tuple[str, ...]
    instances: tuple[MappedInstance, ...]
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    @property
    def area_um2(self) -> float:
        return sum(instance.cell.area_um2 for instance in self.instances)

    @property
    def input_nets(self) -> tuple[int, ...]:
        return tuple(net for nets in self.inputs.values() for net in nets)

    @property
    def output_nets(self) -> tuple[int, ...]:
        """The nets of all output bits, constants left out; a net that drives two bits comes
        twice.
        """
        return tuple(net for nets in self.outputs.values() for net in nets if net > ONE)

    @functools.cached_property
    def gates(self) -> Gates:
        rows = [
            (
                index,
                pin,
                net,
                instance.inputs + (OPEN,) * (MAX_INPUTS - len(instance.inputs)),
                instance.cell.outputs[pin].function,
            )
            for index, instance in enumerate(self.instances)
            for pin, net in enumerate(instance.outputs)
            if net != OPEN
        ]
        instance, pin, output, inputs, functions = (
            zip(*rows, strict=True) if rows else ((), (), (), (), ())
        )
        return Gates(
            np.array(instance, dtype=np.int32),
            np.array(pin, dtype=np.int32),
            np.array(output, dtype=np.int32),
            np.array(inputs, dtype=np.int32).reshape(-1, MAX_INPUTS),
            np.array(functions, dtype=np.uint64),
        )

    def loads_ff(self, output_load_ff: float) -> NDArray[np.float64]:
        """Capacitance on every net in fF: the nominal capacitances of the pins it drives, and
        `output_load_ff` for each output bit.
        """
        loads = np.zeros(len(self.net_names))
        for instance in self.instances:
            for net, pin in zip(instance.inputs, instance.cell.inputs, strict=True):
                loads[net] += pin.capacitance_ff
        for net in self.output_nets:
            loads[net] += output_load_ff
        return loads

    @staticmethod
    def from_json(text: str, library: CellLibrary, module: str) -> MappedNetlist:
        """Reads one flat module of a Yosys JSON netlist. Raises MappedNetlistError."""
        return _read(json.loads(text)["modules"][module], library, module)

    @staticmethod
    def from_verilog(text: str, library: CellLibrary, module: str) -> MappedNetlist:
        """Reads one flat structural Verilog module. Raises MappedNetlistError, and YosysError when
        Yosys cannot read the text.
        """
        commands = ["read_verilog -nodpi mapped.v", "write_json mapped.json"]
        outputs = yosys.run(
            commands,
            inputs={"mapped.v": text},
            outputs=["mapped.json"],
            subject=f"reading netlist {module}",
        )
        return MappedNetlist.from_json(outputs["mapped.json"], library, module)


def _read(module: dict[str, Any], library: CellLibrary, name: str) -> MappedNetlist:
    numbers: dict[int | str, int] = {"0": ZERO, "1": ONE, "x": ZERO}
    names = ["0", "1"]
    bit_names = _bit_names(module)

    def net(bit: int | str) -> int:
        if bit not in numbers:
            if isinstance(bit, str):
                raise MappedNetlistError(
                    f"{name}: a net is tied to {bit!r}; only 0 and 1 are possible, remove the "
                    "three-state logic"
                )
            numbers[bit] = len(names)
            names.append(bit_names.get(bit, f"net{bit}"))
        return numbers[bit]

    ports = {"input": {}, "output": {}}  # type: dict[str, dict[str, tuple[int, ...]]]
    for port, description in module["ports"].items():
        direction = description["direction"]
        if direction not in ports:
            raise MappedNetlistError(
                f"{name}: port {port} is {direction}; only inputs and outputs are possible"
            )
        ports[direction][port] = tuple(net(bit) for bit in description["bits"])

    instances = []
    for instance, description in module["cells"].items():
        cell = library.cells.get(description["type"])
        if cell is None:
            raise MappedNetlistError(
                f"{name}: cell {instance} is a {description['type']}, not a combinational cell of "
                f"{library.name}; map it to that library"
            )
        connections = description["connections"]
        missing = [pin.name for pin in cell.inputs if len(connections.get(pin.name, ())) != 1]
        if missing:
            raise MappedNetlistError(
                f"{name}: input {missing[0]} of cell {instance} is not connected; complete the "
                "netlist"
            )
        inputs = tuple(net(connections[pin.name][0]) for pin in cell.inputs)
        outputs = tuple(
            net(connections[pin.name][0]) if connections.get(pin.name) else OPEN
            for pin in cell.outputs
        )
        instances.append(MappedInstance(instance, cell, inputs, outputs))
    sources = {ZERO, ONE, *(bit for bits in ports["input"].values() for bit in bits)}
    ordered = _topological(name, instances, sources)
    driven = sources.union(*(instance.outputs for instance in ordered))
    undriven = next(
        (bit for bits in ports["output"].values() for bit in bits if bit not in driven), None
    )
    if undriven is not None:
        raise MappedNetlistError(
            f"{name}: output net {names[undriven]} has no driver; complete the netlist"
        )
    return MappedNetlist(name, library, tuple(names), ordered, ports["input"], ports["output"])


def _bit_names(module: dict[str, Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for port, description in module["ports"].items():
        bits = description["bits"]
        for index, bit in enumerate(bits):
            if isinstance(bit, int):
                names.setdefault(bit, f"{port}[{index}]" if len(bits) > 1 else port)
    for net, description in module["netnames"].items():
        bits = description["bits"]
        for index, bit in enumerate(bits):
            if isinstance(bit, int):
                names.setdefault(bit, f"{net}[{index}]" if len(bits) > 1 else net)
    return names


def _topological(
    name: str, instances: Sequence[MappedInstance], sources: set[int]
) -> tuple[MappedInstance, ...]:
    """Orders instances so that each comes after the drivers of its inputs."""
    drivers: dict[int, int] = {}
    for index, instance in enumerate(instances):
        for net in instance.outputs:
            if net != OPEN and (net in sources or drivers.setdefault(net, index) != index):
                raise MappedNetlistError(
                    f"{name}: cell {instance.name} drives a net that has another driver; correct "
                    "the netlist"
                )
    readers: dict[int, list[int]] = {}
    for index, instance in enumerate(instances):
        for net in set(instance.inputs) - sources:
            if net not in drivers:
                raise MappedNetlistError(
                    f"{name}: cell {instance.name} waits for a net without a driver; connect all "
                    "its inputs"
                )
            readers.setdefault(net, []).append(index)
    order = TopologicalSorter[int]()
    for index in range(len(instances)):
        order.add(index)
    # Net by net: cells that become ready together keep the order of the nets that they waited for.
    for index, instance in enumerate(instances):
        for net in instance.outputs:
            for reader in readers.get(net, ()):
                order.add(reader, index)
    try:
        return tuple(instances[index] for index in order.static_order())
    except CycleError as error:
        stuck = instances[error.args[1][0]].name
        raise MappedNetlistError(
            f"{name}: cell {stuck} lies on a loop; only combinational netlists are possible"
        ) from None
