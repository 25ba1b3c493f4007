"""Public names of a room that are loaded when they are asked for, so that importing one name does
not load torch for all.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

__all__ = ["names_of"]


def names_of(room: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """A module's `__getattr__` (PEP 562) that loads names from the room's modules.

    Args:
        room: `__name__` of the package.
        modules: module -> its public names, separated by spaces. No name may be a module's too,
            since importing the module would hide it.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}
    assert not homes.keys() & modules.keys(), f"{room}: a module and a name are called the same"

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{homes[name]}"), name)

    return load
