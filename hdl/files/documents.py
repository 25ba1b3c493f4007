"""JSON documents by their schema: a frozen dataclass, whose fields, types and bounds (`msgspec.Meta`) the document has to meet."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
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
        difference = _difference(msgspec.json.decode(data), document, "")
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: {words(error)}") from error
    if difference:
        raise FileError(f"{source}: {words(difference)}")
    return document


def encode_json(document: Any) -> bytes:
    """The document as JSON, a value a line; :func:`decode_json` reads it back."""
    return msgspec.json.format(msgspec.json.encode(asdict(document)), indent=1)


def _difference(given: Any, read: Any, place: str) -> str:
    """A key of `given` that was not read into a field, or a field that was not given, as a complaint; empty where there is none."""
    if is_dataclass(read) and isinstance(given, dict):
        names = [field.name for field in fields(read)]
        unknown = next((f"unknown key {place}{key}" for key in given if key not in names), "")
        missing = next((f"key {place}{name} is missing" for name in names if name not in given), "")
        if unknown or missing:
            return unknown or missing
        pairs = [(given[name], getattr(read, name), f"{place}{name}.") for name in names]
    elif isinstance(read, dict) and isinstance(given, dict):
        pairs = [(given[key], value, f"{place}{key}.") for key, value in read.items() if key in given]
    elif isinstance(read, list | tuple) and isinstance(given, list):
        pairs = [(one, other, f"{place}{index}.") for index, (one, other) in enumerate(zip(given, read, strict=True))]
    else:
        return ""
    return next((found for pair in pairs if (found := _difference(*pair))), "")
