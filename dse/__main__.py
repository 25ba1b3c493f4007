"""`dse`, and `python -m dse`, which is the same: what holds before a command begins."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the `dse` command."""
    # Loading takes a moment, in which an interrupt has nothing to end in order; libraries that are
    # loading may swallow it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    closed = _open_standard_streams()
    from .cli import main as run

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if closed:
        print(
            f"dse: {closed} is closed; redirect it, for example to /dev/null",
            file=sys.stdout if "error" in closed else sys.stderr,
        )
        sys.exit(3)
    run()


def _open_standard_streams() -> str:
    """Which of the output streams is closed. All three are open afterwards: files that are opened
    later shall not take their numbers.
    """
    closed = (
        "standard output" if sys.stdout is None else "standard error" if sys.stderr is None else ""
    )
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - open as long as this process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - open as long as this process
    return closed


if __name__ == "__main__":
    main()
