"""Boolean functions of a few inputs as truth tables: bit m is the value where input i equals bit i
of m."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["depends_on", "factored", "full", "joined", "permuted", "restricted", "variable"]


def full(count: int) -> int:
    """The constant 1 over `count` inputs."""
    return (1 << (1 << count)) - 1


@lru_cache(maxsize=256)
def variable(index: int, count: int) -> int:
    """The function that is input `index`."""
    return sum(1 << m for m in range(1 << count) if m >> index & 1)


@lru_cache(maxsize=1 << 14)
def restricted(function: int, count: int, index: int, value: int) -> int:
    """The function of the other inputs where input `index` has a value."""
    low = (1 << index) - 1
    return sum(
        (function >> ((m & low) | value << index | (m & ~low) << 1) & 1) << m
        for m in range(1 << (count - 1))
    )


@lru_cache(maxsize=1 << 14)
def joined(low: int, high: int, count: int, index: int) -> int:
    """The function of `count` inputs that is `low` where input `index` is 0, and `high` where 1."""
    below = (1 << index) - 1
    return sum(
        ((high if m >> index & 1 else low) >> ((m & below) | m >> (index + 1) << index) & 1) << m
        for m in range(1 << count)
    )


def depends_on(function: int, count: int, index: int) -> bool:
    """Whether the function changes with input `index`."""
    return restricted(function, count, index, 0) != restricted(function, count, index, 1)


@lru_cache(maxsize=1 << 12)
def permuted(function: int, count: int, order: tuple[int, ...]) -> int:
    """The function with its inputs in another order: the new input k is the old input order[k]."""
    return sum(
        (function >> sum((m >> k & 1) << old for k, old in enumerate(order)) & 1) << m
        for m in range(1 << count)
    )


#: A step of a factored function: kind (`&`, `|`, `^`, with `~` where inverted; `~` alone) and
#: operands.
Step = tuple[str, tuple[int, ...]]


@lru_cache(maxsize=1 << 12)
def factored(function: int, count: int) -> tuple[tuple[Step, ...], int]:
    """The function as gates of two inputs: its steps, and the number of the value that it is.

    Values 0 to count-1 are the inputs, step k is value count+k. The function depends on all its
    inputs, of which there is at least one. Pairs of inputs that matter through one function of them
    alone are joined first; what has no such pair is expanded (Ashenhurst; Shannon).
    """
    steps: list[Step] = []
    result = _factored(function, list(range(count)), steps, itertools.count(count))
    return tuple(steps), result


def _factored(function: int, values: list[int], steps: list[Step], numbers: Iterator[int]) -> int:
    count = len(values)
    idle = next((i for i in range(count) if not depends_on(function, count, i)), None)
    if idle is not None:
        rest = values[:idle] + values[idle + 1 :]
        return _factored(restricted(function, count, idle, 0), rest, steps, numbers)

    def step(kind: str, *operands: int) -> int:
        steps.append((kind, operands))
        return next(numbers)

    if count == 1:
        return values[0] if function == 0b10 else step("~", values[0])
    if count == 2:
        kind, *inverted = _TWO_INPUTS[function]
        operands = (step("~", v) if i else v for v, i in zip(values, inverted, strict=True))
        return step(str(kind), *operands)
    for i, j in itertools.combinations(range(count), 2):
        # Cofactors by (input i, input j), input i being the low bit.
        parts = [
            restricted(restricted(function, count, j, of_j), count - 1, i, of_i)
            for of_j in (0, 1)
            for of_i in (0, 1)
        ]
        if len(set(parts)) == 2:
            high = parts[3]
            low = next(part for part in parts if part != high)
            pair = sum((part == high) << m for m, part in enumerate(parts))
            rest = [value for k, value in enumerate(values) if k not in (i, j)]
            rest.append(_factored(pair, [values[i], values[j]], steps, numbers))
            return _factored(joined(low, high, count - 1, count - 2), rest, steps, numbers)
    last, ones = count - 1, full(count - 1)
    low, high = (restricted(function, count, last, value) for value in (0, 1))
    if low in (0, ones):
        where = _factored(high, values[:last], steps, numbers)
        if low == 0:
            return step("&", where, values[last])
        return step("|", where, step("~", values[last]))
    if high in (0, ones):
        where = _factored(low, values[:last], steps, numbers)
        if high == ones:
            return step("|", where, values[last])
        return step("&", where, step("~", values[last]))
    one, other = (_factored(part, values[:last], steps, numbers) for part in (high, low))
    chosen = step("&", other, step("~", values[last]))
    return step("|", step("&", one, values[last]), chosen)


#: Function of two inputs -> kind of gate, and which of the inputs it takes inverted.
_TWO_INPUTS: dict[int, tuple[str, bool, bool]] = {
    0b1000: ("&", False, False),
    0b0111: ("~&", False, False),
    0b1110: ("|", False, False),
    0b0001: ("~|", False, False),
    0b0110: ("^", False, False),
    0b1001: ("~^", False, False),
    0b0010: ("&", False, True),
    0b1101: ("~&", False, True),
    0b0100: ("&", True, False),
    0b1011: ("~&", True, False),
}
