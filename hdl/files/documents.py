"""JSON documents by their schema: a frozen dataclass, whose fields, types and bounds (`msgspec.Meta`) the document has to meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .reading import FileError, read_bytes, words

__all__ = ["decode_json", "encode_json", "read_json"]

_Document = TypeVar("_Document")


def read_json(path: Path | str, schema: type[_Document], *, limit_bytes: int) -> _Document:
    """The document in a file. Raises FileError: a key that is missing or unknown, a value of another type or out of bounds, not JSON."""
    return decode_json(read_bytes(path, limit_bytes=limit_bytes), schema, repr(str(path)))


def decode_json(data: bytes | str, schema: type[_Document], source: str) -> _Document:
    """As :func:`read_json`, of text; `source` opens the message of an error."""
    try:
        document = msgspec.json.decode(data, type=schema)
        # What the schema does not know is not passed over: it may have been meant.
        unknown = _unknown(msgspec.json.decode(data), msgspec.to_builtins(document), "")
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: {words(error)}") from error
    if unknown:
        raise FileError(f"{source}: {words(unknown)}")
    return document


def encode_json(document: Any) -> bytes:
    """The document as JSON, a value a line; :func:`decode_json` reads it back."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _unknown(given: Any, known: Any, place: str) -> str:
    """A key of one of two documents of which the other has none, as a complaint; empty where there is none."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key in given.keys() | known.keys():
            if key not in known:
                return f"unknown key {place}{key}"
            if key not in given:
                return f"key {place}{key} is missing"
        pairs = ((given[key], known[key], f"{place}{key}.") for key in given)
    elif isinstance(given, list) and isinstance(known, list):
        pairs = ((one, other, f"{place}{index}.") for index, (one, other) in enumerate(zip(given, known, strict=True)))
    else:
        return ""
    return next((found for pair in pairs if (found := _unknown(*pair))), "")
