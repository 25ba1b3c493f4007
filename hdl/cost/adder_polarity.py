"""The polarity of every adder in a netlist: opposite ones along carries save the inverters that
carry cells with inverted outputs would need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = [
    "Adder",
    "AdderNetlist",
    "Literal",
    "carry_polarity",
    "choose_polarities",
    "given_polarities",
    "sum_polarity",
]

Literal = tuple[int, bool]
"""A net and whether its complement is meant."""

_INVERTER_COST = 3
_AND_COST = 1  # a partial product wanted true needs an AND where a NAND would do


@dataclass
class Adder:
    """Adds two or three literals; `sum` and `carry` are the literals that hold the results (None:
    not wanted).

    `inverted` is the polarity in which its operands are taken.
    """

    operands: tuple[Literal, ...]
    sum: Literal | None
    carry: Literal | None
    inverted: bool = False


@dataclass
class AdderNetlist:
    """Gates and adders. `inverting` says whether carries come out opposite to the polarity of the
    operands, and sums in any.
    """

    inverting: bool
    ports: Mapping[str, tuple[str, list[int | str]]]
    gates: list[tuple[str, dict[str, int | str], int]]
    adders: list[Adder]
    readers: dict[int, list[tuple[int, bool]]] = field(
        default_factory=dict
    )  # net -> (adder, complement read)
    outputs: set[int] = field(default_factory=set)
    carry_of: dict[int, int] = field(default_factory=dict)
    sum_of: dict[int, int] = field(default_factory=dict)


def _needs(netlist: AdderNetlist, net: int) -> set[bool]:
    """The polarities in which adders and output ports want a net: False for true, True for
    inverted.
    """
    wanted = {
        complement != netlist.adders[index].inverted
        for index, complement in netlist.readers.get(net, ())
    }
    return wanted | ({False} if net in netlist.outputs else set())


def _cost(netlist: AdderNetlist, net: int) -> int:
    wanted = _needs(netlist, net)
    if net in netlist.carry_of:
        return _INVERTER_COST * len(wanted - {carry_polarity(netlist, net)})
    if net in netlist.sum_of:
        return _INVERTER_COST * (len(wanted) == 2)
    return _INVERTER_COST * (len(wanted) == 2) + _AND_COST * (wanted == {False})


def carry_polarity(netlist: AdderNetlist, net: int) -> bool:
    """Whether the carry cell yields the complement of this net."""
    adder = netlist.adders[netlist.carry_of[net]]
    assert adder.carry is not None
    return (adder.inverted != netlist.inverting) != adder.carry[1]


def sum_polarity(netlist: AdderNetlist, net: int) -> bool:
    """Whether the sum's cell yields the complement of this net: as its readers want it, where there
    is a choice.
    """
    adder = netlist.adders[netlist.sum_of[net]]
    assert adder.sum is not None
    return _needs(netlist, net) == {True} if netlist.inverting else adder.sum[1]


def choose_polarities(netlist: AdderNetlist) -> None:
    """Opposite polarities along carries where possible, then flips of whole groups and of single
    adders while they save inverters.
    """
    groups: list[list[int]] = []
    seen: set[int] = set()
    neighbours: dict[int, list[tuple[int, bool]]] = {
        index: [] for index in range(len(netlist.adders))
    }
    for net, source in netlist.carry_of.items():
        for reader, complement in netlist.readers.get(net, ()):
            adder = netlist.adders[source]
            assert adder.carry is not None
            # The reader takes the net as (complement != its polarity), the cell gives it as (not
            # source's polarity) != complement of carry.
            differs = complement == adder.carry[1]
            neighbours[source].append((reader, differs))
            neighbours[reader].append((source, differs))
    for start in range(len(netlist.adders)):
        if start in seen:
            continue
        seen.add(start)
        group = [start]
        for index in group:
            for other, differs in neighbours[index]:
                if other not in seen:
                    seen.add(other)
                    netlist.adders[other].inverted = netlist.adders[index].inverted != differs
                    group.append(other)
        groups.append(group)
    for _ in range(4):
        flips = [
            _flip_if_cheaper(netlist, group)
            for group in (*groups, *([index] for index in range(len(netlist.adders))))
        ]
        if not any(flips):
            break


def _flip_if_cheaper(netlist: AdderNetlist, group: Iterable[int]) -> bool:
    adders = [netlist.adders[index] for index in group]
    nets = {net for adder in adders for net, _ in adder.operands} | {
        adder.carry[0] for adder in adders if adder.carry is not None
    }
    before = sum(_cost(netlist, net) for net in nets)
    for adder in adders:
        adder.inverted = not adder.inverted
    if sum(_cost(netlist, net) for net in nets) < before:
        return True
    for adder in adders:
        adder.inverted = not adder.inverted
    return False


def given_polarities(netlist: AdderNetlist) -> dict[int, bool]:
    """For every sum and carry, whether its cell yields the complement."""
    carries = {net: carry_polarity(netlist, net) for net in netlist.carry_of}
    return carries | {net: sum_polarity(netlist, net) for net in netlist.sum_of}
