"""Reader of the Liberty syntax: groups, attributes and Boolean expressions, without any meaning
given to them.

A Liberty file comes from the user and is not trusted: its size, its nesting and its expressions are
limited, nothing is evaluated, and every fault is one `LibertyError` that names the file, the line,
the limit and the next step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingError
from ..files import FileError, MissingFileError, read_bytes, unzip

__all__ = [
    "Group",
    "LibertyError",
    "LibertyMissingError",
    "numbers",
    "parse",
    "read_text",
    "truth_table",
]

MAX_BYTES = 128 << 20
MAX_GROUPS = 500_000
MAX_DEPTH = 32
MAX_EXPRESSION = 4096
MAX_VARIABLES = 12


class LibertyError(InputError):
    """A Liberty file that cannot be used: one line with the file, the place, the limit and the next
    step.
    """


class LibertyMissingError(LibertyError, MissingError):
    """A Liberty file that is absent or cannot be read."""


@dataclass(slots=True)
class Group:
    """One `name (arguments) { ... }` of a Liberty file.

    `attributes` holds the simple attributes without quotes and the complex ones as the raw text
    between their parentheses; of an attribute given twice the last one counts, as in the Liberty
    reference manual. `line` is where the group opens, from 1.
    """

    name: str
    arguments: tuple[str, ...]
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def named(self, name: str) -> list[Group]:
        """The direct sub-groups called `name`, in file order."""
        return [group for group in self.groups if group.name == name]


# A statement is a name with a value, or a name with an argument list and perhaps a body. Possessive
# quantifiers keep hostile text linear.
_TOKEN = re.compile(
    r"""
      (?P<blank>(?:\s++|/\*(?s:.*?)\*/|//[^\n]*+|;|\\\r?\n)++)
    | (?P<close>\})
    | (?P<name>[A-Za-z_][\w.\[\]]*+)\s*+
      (?: :\s*+(?P<value>"[^"]*+"|[^;{}\n"]*+)
        | \(\s*+(?P<arguments>(?:[^()"]++|"[^"]*+")*+)\)\s*+(?P<open>\{)?
      )
    """,
    re.VERBOSE,
)


def read_text(path: Path) -> str:
    """The text of a Liberty file, gunzipped where its first bytes say so.

    Raises LibertyError when the file cannot be read or holds more than `MAX_BYTES`.
    """
    try:
        data = unzip(read_bytes(path, limit_bytes=MAX_BYTES), path, limit_bytes=MAX_BYTES)
    except MissingFileError as error:
        raise LibertyMissingError(f"the cell library {error}") from error
    except FileError as error:
        raise LibertyError(f"the cell library {error}") from error
    return data.decode("utf-8", errors="replace")


def parse(text: str, source: str) -> Group:
    """The `library` group of a Liberty text; `source` names it in errors. Raises LibertyError."""
    root = Group("", (), 0)
    stack = [root]
    line, counted, opened = 1, 0, 0
    position, end = 0, len(text)
    match_at = _TOKEN.match
    while position < end:
        token = match_at(text, position)
        if token is None:
            line += text.count("\n", counted, position)
            excerpt = text[position : position + 30].split("\n")[0]
            raise LibertyError(
                f"{source}:{line}: not Liberty syntax at {excerpt!r}; give a Liberty (.lib) file"
            )
        kind = token.lastgroup
        position = token.end()
        if kind == "blank":
            continue
        if kind == "close":
            if len(stack) == 1:
                line += text.count("\n", counted, position)
                raise LibertyError(
                    f"{source}:{line}: a closing brace without an open group; the file may be "
                    "damaged: fetch it again"
                )
            stack.pop()
            if len(stack) == 1:
                break
        elif kind == "value":
            stack[-1].attributes[token["name"]] = token["value"].strip().strip('"')
        elif kind == "open":
            line += text.count("\n", counted, position)
            counted = position
            if len(stack) > MAX_DEPTH:
                raise LibertyError(
                    f"{source}:{line}: groups nested deeper than {MAX_DEPTH}; give a Liberty "
                    "(.lib) file"
                )
            opened += 1
            if opened > MAX_GROUPS:
                raise LibertyError(
                    f"{source}:{line}: more than {MAX_GROUPS:,} groups; give the library of one "
                    "corner alone"
                )
            arguments = tuple(
                argument.strip().strip('"') for argument in token["arguments"].split(",")
            )
            group = Group(token["name"], arguments, line)
            stack[-1].groups.append(group)
            stack.append(group)
        else:
            stack[-1].attributes[token["name"]] = token["arguments"]
    if len(stack) > 1:
        raise LibertyError(
            f"{source}:{stack[-1].line}: group {stack[-1].name!r} never closes; the file may be "
            "cut short: fetch it again"
        )
    libraries = root.named("library")
    if not libraries:
        raise LibertyError(
            f"{source}: no `library` group, so this is not a Liberty file; give a .lib or .lib.gz "
            "of a cell library"
        )
    return libraries[0]


_NUMBER_SEPARATORS = str.maketrans('",\\\n\r\t', "      ")


def numbers(text: str) -> NDArray[np.float64]:
    """The numbers of an `index_1`, `index_2` or `values` attribute, flat. Raises ValueError on
    anything but finite numbers.
    """
    values = np.array(text.translate(_NUMBER_SEPARATORS).split(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values


_EXPRESSION_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w.\[\]]*|[01](?![\w.]))|([!'()&*+|^]))")
_PRECEDENCE = {"|": 1, "+": 1, "&": 2, "*": 2, "^": 3}


def truth_table(expression: str, variables: tuple[str, ...]) -> int:
    """Truth table of a Liberty Boolean expression as an integer.

    Bit `m` is the value where variable `i` equals bit `i` of `m`. Operators, loosest first: `+ |`,
    `* &` and juxtaposition, `^`, prefix `!`, postfix `'` (Liberty reference manual, "function"
    attribute). Raises ValueError for anything else.
    """
    if len(variables) > MAX_VARIABLES:
        raise ValueError(f"an expression over {len(variables)} pins, more than {MAX_VARIABLES}")
    if len(expression) > MAX_EXPRESSION:
        raise ValueError(
            f"an expression of {len(expression)} characters, more than {MAX_EXPRESSION}"
        )
    size = 1 << len(variables)
    ones = (1 << size) - 1
    minterms = range(size)
    values = {name: sum(1 << m for m in minterms if m >> i & 1) for i, name in enumerate(variables)}
    values |= {"0": 0, "1": ones}
    operands: list[int] = []
    operators: list[str] = []

    def reduce() -> None:
        operator = operators.pop()
        if operator == "(":
            raise ValueError(f"an open parenthesis in {expression!r}")
        right = operands.pop()
        if operator == "!":
            operands.append(right ^ ones)
            return
        left = operands.pop()
        operands.append(
            left & right if operator in "&*" else left ^ right if operator == "^" else left | right
        )

    def push_operator(operator: str) -> None:
        while (
            operators
            and operators[-1] != "("
            and (operators[-1] == "!" or _PRECEDENCE[operators[-1]] >= _PRECEDENCE[operator])
        ):
            reduce()
        operators.append(operator)

    position, after_operand = 0, False
    stripped = expression.rstrip()
    while position < len(stripped):
        token = _EXPRESSION_TOKEN.match(stripped, position)
        if token is None:
            raise ValueError(f"unreadable Boolean expression {expression!r}")
        position = token.end()
        name, symbol = token.groups()
        if after_operand and (name or symbol in ("!", "(")):
            push_operator("&")
            after_operand = False
        if name:
            if name not in values:
                raise ValueError(
                    f"{name!r} in {expression!r} is not one of the pins {', '.join(variables)}"
                )
            operands.append(values[name])
            after_operand = True
        elif symbol in ("!", "("):
            operators.append(symbol)
        elif not after_operand:
            raise ValueError(f"an operand is missing in {expression!r}")
        elif symbol == "'":
            operands[-1] ^= ones
        elif symbol == ")":
            while operators and operators[-1] != "(":
                reduce()
            if not operators:
                raise ValueError(f"a closing parenthesis too many in {expression!r}")
            operators.pop()
        else:
            push_operator(symbol)
            after_operand = False
    if not after_operand:
        raise ValueError(f"an operand is missing in {expression!r}")
    while operators:
        reduce()
    return operands[0]
