"""What a Verilog text says where it says it: its words, told from strings and comments; and whether
it reaches beyond itself.

A lexer for the sake of good messages, not a guard: what it lets pass is still read by a Yosys that
is confined (`hdl.yosys.sandbox`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Token", "modules", "reaching_out", "tokens"]


class Token(NamedTuple):
    """A piece of a Verilog text. `kind` is one of comment, string, escaped (identifier), directive
    (a macro's use, too), paste, system (task or function), word, space, newline, other; `line`
    counts from 1."""

    kind: str
    text: str
    line: int


# A block comment or string that never closes is one to the end of the text, respectively of the
# line. Line ends inside a string are escaped, as the end of a directive's lines is.
_TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?)
    | (?P<string>"(?:[^"\\\n]++|\\(?s:.))*+"?)
    | (?P<newline>\n)
    | (?P<escaped>\\[^\s]++)
    | (?P<paste>``|`\\?")
    | (?P<directive>`[A-Za-z_]?[\w$]*+)
    | (?P<system>\$[A-Za-z_][\w$]*+)
    | (?P<word>[A-Za-z_][\w$]*+)
    | (?P<space>[^\S\n]++|\\(?=\r?\n))
    | (?P<other>(?s:.))
    """,
    re.VERBOSE | re.ASCII,
)
_FILES = {
    "$fopen", "$fopena", "$fopenr", "$fopenw", "$system", "$fread", "$fscanf", "$fgets",
    "$fdisplay", "$fwrite", "$dumpfile", "$readmemb", "$readmemh", "$sreadmemb", "$sreadmemh",
    "$writememb", "$writememh", "$sdf_annotate", "$value$plusargs",
}  # fmt: skip


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a text, one after the other, with nothing left out."""
    line = 1
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0], line)
        line += match[0].count("\n")


def modules(text: str) -> list[str]:
    """Names of the modules that the text declares."""
    words = [token.text for token in tokens(text) if token.kind in ("word", "escaped")]
    return [name for keyword, name in itertools.pairwise(words) if keyword == "module"]


def reaching_out(text: str) -> Token | None:
    """The first piece with which a text reads other files, calls foreign code, or might be making
    such a piece; None where there is none.

    Macros are not expanded. Their definitions are looked through like all else, and what could join
    their parts to a word is refused: pasting, and a macro's use directly behind a letter, a digit,
    another macro or a parenthesis.
    """
    macros = any(token.text == "`define" for token in tokens(text))
    nothing = Token("other", "", 0)
    significant = (
        token for token in tokens(text) if token.kind not in ("comment", "space", "newline")
    )
    for token, following in itertools.pairwise(itertools.chain(significant, [nothing])):
        if (
            token.text in ("`include", "`")
            or token.kind == "paste"
            or (token.kind == "system" and token.text.lower() in _FILES)
        ):
            return token
        # `import package::*;` is harmless; foreign functions have a string there. What comes behind
        # a macro's last word is anyone's guess.
        if (
            token.kind == "word"
            and token.text in ("import", "export")
            and (macros or following.kind == "string")
        ):
            return token
    for before, token in itertools.pairwise(tokens(text)):
        use = token.kind == "directive" and token.text not in _DIRECTIVES
        if use and (
            before.kind in ("word", "system", "directive")
            or before.text.isdecimal()
            or before.text == ")"
        ):
            return token
    return None


_DIRECTIVES = {
    f"`{name}"
    for name in (
        "define", "undef", "undefineall", "ifdef", "ifndef", "elsif", "else", "endif",
        "timescale", "default_nettype", "resetall", "celldefine", "endcelldefine", "line",
        "pragma", "begin_keywords", "end_keywords", "unconnected_drive", "nounconnected_drive",
    )
}  # fmt: skip
