"""JSON documents by their schema: a frozen dataclass, whose fields, types and bounds
(`msgspec.Meta`) the document has to meet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from .reading import FileError, read_bytes, words

__all__ = [
    "Count",
    "Figure",
    "Name",
    "Percent",
    "Size",
    "convert",
    "decode_json",
    "encode_json",
    "plain",
    "read_json",
]

_Document = TypeVar("_Document")

#: Kinds of values that schemas are made of: bounded, so that no figure is infinite, not a number,
#: or absurd, and no name fills a page.
Figure = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Size = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Name = Annotated[str, msgspec.Meta(max_length=400)]


def read_json(path: Path | str, schema: type[_Document], *, limit_bytes: int) -> _Document:
    """The document in a file. Raises FileError: a key that is missing or unknown, a value of
    another type or out of bounds, not JSON.
    """
    return decode_json(read_bytes(path, limit_bytes=limit_bytes), schema, repr(str(path)))


def decode_json(data: bytes | str, schema: type[_Document], source: str) -> _Document:
    """As :func:`read_json`, of text; `source` opens the message of an error."""
    try:
        values = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: {words(error)}") from error
    return convert(values, schema, source)


def convert(values: Any, schema: type[_Document], source: str) -> _Document:
    """As :func:`read_json`, of what a JSON text says: dictionaries, lists, numbers and text."""
    try:
        document = msgspec.convert(values, schema, dec_hook=_from_text)
        # What the schema does not know is not passed over: it may have been meant.
        difference = _difference(values, document, "")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FileError(f"{source}: {words(error)}") from error
    if difference:
        raise FileError(f"{source}: {words(difference)}")
    return document


def encode_json(document: Any) -> bytes:
    """The document as JSON, a value a line; :func:`decode_json` reads it back. Raises ValueError
    for what is no number.
    """
    return json.dumps(plain(document), indent=1, allow_nan=False).encode()


def plain(value: Any) -> Any:
    """The document as dictionaries, lists, numbers and text."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _from_text(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    raise ValueError(f"a {kind.__name__} cannot be made of a {type(value).__name__}")


def _difference(given: Any, read: Any, place: str) -> str:
    """A key of `given` that was not read into a field, or a field that was not given, as a
    complaint; empty where there is none.
    """
    if is_dataclass(read) and isinstance(given, dict):
        names = [field.name for field in fields(read)]
        unknown = next((f"unknown key {place}{key}" for key in given if key not in names), "")
        missing = next((f"key {place}{name} is missing" for name in names if name not in given), "")
        if unknown or missing:
            return unknown or missing
        pairs = [(given[name], getattr(read, name), f"{place}{name}.") for name in names]
    elif isinstance(read, dict) and isinstance(given, dict):
        pairs = [
            (given[key], value, f"{place}{key}.") for key, value in read.items() if key in given
        ]
    elif isinstance(read, list | tuple) and isinstance(given, list):
        pairs = [
            (one, other, f"{place}{index}.")
            for index, (one, other) in enumerate(zip(given, read, strict=True))
        ]
    else:
        return ""
    return next((found for pair in pairs if (found := _difference(*pair))), "")
