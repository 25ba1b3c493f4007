"""The command line, `dse`: parses, calls the library, prints, and turns errors into one line and an exit code.

Exit codes: 2 for the user's mistake, 3 for a missing tool or file, 1 for a fault of ours, 130 on interrupt. Commands import what they
need when they run, so that `dse --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from hdl.errors import InputError, MissingError

from . import explore, multiplier, network, study, synth

__all__ = ["app", "main"]

app = typer.Typer(
    name="dse",
    help="Find approximate multipliers that make a CNN accelerator smaller, cooler and still right.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
explore.register(app)
multiplier.register(app)
synth.register(app)
network.register(app)
study.register(app)


def main() -> None:
    """Entry point of the `dse` command."""
    try:
        status = app(standalone_mode=False)
    except MissingError as error:
        status = _complain(3, str(error))
    except InputError as error:
        status = _complain(2, str(error))
    except typer.TyperException as error:
        status = _complain(2, error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has seen enough
        status = 0
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        status = _complain(3, f"{where}{error.strerror or error}; check the path, its permissions and the free space")
    except RuntimeError as error:
        status = _complain(1, str(error))
    sys.exit(status if isinstance(status, int) else 0)


def _complain(status: int, message: str) -> int:
    if os.environ.get("DSE_TRACEBACK"):
        traceback.print_exc()
    print("dse:", " ".join(message.split()), file=sys.stderr)
    return status
