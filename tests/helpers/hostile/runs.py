"""Folders of runs that are none."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sample_exploration import make_exploration, make_point

from dse.engine import Search
from dse.search import Budget
from hdl.files import plain
from hdl.operands import OperandEncoding
from hostile.cases import NETWORK, Case, nothing, places, steps, write


def valid_run(folder: Path) -> None:
    """A finished run whose report can be drawn."""
    folder.mkdir(exist_ok=True)
    points = (
        make_point("exact", 1.0),
        make_point("drum:k=4", 0.6, drop=0.5),
        make_point("drum:k=6", 0.8, drop=0.2),
    )
    make_exploration(points).save(folder)


def changed(*path: str | int, value: Any = None, remove: bool = False) -> Callable[[], None]:
    """A run with one value of run.json changed or removed."""

    def make() -> None:
        valid_run(Path("run"))
        document = json.loads(Path("run/run.json").read_text())
        place = document
        for key in path[:-1]:
            place = place[key]
        if remove:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        Path("run/run.json").write_text(json.dumps(document))

    return make


def crowded(count: int) -> Callable[[], None]:
    """A run with so many designs on its front."""

    def make() -> None:
        valid_run(Path("run"))
        document = json.loads(Path("run/run.json").read_text())
        point = document["points"][1] | {"family": "mask"}
        document["front"]["points"] = [
            point | {"spec": f"mask:bits={number:016x}"} for number in range(1, count + 1)
        ]
        Path("run/run.json").write_text(json.dumps(document))

    return make


def imported_run(circuit: str) -> Callable[[], None]:
    """A run whose pick is a stranger's design."""

    def make() -> None:
        from hdl.multipliers import ImportedDesign

        design = ImportedDesign("mul.v:top#00000000", 8, 8, False, circuit)
        points = (
            make_point("exact", 1.0),
            replace(make_point("drum:k=4", 0.6, drop=0.5), spec=design.name, family="imported"),
        )
        Path("run").mkdir()
        make_exploration(points, imported=(design,)).save(Path("run"))

    return make


NAN = float("nan")
RUNS: dict[str, Callable[[], None]] = {
    "not JSON": write("run/run.json", "{"),
    "a list": write("run/run.json", "[]"),
    "nothing but braces": write("run/run.json", "{}"),
    "a hundred thousand brackets": write("run/run.json", '{"points":' + "[" * 100_000),
    "an unknown key": changed("surprise", value=1),
    "a key that is missing": changed("baseline", remove=True),
    "a point without its area": changed("points", 0, "area_um2", remove=True),
    "a point with more": changed("points", 0, "volume", value=1.0),
    "an area that is text": changed("points", 0, "area_um2", value="large"),
    "an area that is no number": changed("points", 0, "area_um2", value=NAN),
    "an infinite area": changed("points", 0, "area_um2", value=float("inf")),
    "a negative area": changed("points", 0, "area_um2", value=-1.0),
    "a number of worst cases with a fraction": changed("points", 0, "wce", value=1.5),
    "points that are a number": changed("points", value=3),
    "a front without points": changed("front", value=[]),
    "a front of six thousand": crowded(6000),
    "objectives that are none": changed(
        "front", "objectives", value=["area", "beauty", "accuracy"]
    ),
    "a reference too few": changed("front", "reference", value=[1.0]),
    "a budget for something else": changed("budget", "cost", value="__class__"),
    "an accuracy of 200 %": changed("exact_top1_pct", value=200.0),
    "another number format": changed("encodings", value=["roman"]),
    "a point in another format": changed("points", 0, "encoding", value="twos_complement"),
    "a design that is none": changed(
        "front", "points", 0, "spec", value="drum:k=4; exec -- touch ../outside/executed"
    ),
    "a design that is a path": changed("front", "points", 0, "spec", value="../../outside/owned"),
    "a design of another family": changed("points", 0, "family", value="<script>"),
    "a name of a megabyte": changed("network", value="x" * 1_000_000),
    "settings that are nested": changed("settings", value={"a": {"b": 1}}),
    "settings of other kinds": changed("settings", "recalibrate", value="many"),
    "a history of words": changed("history", value=["long ago"]),
    "an accelerator of words": changed("accelerator", value="fast"),
    "imported without a circuit": changed("imported", value=[{"name": "x.v:top#1"}]),
    "a circuit that runs a command": imported_run(
        "module \\multiplier\nend\nexec -- touch ../outside/executed\n"
    ),
    "a circuit of something else": imported_run(
        "module \\multiplier\n  wire width 9 input 1 \\x\nend\n"
    ),
    "a verilog folder that leads elsewhere": steps(
        lambda: valid_run(Path("run")), lambda: Path("run/verilog").symlink_to("../../outside")
    ),
}


def runs() -> Iterator[Case]:
    for name, make in RUNS.items():
        yield Case(f"run: {name}", ("report", "run"), make)
    yield Case("run: no folder", ("report", "nowhere"), nothing)
    yield Case("run: a file", ("report", "it"), write("it", "x"))
    for name, make in places("/run.json"):
        if name != "a folder":
            yield Case(f"run: run.json is {name}", ("report", "it"), steps(Path("it").mkdir, make))


SEARCH: dict[str, Any] = plain(
    Search(
        network=NETWORK,
        encodings=(OperandEncoding.SIGN_MAGNITUDE,),
        budget=Budget.parse("area"),
        evaluations=12,
        population=8,
        families=("tm",),
    )
)


def asked(**changes: Any) -> Callable[[], None]:
    return write("run/search.json", json.dumps({"search": SEARCH | changes, "versions": {}}))


SEARCHES: dict[str, Callable[[], None]] = {
    "not JSON": write("run/search.json", "no"),
    "an unknown key": asked(hurry=True),
    "no evaluations": asked(evaluations=0),
    "more evaluations than there is time": asked(evaluations=10**15),
    "evaluations with a fraction": asked(evaluations=1.5),
    "a population of one": asked(population=1),
    "objectives that are none": asked(objectives=["beauty", "area"]),
    "a network elsewhere": asked(network="../../outside/network"),
    "a network with a command": asked(network="resnet20; touch ../outside/executed"),
    "a library that is a device": asked(liberty="/dev/zero"),
    "a zoo that is a file": asked(zoo_folder="/etc/passwd"),
    "a family that is none": asked(families=["__init__"]),
    "a design that reads files": asked(seeds=["/etc/passwd:top"]),
    "Verilog that is a device": asked(seeds=["/dev/zero.v:top"]),
    "a limit that is no number": asked(budget={"cost": "area", "limit": "small"}),
    "a negative limit": asked(budget={"cost": "area", "limit": -1.0}),
    "images that are a device": asked(recalibrate=4, data="/dev/zero"),
}


def database(*statements: str) -> Callable[[], None]:
    def make() -> None:
        asked()()
        with sqlite3.connect("run/points.sqlite") as file:
            for statement in statements:
                file.execute(statement)
        file.close()

    return make


STORES: dict[str, Callable[[], None]] = {
    "random bytes": steps(
        asked(), write("run/points.sqlite", b"SQLite format 3\0" + bytes(range(256)) * 40)
    ),
    "a folder": steps(asked(), lambda: Path("run/points.sqlite").mkdir()),
    "a pipe": steps(asked(), lambda: os.mkfifo("run/points.sqlite")),
    "a link to elsewhere": steps(
        asked(), lambda: Path("run/points.sqlite").symlink_to("../../outside/database")
    ),
    "a view without end": database(
        "CREATE VIEW known AS WITH RECURSIVE n(context, item, result) AS (SELECT '', '', '' UNION "
        "ALL SELECT * FROM n) SELECT * FROM n"
    ),
    "a trigger": database(
        "CREATE TABLE known (context TEXT, item TEXT, result TEXT, PRIMARY KEY (context, item))",
        "CREATE TRIGGER t AFTER INSERT ON known BEGIN DELETE FROM known; END",
    ),
    "other columns": database("CREATE TABLE known (a, b)"),
}


def searches() -> Iterator[Case]:
    command = ("explore", "--resume", "--out", "run", "--workers", "1")
    for name, make in SEARCHES.items():
        yield Case(f"search: {name}", command, make)
    for name, make in STORES.items():
        yield Case(f"store: {name}", command, make)
