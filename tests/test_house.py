"""The house rules: who may import whom, what is public, and that heavy libraries stay in their
rooms.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The rooms of each package, from the ground up: a room may import those before it, in its package
#: and in the packages before. A room is a folder, or a module beside the folders. `dse.api` (the
#: front door, which `dse` itself opens), `dse.cli` and `dse.__main__` are the roof: above the
#: reports as well.
HOUSE = {
    "hdl": (
        "errors",
        "lazy",
        "files",
        "operands",
        "circuits",
        "yosys",
        "cells",
        "tables",
        "multipliers",
        "cost",
        "elements",
        "export",
    ),
    "cnn_eval": (
        "parallel",
        "arrays",
        "capture",
        "datasets",
        "onnx",
        "quantization",
        "emulation",
        "deployment",
        "prediction",
        "profiling",
        "networks",
        "zoo",
    ),
    "dse": ("evaluation", "search", "ground_truth", "engine"),
    "reports": ("figures", "page"),
}
ROOF = ("dse.api", "dse.cli", "dse.__main__")
ORDER = [*(f"{package}.{room}" for package, rooms in HOUSE.items() for room in rooms), *ROOF]
#: Library -> where it may be imported.
LIBRARIES = {
    "amaranth": ("hdl/circuits/", "hdl/multipliers/", "hdl/elements/", "hdl/export/"),
    "cloudpickle": ("dse/evaluation/freight.py",),
    "dask": (),
    "distributed": ("dse/evaluation/cluster.py",),
    "jinja2": ("reports/page/",),
    "llvmlite": ("cnn_eval/emulation/kernels/",),
    "matplotlib": ("reports/figures/",),
    "msgspec": ("hdl/files/",),
    "moocore": ("dse/search/",),
    "onnx": ("cnn_eval/onnx/file.py",),
    "numba": ("cnn_eval/emulation/kernels/", "hdl/cost/"),
    "pymoo": ("dse/search/problem.py",),
    "pyosys": ("hdl/yosys/worker.py",),
    "rich": ("dse/cli/",),
    "torch": ("cnn_eval/",),
    "typer": ("dse/cli/",),
    "yaml": ("hdl/export/",),
}
MAX_MODULES = 14


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(path for package in HOUSE for path in (ROOT / package).rglob("*.py"))
CLIENTS = sorted([*(ROOT / "bench").glob("*.py"), *(ROOT / "scripts").glob("*.py")])
MODULES = {module_name(path): path for path in SOURCES}
ROOMS = [module for module, path in MODULES.items() if path.name == "__init__.py" and "." in module]


def imported(path: Path) -> Iterator[tuple[str, str, bool]]:
    """(module, name in it or "", whether written relatively) of all that a file imports, wherever
    in the file and for whatever purpose.
    """
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (
                    (inner, "", node.level > 0)
                    if inner in MODULES
                    else (module, alias.name, node.level > 0)
                )


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def ours(path: Path) -> Iterator[tuple[str, str, bool]]:
    return (found for found in imported(path) if found[0].partition(".")[0] in HOUSE)


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in MODULES if "." in module} == set(ORDER)


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.parent.parent != ROOT or path.name != "__init__.py"],
    ids=name,
)
def test_a_room_imports_what_lies_below_it(path: Path) -> None:
    here = room(module_name(path))
    for module, public, _ in ours(path):
        there = room(module)
        assert there in ORDER, f"{name(path)} imports {module}, which is no room"
        assert there == here or ORDER.index(there) < ORDER.index(here), (
            f"{name(path)} imports {module}.{public}, above it"
        )


@pytest.mark.parametrize("path", [*SOURCES, *CLIENTS], ids=name)
def test_a_package_is_used_by_its_public_names(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for module, public, relative in ours(path):
        if module.partition(".")[0] == package:
            assert relative, (
                f"{name(path)} imports {module} absolutely; inside a package imports are relative"
            )
        else:
            assert len(module.split(".")) <= 2, (
                f"{name(path)} imports {module}, inside a room of another package"
            )
            assert not public or public in importlib.import_module(module).__all__, (
                f"{name(path)} imports {module}.{public}, which is not public"
            )


def test_no_circle_of_rooms_or_modules() -> None:
    """Imports inside functions and for types count."""
    rooms, modules = defaultdict(set), defaultdict(set)
    for module, path in MODULES.items():
        for other, _, _ in ours(path):
            rooms[room(module)].add(room(other))
            modules[module].add(other)
    for graph in (rooms, modules):
        TopologicalSorter({node: found - {node} for node, found in graph.items()}).prepare()


@pytest.mark.parametrize("module", ROOMS)
def test_a_room_says_what_it_is_and_offers_what_exists(module: str) -> None:
    found = importlib.import_module(module)
    assert found.__doc__ is not None
    assert found.__doc__.strip().partition("\n\n")[0].endswith("."), (
        f"{module} does not say in a sentence what lives there"
    )
    for public in found.__all__:
        assert hasattr(found, public), f"{module}: __all__ names {public}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_all_names_what_exists(path: Path) -> None:
    if path.name in ("worker.py", "__main__.py"):
        return  # programs
    module = importlib.import_module(module_name(path))
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name(path)}: __all__ names {public}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    for module, _, _ in imported(path):
        library = module.partition(".")[0]
        assert name(path).startswith(LIBRARIES.get(library, "")), f"{name(path)} imports {module}"


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [
        requirement for extra in project["optional-dependencies"].values() for requirement in extra
    ]
    declared = {
        re.split(r"[<>=\[ ]", requirement)[0].lower()
        for requirement in [*project["dependencies"], *optional]
    }
    distributions = importlib.metadata.packages_distributions()
    for path in SOURCES:
        for library in (
            {module.partition(".")[0] for module, _, _ in imported(path)}
            - sys.stdlib_module_names
            - HOUSE.keys()
        ):
            found = {
                name.lower() for name in distributions.get(library, [library.replace("_", "-")])
            }
            assert found & declared, (
                f"{name(path)} imports {library}, which pyproject.toml does not declare"
            )


def test_no_room_is_crowded() -> None:
    folders = defaultdict(list)
    for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]:
        if path.name != "__init__.py":
            folders[name(path.parent)].append(path.name)
    assert {
        folder: len(files) for folder, files in folders.items() if len(files) > MAX_MODULES
    } == {}


def test_every_folder_and_its_data_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(settings["packages"]) == sorted(
        module_name(path) for path in SOURCES if path.name == "__init__.py"
    )
    listed = subprocess.run(
        ["git", "ls-files", *HOUSE], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for file in map(Path, listed.stdout.split()):
        patterns = settings["package-data"].get(".".join(file.parent.parts), [])
        assert file.suffix == ".py" or any(file.match(pattern) for pattern in patterns), (
            f"{file} is not in package-data"
        )


def test_tests_mirror_the_rooms() -> None:
    packages = [path.parent for path in (ROOT / "tests").rglob("__init__.py")]
    assert {path.parent.name for path in packages} <= {"helpers"}, (
        "a package tests/hdl would hide hdl"
    )
    folders = {
        path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")
    }
    for folder in folders - {Path(".")}:
        assert (ROOT / folder).is_dir(), f"tests/{folder} mirrors no room"


def test_the_architecture_page_is_of_this_house() -> None:
    """It names every room, and only files and folders that exist."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [
        room
        for room in ORDER
        if (ROOT / room.replace(".", "/")).is_dir() and f"`{room}`" not in page
    ] == []
    for row in re.findall(r"^  │ (\w+) +(.*?)  ", page, re.MULTILINE):
        assert [room for room in row[1].split(" ◄── ") if room not in HOUSE[row[0]]] == []
    files = re.findall(r"`((?:hdl|cnn_eval|dse|reports|tests)/[\w/]+(?:\.py)?)`", page)
    assert len(files) > 30
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--help"], {}),
        ([], {"_DSE_COMPLETE": "complete_bash", "COMP_WORDS": "dse exp", "COMP_CWORD": "1"}),
    ],
    ids=["help", "completion"],
)
def test_what_answers_at_once_needs_no_heavy_library(
    arguments: list[str], environment: dict[str, str]
) -> None:
    script = (
        f"import sys\nsys.argv = ['dse', *{arguments}]\nfrom dse.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'pyosys', 'pymoo', 'matplotlib', "
        "'amaranth', 'numpy', 'scipy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert "explore" in done.stdout


def test_benches_run_as_they_are_documented() -> None:
    """As modules, from the checkout: they share some, which a script by its path does not find."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.py")]
    assert [str(page) for page in pages if "python bench/" in page.read_text()] == []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "bench.marks", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    assert "python -m bench.marks RUN" in done.stdout


def test_the_tree_speaks_of_itself_alone() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    absolute = "/" + "work" + "/"
    for file in listed.stdout.split():
        path = ROOT / file
        if path.suffix in {".py", ".md", ".toml", ".txt", ".j2", ""} and path.is_file():
            assert absolute not in path.read_text(), file
