"""The command line, `dse`: parses, calls the library, prints, and turns errors into one line and an
exit code.

Exit codes: 2 for the user's mistake, 3 for a missing tool or file, 1 for a fault of ours, 130 on
interrupt. Commands import what they need when they run, so that `dse --help` answers at once.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from hdl.errors import InputError, MissingError

from . import assign, explore, multiplier, network, study, synth, synthesize, zoo
from .console import OutputClosedError, leave_output, printable, say

__all__ = ["app", "main"]

_LONGEST_COMPLAINT = 1500

app = typer.Typer(
    name="dse",
    help=(
        "Find approximate multipliers that make a CNN accelerator smaller, cooler and still right."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"dse {importlib.metadata.version('ameliorate')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """What stands before the name of a command."""


explore.register(app)
assign.register(app)
multiplier.register(app)
synth.register(app)
synthesize.register(app)
network.register(app)
zoo.register(app)
study.register(app)


def main() -> None:
    """Entry point of the `dse` command."""
    try:
        with _caches():
            status = app(prog_name="dse", standalone_mode=False)
        sys.stdout.flush()
    except OutputClosedError:
        status = 0
    except MissingError as error:
        status = _complain(3, str(error))
    except InputError as error:
        status = _complain(2, str(error))
    except typer.TyperException as error:
        status = _complain(2, error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except (Exception, SystemExit) as error:
        status = _unexpected(error)
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _caches() -> Iterator[None]:
    """Libraries keep what they compile and draw with in the user's home; without one, in a folder
    for this time.
    """
    home = os.path.expanduser("~")
    if os.access(home, os.W_OK):
        yield
        return
    from hdl.files import scratch_folder

    print(
        f"dse: the home folder {home!r} cannot be written to, so that what is compiled is not kept",
        file=sys.stderr,
    )
    with scratch_folder("cache") as folder:
        for variable in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
            os.environ.setdefault(variable, str(folder))
        yield


def _unexpected(error: BaseException) -> int:
    own = sys.modules.get("cnn_eval.networks.own")
    of_the_user = None if own is None else own.fault_of_user_code(error)
    if of_the_user is not None:
        return _complain(2, of_the_user)
    if isinstance(error, SystemExit) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
        leave_output()  # whoever read our output has seen enough; typer says so by leaving
        return 0
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        leave_output()
        return _complain(
            3,
            f"{where}{error.strerror or error}; check the path, its permissions and the free space",
        )
    if isinstance(error, MemoryError):
        return _complain(
            3,
            (
                "there is not enough memory for this; give fewer images, a smaller file or a "
                "smaller network"
            ),
        )
    if isinstance(error, RuntimeError):
        return _complain(1, str(error))
    return _complain(
        1,
        (
            f"a fault of ours, {type(error).__name__}: {error}; please report it, with what "
            "DSE_TRACEBACK=1 prints"
        ),
    )


def _complain(status: int, message: str) -> int:
    if os.environ.get("DSE_TRACEBACK"):
        traceback.print_exc()
    line = printable(" ".join(message.split()))
    print(
        "dse:",
        line if len(line) <= _LONGEST_COMPLAINT else f"{line[:_LONGEST_COMPLAINT]}...",
        file=sys.stderr,
    )
    return status
