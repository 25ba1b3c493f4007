"""Runs the commands of docs/tutorial.md, in order and in a new folder, and holds what they print
against the page.

    python scripts/tutorial.py [--write] [--keep FOLDER]

A block of `sh` is run by bash; a block of `text` behind it is what it prints. A block whose first
line is a comment with a name is a file. Words have to be those of the page, and numbers may differ
as `ALLOWED` has it. `--write` puts what was printed, and the pictures, into the page instead.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
FILE = re.compile(r"^```\w+\n# ([\w.]+)\n.*?^```$", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
SHOWN = "```sh\n{}```\n\n```text\n{}```"
#: docs/images/tutorial/x.png is x.png of the run.
PICTURE = re.compile(r"!\[.*?\]\((images/tutorial/([\w.]+))\)")
#: How far a number with a decimal point may be from the page's; the page says so.
ALLOWED = 0.5
TIME_LIMIT_S = 600


class TutorialError(Exception):
    """The page is not what its commands do."""


def run(commands: str, folder: Path) -> str:
    """What a block prints on standard output; progress is on the other one."""
    paths = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise TutorialError(f"{commands}ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def compare(commands: str, printed: str, page: str) -> None:
    """Raises TutorialError where what is printed differs from the page by more than it may."""
    ours, theirs = steady(printed), steady(page)
    for found, expected in zip(ours, theirs, strict=False):
        if found != expected and not near(found, expected):
            raise TutorialError(f"{commands}prints {found!r}, {expected!r} on the page:\n{printed}")
    if len(ours) != len(theirs):
        raise TutorialError(f"{commands}prints more or less than is on the page:\n{printed}")


def steady(text: str) -> list[str]:
    """The words of an output without those in a column of seconds."""
    words, seconds = [], None
    for line in text.splitlines():
        row = line.split()
        if "seconds" in row:
            seconds = row.index("seconds")
        elif seconds is not None:
            del row[seconds : seconds + 1]
        words += row
    return words


def near(found: str, expected: str) -> bool:
    """Whether both are numbers, `1.5` or `(+-1.5),`, that differ no more than they may."""
    try:
        ours, theirs = (float(word.strip("(),").removeprefix("+-")) for word in (found, expected))
    except ValueError:
        return False
    return "." in expected and abs(ours - theirs) <= ALLOWED


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="write outputs into the page")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="run here, and leave it")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for block in FILE.finditer(page):
            (folder / block[1]).write_text(block[0].partition("\n")[2].removesuffix("```"))

        def tried(block: re.Match[str]) -> str:
            commands, expected = block.groups()
            printed = run(commands, folder)
            if expected is not None and not options.write:
                compare(commands, printed, expected)
            return block[0] if expected is None else SHOWN.format(commands, printed)

        written = COMMANDS.sub(tried, page)
        if options.write:
            PAGE.write_text(written, encoding="utf-8")
            for picture in PICTURE.finditer(page):
                (PAGE.parent / picture[1]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / "run" / picture[2], PAGE.parent / picture[1])
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{spent.ru_utime + spent.ru_stime:.0f} s of processor time")


if __name__ == "__main__":
    try:
        main()
    except TutorialError as error:
        sys.exit(str(error))
