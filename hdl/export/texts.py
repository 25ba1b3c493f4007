"""Texts that are written for other tools: one line of ASCII, comments, and files."""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from .. import yosys
from ..errors import MissingError
from ..files import MissingFileError, write_whole

__all__ = ["ExportError", "comment", "one_line", "write_texts", "written_by"]


class ExportError(MissingError):
    """A place that cannot be written: one line with the path and the reason."""


def one_line(text: str) -> str:
    """One line of ASCII: comments of a file that any tool reads, which nothing can end early, nor
    take to the next line.
    """
    letters = unicodedata.normalize("NFKD", text.replace("\N{MULTIPLICATION SIGN}", "x"))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(letters.replace("\\", "/").encode("ascii", "replace").decode().split())


def comment(*lines: str, mark: str = "//") -> str:
    """A comment of these lines, in ASCII, each behind the language's `mark`."""
    return "\n".join(f"{mark} {one_line(line)}".rstrip() for line in lines)


def written_by() -> str:
    """The line of a header that says what wrote the file."""
    try:
        version = importlib.metadata.version("ameliorate")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"Written by Ameliorate {version} with Yosys {yosys.version()}."


def write_texts(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes files of the given names and texts into `folder`, made if absent. Raises
    ExportError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_whole(folder / file, text.encode("ascii"))
    except OSError as error:
        raise ExportError(
            f"{folder}: cannot write Verilog there ({error.strerror or error}); choose another "
            "folder"
        ) from error
    except MissingFileError as error:
        raise ExportError(str(error)) from error
    return [folder / file for file in texts]
