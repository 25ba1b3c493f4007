"""What the commands print with: results on stdout, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..api.progress import Stage

__all__ = [
    "OutputClosedError",
    "leave_output",
    "print_json",
    "print_rows",
    "print_table",
    "printable",
    "progress_bar",
    "progress_bars",
    "say",
]


# Seconds without a line after which a step tells how far it is; phases that take less have no
# estimate.
_SILENT_S, _QUICK_S = 30.0, 5.0


class OutputClosedError(Exception):
    """Whoever read the output has seen enough."""


def say(line: str) -> None:
    """One line of the result."""
    _print(printable(line))


def print_json(values: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """One JSON object, or a list of them."""
    _print(json.dumps(values, indent=1))


def printable(text: str) -> str:
    """The text with what would steer a terminal, or trick the eye, as escape sequences: names come
    from anywhere.
    """
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    )


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        leave_output()
        raise OutputClosedError from None


def leave_output() -> None:
    """Forgets what could not be written to standard output, and takes all that follows to
    nowhere.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A live bar with rate and remaining time on stderr where that is a terminal; elsewhere a plain
    line every tenth of the way, or every half a minute, with the remaining time.

    The value is called with how many are done and a few words on the state.
    """
    if not sys.stderr.isatty():
        yield _plain_progress(title, total)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, rate="", state="")

        def update(done: int, state: str) -> None:
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(
                task,
                completed=done,
                state=escape(printable(state)),
                rate="" if speed is None else f"{speed:.1f}/s",
            )

        yield update


@contextmanager
def progress_bars() -> Iterator[Callable[[Stage], None]]:
    """A bar for each stage of a run, one after the other; the value is called with how far the run
    is.
    """
    with ExitStack() as opened:
        name, bar = "", _plain_progress("", 0)

        def update(stage: Stage) -> None:
            nonlocal name, bar
            if stage.name != name:
                opened.close()
                name, bar = stage.name, opened.enter_context(progress_bar(stage.name, stage.total))
            bar(stage.done, stage.state)

        yield update


def _plain_progress(title: str, total: int) -> Callable[[int, str], None]:
    """A line every tenth of the way, and where that takes long, with what is left by the pace so
    far: this is what a log file gets.
    """
    told, started = 0, time.monotonic()
    last = started

    def update(done: int, state: str) -> None:
        nonlocal told, last
        tenth, now = 10 * done // max(total, 1), time.monotonic()
        if tenth <= told and now - last < _SILENT_S:
            return
        told, last = tenth, now
        line = printable(f"{title} {done}/{total}  {state}").rstrip()
        left_s = (now - started) * (total - done) / max(done, 1)
        worth_telling = now - started > _QUICK_S and 0 < done < total
        left = f"  (about {_clock(left_s)} left)" if worth_telling else ""
        print(line + left, file=sys.stderr, flush=True)

    return update


def _clock(seconds: float) -> str:
    """Hours (where there are any), minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_table(title: str, values: Mapping[str, Any]) -> None:
    """Names and values in two columns under a title."""
    say(title)
    width = max(map(len, values))
    for name, value in values.items():
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        say(f"  {name:<{width}}  {shown}")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the same names in columns under a title."""
    say(title)
    shown = [
        list(rows[0]),
        *(
            [f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()]
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        say(
            "  "
            + "  ".join(
                f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )
