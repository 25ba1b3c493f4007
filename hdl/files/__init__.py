"""Files: those of a stranger read within bounds and checked as a whole, one's own written whole or
not at all.
"""

from typing import TYPE_CHECKING

from ..lazy import names_of

if TYPE_CHECKING:
    from .arrays import read_npy, read_npz
    from .database import check_database
    from .documents import (
        Count,
        Figure,
        Name,
        Percent,
        Size,
        convert,
        decode_json,
        encode_json,
        plain,
        read_json,
    )
    from .reading import FileError, MissingFileError, check_regular, read_bytes, unzip, words
    from .scratch import locked_folder, scratch_folder
    from .writing import check_writable, writable_file, writable_folder, write_whole

__all__ = [
    "Count",
    "Figure",
    "FileError",
    "MissingFileError",
    "Name",
    "Percent",
    "Size",
    "check_database",
    "check_regular",
    "check_writable",
    "convert",
    "decode_json",
    "encode_json",
    "locked_folder",
    "plain",
    "read_bytes",
    "read_json",
    "read_npy",
    "read_npz",
    "scratch_folder",
    "unzip",
    "words",
    "writable_file",
    "writable_folder",
    "write_whole",
]

__getattr__ = names_of(
    __name__,
    {
        "arrays": "read_npy read_npz",
        "database": "check_database",
        "documents": (
            "Count Figure Name Percent Size convert decode_json encode_json plain read_json"
        ),
        "reading": "FileError MissingFileError check_regular read_bytes unzip words",
        "scratch": "locked_folder scratch_folder",
        "writing": "check_writable writable_file writable_folder write_whole",
    },
)
