"""What every complaint about input derives from. The message is one line: the input, the limit, the
next step.
"""

from __future__ import annotations

__all__ = ["InputError", "MissingError"]


class InputError(ValueError):
    """The user's input cannot be used as it is."""


class MissingError(InputError):
    """A file or tool that the user named, or that is needed, is absent or cannot be read or
    written.
    """
