"""The house rules: who may import whom, what is public, and that heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hdl", "cnn_eval", "dse", "reports")
#: Package -> packages it may import. `dse/cli` is the roof: it may import anything, and nothing imports it.
ALLOWED = {"hdl": set(), "cnn_eval": {"hdl"}, "dse": {"hdl", "cnn_eval"}, "reports": {"hdl", "cnn_eval", "dse"}, "roof": set(PACKAGES)}
#: Library -> rooms it lives in.
ROOMS = {
    "matplotlib": ("reports/",),
    "pymoo": ("dse/search/problem.py",),
    "torch": ("cnn_eval/",),
    "pyosys": ("hdl/yosys/worker.py",),
    "typer": ("dse/cli/",),
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Absolute names of everything a file imports, wherever in the file."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])])


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(), ids=name)
def test_imports_keep_their_direction(path: Path) -> None:
    room = "roof" if name(path).startswith("dse/cli/") or name(path) == "dse/__main__.py" else path.relative_to(ROOT).parts[0]
    for module in imported(path):
        top = module.partition(".")[0]
        if top in PACKAGES and not (room != "roof" and top == room):
            assert top in ALLOWED[room], f"{name(path)} imports {module}"
        if room != "roof":
            assert not module.startswith("dse.cli"), f"{name(path)} imports the roof"
        if top in ROOMS:
            assert name(path).startswith(ROOMS[top]), f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", [p for p in sources() if not p.stem.startswith("__")], ids=name)
def test_all_names_what_exists(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name(path)}: __all__ names {public}"


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "sys.argv = ['dse', '--help']\n"
        "from dse.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'pyosys', 'pymoo', 'matplotlib', 'amaranth', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "explore" in done.stdout


def test_the_tree_speaks_of_itself_alone() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    absolute = "/" + "work" + "/"
    for file in listed.stdout.split():
        path = ROOT / file
        if path.suffix in {".py", ".md", ".toml", ".txt", ".j2", ""} and path.is_file():
            assert absolute not in path.read_text(), file
