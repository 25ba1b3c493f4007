"""The command as a process: interrupts, pipes, closed streams, a home that cannot be written to,
and names that steer terminals.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DSE = f"{sys.executable} -m dse"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of sh, in which `$DSE` is the command."""
    surroundings = {**os.environ, "DSE": DSE, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env=surroundings,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("moment_s", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7])
@pytest.mark.parametrize(
    "command",
    [["families"], ["synth", "drum:k=4", "--network", "resnet20"]],
    ids=["families", "synth"],
)
def test_an_interrupt_is_heeded_from_the_first_moment(command: list[str], moment_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dse", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # Whoever runs the tests in the background has made it ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(moment_s)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    if b"KeyboardInterrupt" in complaint:  # Python itself was not ready
        return
    assert process.returncode in (130, -signal.SIGINT, 0)
    if process.returncode == 0:  # it was done before
        assert command == ["families"]


def test_whoever_has_seen_enough_ends_it_in_order() -> None:
    # The shell's own pipe tells no status of what is before it: that goes to a third stream.
    done = shell("{ { $DSE families; echo $? >&3; } | head -1; } 3>&2")
    assert (done.stdout.count("\n"), done.stderr) == (1, "0\n")


@pytest.mark.parametrize(
    ("words", "completed"),
    [("dse exp", ["explore", "export"]), ("dse explore --max", ["--max-drop"])],
)
def test_words_are_completed(words: str, completed: list[str]) -> None:
    at = str(words.count(" "))
    done = shell("$DSE", _DSE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=at)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, completed, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_shell_takes_what_show_completion_prints() -> None:
    done = shell("""bash -c 'eval "$($DSE --show-completion)"; complete -p dse'""")
    assert done.stdout == "complete -o default -F _dse_completion dse\n", done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "$DSE families exact >&-",
            "dse: standard output is closed; redirect it, for example to /dev/null\n",
        ),
        (
            "$DSE families exact 2>&-",
            "dse: standard error is closed; redirect it, for example to /dev/null\n",
        ),
        (
            "$DSE families exact >/dev/full",
            "dse: No space left on device; check the path, its permissions and the free space\n",
        ),
    ],
)
def test_streams_that_cannot_be_written_are_named(command: str, message: str) -> None:
    done = shell(command)
    assert (done.returncode, done.stdout + done.stderr) == (3, message)


def test_nothing_needs_the_standard_input() -> None:
    assert shell("$DSE families exact <&-").returncode == 0


@pytest.mark.slow
def test_a_home_that_cannot_be_written_to_is_named_once(tmp_path: Path) -> None:
    done = shell(
        f"$DSE show exact:width=4 -o {tmp_path}",
        HOME="/proc/none",
        XDG_CACHE_HOME="/proc/none",
        XDG_CONFIG_HOME="/proc/none",
    )
    assert done.returncode == 0
    assert done.stderr == (
        "dse: the home folder '/proc/none' cannot be written to, so that what is compiled is "
        "not kept\n"
    )
    assert (tmp_path / "error_map.png").is_file()


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "a\rb", "\u202egnp.v:top", "\x9b31m"])
def test_names_do_not_steer_the_terminal(dse, name: str) -> None:
    for command in (["metrics", f"{name}.npy"], ["explore", "--network", name]):
        result = dse(*command)
        assert result.status in (2, 3)
        assert result.err.endswith("\n")
        assert result.err[:-1].isprintable()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(0)", "cannot be loaded (SystemExit: 0)"),
        (
            "import sys\ndef make(): sys.exit('no')",
            "fails when it is called without arguments (SystemExit: no)",
        ),
        ("def make(): 1 / 0", "fails when it is called without arguments (ZeroDivisionError"),
        (
            (
                "import torch\nclass make(torch.nn.Module):\n  @property\n  def mean(self): raise "
                "KeyError('x')"
            ),
            "'net.py' fails in line 4 (KeyError",
        ),
        (
            (
                "import torch\nclass make(torch.nn.Module):\n  def forward(self, x): raise "
                "SystemExit(0)"
            ),
            "'net.py' fails in line 3 (SystemExit: 0)",
        ),
        (
            (
                "import torch\nclass make(torch.nn.Module):\n  def forward(self, x): return "
                "{}['\\x1b[31m']"
            ),
            "'net.py' fails in line 3 (KeyError",
        ),
    ],
)
def test_faults_of_the_users_own_network_are_told_with_its_file(
    dse, code: str, message: str
) -> None:
    pytest.importorskip("sklearn")
    Path("net.py").write_text(code)
    Path("net.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    own = ("--network", "net.py:make", "--weights", "net.safetensors", "--data", "digits")
    result = dse("profile", *own)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "net.py" in result.err
    assert message in result.err
