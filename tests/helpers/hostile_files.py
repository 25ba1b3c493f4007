"""Files and arguments that a stranger, or a clumsy hand, might give: made when they are needed,
each refused in one line.

A case is made in an empty folder and names what must not be touched by `OUTSIDE`, a folder beside
it. Those that try to run something try to leave a file there.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import socket
import sqlite3
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sample_exploration import make_exploration, make_point

from cnn_eval import zoo
from dse.engine import Search
from dse.search import Budget
from hdl.files import plain
from hdl.operands import OperandEncoding

__all__ = ["CASES", "Case", "valid_run"]

OUTSIDE = Path("..", "outside")
NETWORK = "resnet20"


@dataclass(frozen=True)
class Case:
    """An input: what it is called, its command line once `make` has written its files to the
    current folder, and whether it is slow.
    """

    name: str
    command: tuple[str, ...]
    make: Callable[[], None]
    slow: bool = False


def nothing() -> None:
    """Needs no files."""


def steps(*makers: Callable[[], Any]) -> Callable[[], None]:
    def make() -> None:
        for maker in makers:
            maker()

    return make


def write(name: str, content: bytes | str) -> Callable[[], None]:
    def make() -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(
            content.encode(errors="surrogateescape") if isinstance(content, str) else content
        )

    return make


def places(suffix: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is no file, under a name with this suffix: (name of the case, what makes `it` +
    suffix).
    """
    path = f"it{suffix}"

    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as place:
            place.bind(path)

    yield "missing", nothing
    yield "a folder", lambda: Path(path).mkdir()
    yield "a pipe", lambda: os.mkfifo(path)
    yield "a device without end", lambda: Path(path).symlink_to("/dev/zero")
    yield "a link to itself", lambda: Path(path).symlink_to(path)
    yield "a socket", listen
    yield "empty", write(path, b"")
    yield "random bytes", write(path, np.random.default_rng(1).bytes(5000))
    yield "a terabyte of nothing", steps(Path(path).touch, lambda: os.truncate(path, 1 << 40))


PORTS = "input [7:0] a, input [7:0] b, output [15:0] p"
TOUCH = f"touch {OUTSIDE}/executed"


def module(body: str, before: str = "") -> str:
    return f"{before}\nmodule top({PORTS});\n{body}\nendmodule\n"


def function(body: str) -> str:
    """A multiplier that needs a constant, which a function computes."""
    return module(
        f"function [15:0] f(input [31:0] n); integer i; begin f = 0; {body} end "
        "endfunction\nassign p = a * b + f(1);"
    )


def tower(levels: int) -> str:
    """Two instances of a module that has two of another, and so on."""
    parts = [f"module m0({PORTS}); assign p = a * b; endmodule"]
    for level in range(1, levels):
        parts.append(  # noqa: PERF401
            f"module m{level}({PORTS}); wire [15:0] q, r; m{level - 1} x(.a(a), .b(b), .p(q)); "
            f"m{level - 1} y(.a(b), .b(a), .p(r));"
            " assign p = q ^ r; endmodule"
        )
    return "\n".join(
        [*parts, f"module top({PORTS}); m{levels - 1} x(.a(a), .b(b), .p(p)); endmodule"]
    )


VERILOG: dict[str, str] = {
    "include": module("assign p = a * b;", '`include "/etc/passwd"'),
    "include behind a comment in a string": module(
        'localparam S = "/*"; assign p = a * b;\n`include "/etc/passwd"\nlocalparam T = "*/";',
    ),
    "foreign function behind a comment in a string": module(
        'localparam S = "/*"; import "DPI-C" function integer getpid(); localparam T = "*/"; '
        "localparam integer P = getpid();"
        " assign p = a * b + P;"
    ),
    "foreign system": module(
        'import "DPI-C" function integer system(input string s); localparam integer P = system("'
        + TOUCH
        + '");'
    ),
    "foreign function behind a macro": module(
        '`I "DPI-C" function integer getpid(); localparam integer P = getpid();', "`define I import"
    ),
    "foreign function from two macros": module(
        '`A`B "DPI-C" function integer getpid(); localparam integer P = getpid();',
        "`define A imp\n`define B ort",
    ),
    "foreign function from a paste": module(
        '`J(imp,ort) "DPI-C" function integer f();', "`define J(x,y) x``y"
    ),
    "readmem": module('reg [7:0] m [0:255]; initial $readmemh("/etc/passwd", m); assign p = m[a];'),
    "fopen": module('integer f; initial f = $fopen("../outside/written"); assign p = a * b;'),
    "system": module(f'initial $system("{TOUCH}"); assign p = a * b;'),
    "dumpfile": module(
        'initial begin $dumpfile("../outside/written"); $dumpvars; end assign p = a * b;'
    ),
    "writemem": module(
        'reg [7:0] m [0:255]; initial $writememh("../outside/written", m); assign p = m[a];'
    ),
    "another module of that name": "module other(input x); endmodule",
    "no module": "// nothing here",
    "a comment without end": "/* " + module("assign p = a * b;"),
    "a string without end": module('localparam S = "never;\nassign p = a * b;'),
    "other ports": "module top(input [7:0] a, output [15:0] p); assign p = a; endmodule",
    "an inout": "module top(input [7:0] a, input [7:0] b, inout [15:0] p); endmodule",
    "a loop": module("assign p = p ^ a;"),
    "a latch": (
        "module top(input [7:0] a, b, output reg [15:0] p); always @* if (a[0]) p = b; endmodule"
    ),
    "storage": (
        "module top(input clk, input [7:0] a, output reg [15:0] p); always @(posedge clk) "
        "p <= a; endmodule"
    ),
    "an unknown module inside": module("secret x(.a(a), .b(b), .p(p));"),
    "itself inside": module("top x(.a(a), .b(b), .p(p));"),
    "a thousand bits": (
        "module top(input [999:0] a, b, output [1999:0] p); assign p = a * b; endmodule"
    ),
    "a vector of a billion bits": module("wire [1000000000:0] w = a; assign p = w;"),
    "a replication of a billion": module("assign p = {1000000000{a}};"),
    "a memory of a billion words": module("reg [63:0] m [0:1000000000]; assign p = m[a];"),
    "a million parentheses": module(f"assign p = {'(' * 1_000_000}a{')' * 1_000_000};"),
    "an identifier of a megabyte": module(f"wire {'x' * 1_000_000}; assign p = a * b;"),
    "twenty storeys of pairs": tower(20),
    "macros that double thirty times": module(
        "assign p = `M30;",
        "`define M0 a +\n" + "\n".join(f"`define M{i} `M{i - 1} `M{i - 1}" for i in range(1, 31)),
    ),
    "a generate loop without end": module(
        "genvar i; generate for (i = 0; i >= 0; i = i + 1) begin : g wire w; end endgenerate"
    ),
    "a port of a strange name": (
        "module top(input [7:0] \\a;exec , input [7:0] b, output [15:0] p); assign p = b; endmodule"
    ),
    "NUL": module("assign p = a * b;\x00"),
    "UTF-16": module("assign p = a * b;").encode("utf-16").decode("latin-1"),
    "VHDL": "library ieee;\nentity top is\nend;",
    "five megabytes of comments": "// x\n" * 1_000_000 + module("assign p = a * b;"),
}
SLOW_VERILOG: dict[str, str] = {
    "a macro within itself": module("assign p = `M;", "`define M `M "),
    "a function without end": function("while (1) f = f + 1;"),
    "a function of two billion steps": function(
        "for (i = 0; i < 2000000000; i = i + 1) f = f + i;"
    ),
    "a function that calls itself": module(
        "function [15:0] f(input [31:0] n); f = f(n + 1); endfunction assign p = f(0);"
    ),
    "a chain of divisions": module(
        "assign p = " + " / ".join(["{a, b, a, b, a, b, a, b}"] * 400) + ";"
    ),
    "a generate loop of ten million": module(
        "genvar i; generate for (i = 0; i < 10000000; i = i + 1) begin : g wire w; end endgenerate"
    ),
}


def verilog() -> Iterator[Case]:
    commands = (
        ("metrics",),
        ("synth",),
        ("table", "-o", "t.npy"),
        ("export", "--mac", "-o", "out"),
        ("predict", "--network", "resnet20"),
    )
    for index, (name, text) in enumerate([*VERILOG.items(), *SLOW_VERILOG.items()]):
        command, *options = commands[index % len(commands)]
        content = text.encode("latin-1") if name == "UTF-16" else text
        yield Case(
            f"verilog: {name}",
            (command, "it.v:top", *options),
            write("it.v", content),
            slow=name in SLOW_VERILOG,
        )
    for name, make in places(".v"):
        yield Case(f"verilog: {name}", ("metrics", "it.v:top"), make)
    for top in (
        "top; exec -- " + TOUCH,
        "top\n!" + TOUCH,
        "",
        "-all",
        "\\top",
        "../../top",
        "t" * 100_000,
        "\x1b[31mtop",
    ):
        shown = top if len(top) < 50 else "a long one"
        yield Case(
            f"verilog: module {shown!r}",
            ("metrics", f"it.v:{top}"),
            write("it.v", module("assign p = a * b;")),
        )
    seeds = ("explore", "--network", "resnet20", "--out", "run", "--seed-design", "it.v:top")
    yield Case(
        "verilog: to start a search from",
        seeds,
        write("it.v", VERILOG["foreign function behind a comment in a string"]),
    )


UNITS = (
    "time_unit : 1ns; capacitive_load_unit (1, pf); voltage_unit : 1V; leakage_power_unit : "
    "1nW; nom_voltage : 1.2;"
)
TABLES = " ".join(
    f'{kind} (scalar) {{ values ("{{0}}"); }}'
    for kind in ("cell_rise", "rise_transition", "cell_fall", "fall_transition")
)


def liberty_text(
    head: str = UNITS,
    area: str = "1",
    capacitance: str = "0.01",
    value: str = "0.1",
    name: str = "inv",
    more: str = "",
) -> str:
    def cell(cell_name: str, inputs: str, expression: str) -> str:
        pins = " ".join(
            f"pin ({pin}) {{ direction : input; capacitance : {capacitance}; }}" for pin in inputs
        )
        arcs = " ".join(
            f"timing () {{ related_pin : {pin}; {TABLES.replace('{0}', value)} }}" for pin in inputs
        )
        output = f'pin (Y) {{ direction : output; function : "{expression}"; {arcs} }}'
        return f"cell ({cell_name}) {{ area : {area}; {pins} {output} {more} }}"

    return f"library (l) {{ {head} {cell(name, 'A', '!A')} {cell('nand2', 'AB', '!(A B)')} }}"


LIBERTY: dict[str, str] = {
    "no units": liberty_text("nom_voltage : 1.2;"),
    "no time unit": liberty_text(UNITS.replace("time_unit : 1ns;", "")),
    "no unit of capacitance": liberty_text(UNITS.replace("capacitive_load_unit (1, pf);", "")),
    "a unit of nothing": liberty_text(UNITS.replace("1ns", "0ns")),
    "a unit beyond all bounds": liberty_text(UNITS.replace("1ns", "1e300ns")),
    "a unit of something else": liberty_text(UNITS.replace("1ns", "1 fortnight")),
    "no voltage": liberty_text(UNITS.replace("nom_voltage : 1.2;", "")),
    "a negative voltage": liberty_text(UNITS.replace("1.2", "-1.2")),
    "a negative area": liberty_text(area="-1"),
    "an area that is no number": liberty_text(area="nan"),
    "an infinite area": liberty_text(area="inf"),
    "an absurd area": liberty_text(area="1e200"),
    "a negative capacitance": liberty_text(capacitance="-1"),
    "an infinite capacitance": liberty_text(capacitance="1e999"),
    "a delay that is no number": liberty_text(value="nan"),
    "an absurd delay": liberty_text(value="1e300"),
    "negative leakage": liberty_text(more="cell_leakage_power : -4;"),
    "a name with a command": liberty_text(name='"inv); exec -- touch x; ("'),
    "a name with a path": liberty_text(name='"../../inv"'),
    "groups without end": "library (l) {" * 5000,
    "half a million groups": "library (l) { " + "a () { } " * 600_000 + "}",
    "an expression of a megabyte": liberty_text().replace("!(A B)", "A&" * 500_000 + "A"),
    "too few values": liberty_text().replace(
        'values ("0.1")', 'index_1 ("1, 2"); index_2 ("1, 2"); values ("1, 2, 3")'
    ),
    "not Liberty": "this is no library",
    "cut short": liberty_text()[:-200],
}


def liberty() -> Iterator[Case]:
    command = ("synth", "drum:k=4", "--liberty", "it.lib")
    for name, text in LIBERTY.items():
        yield Case(f"liberty: {name}", command, write("it.lib", text))
    for name, make in places(".lib"):
        yield Case(f"liberty: {name}", command, make)
    yield Case(
        "liberty: a gzip bomb",
        command,
        steps(lambda: Path("it.lib").write_bytes(gzip.compress(bytes(200 << 20), 9))),
    )
    yield Case(
        "liberty: a cut gzip",
        command,
        write("it.lib", gzip.compress(liberty_text().encode())[:-20]),
    )
    yield Case(
        "liberty: for a search",
        ("explore", "--network", "resnet20", "--out", "r", "--liberty", "it.lib"),
        write("it.lib", "x"),
    )


class Code:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {OUTSIDE}/executed",)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def announcing(shape: tuple[int, ...], dtype: str = "<i4", data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + data


def archive(
    name: str, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED
) -> Callable[[], None]:
    def make() -> None:
        with zipfile.ZipFile(name, "w", kind) as file:
            for member, content in members.items():
                file.writestr(member, content)

    return make


EXACT = np.multiply.outer(np.arange(256), np.arange(256)).astype(np.int32)
NPY: dict[str, bytes] = {
    "pickled code": npy(np.array([[Code()]], dtype=object)),
    "a terabyte announced": announcing((1 << 20, 1 << 20)),
    "more announced than there are numbers": announcing((1 << 62, 1 << 62)),
    "a negative side": announcing((-256, 256)),
    "a header that is a program": b"\x93NUMPY\x01\x00\x40\x00"
    + b"__import__('os').system('touch ../outside/executed')".ljust(64),
    "a header of parentheses": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    "fractions": npy(EXACT / 2),
    "no number": npy(np.full((256, 256), np.nan)),
    "text": npy(np.full((16, 16), "a")),
    "a structure": npy(np.zeros((16, 16), dtype=[("a", "<i4"), ("b", "<f8")])),
    "three dimensions": npy(np.zeros((16, 16, 16), dtype=np.int32)),
    "no dimension": npy(np.int32(3)),
    "an odd side": npy(np.zeros((100, 100), dtype=np.int32)),
    "out of range": npy(EXACT.astype(np.int64) << 20),
    "negative": npy(-EXACT),
    "cut short": npy(EXACT)[:-1000],
    "more behind": npy(EXACT) + b"more",
}


def tables() -> Iterator[Case]:
    commands = (("metrics",), ("show", "-o", "out"), ("predict", "--network", "resnet20"))
    for index, (name, content) in enumerate(NPY.items()):
        command, *options = commands[index % 3]
        yield Case(f"table: {name}", (command, "it.npy", *options), write("it.npy", content))
        if index % 2:
            members = {
                "products.npy": content,
                "signed.npy": npy(np.bool_(False)),
                "name.npy": npy(np.str_("t")),
                "width.npy": npy(8),
            }
            yield Case(
                f"table: {name}, in an archive", ("metrics", "it.npz"), archive("it.npz", members)
            )
    for name, make in places(".npy"):
        yield Case(f"table: {name}", ("metrics", "it.npy"), make)
    bomb = {"products.npy": announcing((4096, 4096), "<i8", bytes(8 << 24))}
    yield Case(
        "table: a bomb",
        ("metrics", "it.npz"),
        archive("it.npz", bomb | {"signed.npy": npy(np.bool_(0)), "name.npy": bytes(1 << 26)}),
    )
    yield Case("table: nothing in it", ("metrics", "it.npz"), archive("it.npz", {}))
    yield Case(
        "table: other arrays", ("metrics", "it.npz"), archive("it.npz", {"a.npy": npy(EXACT)})
    )
    signed = {
        "products.npy": npy(EXACT),
        "signed.npy": npy(np.zeros(5)),
        "name.npy": npy(np.str_("t")),
    }
    yield Case("table: signed by five numbers", ("metrics", "it.npz"), archive("it.npz", signed))


SPECS = (
    "mask:bits=" + "f" * 100_000, "terms:sum=" + "00+" * 30_000 + "00",
    "", ":", "drum", "drum:k", "drum:k=", "drum:k=4,k=5",
    "drum:k=99999999999999999999",
    "drum:k=-1", "drum:k=1e3", "drum:k=0x4;exec",
    "drum:k=4,width=1000000000", "../../drum:k=4", "exact:signed=maybe", "\u202emurd:k=4",
    "$(touch ../outside/executed)", "{{7*7}}", "%s%n", "drum:k=4" * 10_000,
)  # fmt: skip


def specs() -> Iterator[Case]:
    for spec in SPECS:
        yield Case(f"spec: {spec[:30]!r}", ("metrics", "--", spec), nothing)
    for name in ("../exact", "__init__", "\x1b[2J", "x" * 10_000):
        yield Case(f"family: {name[:30]!r}", ("families", name), nothing)


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
    "a front of two thousand": crowded(2000),
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


#: The network whose files are changed.
def zoo_file(kind: str) -> Path:
    """The network's `safetensors`, `profile.npz` of the widest unsigned operands, or
    `predictor.json`, as they ship.
    """
    folder = Path(zoo.__file__).parent
    if kind == "safetensors":
        return folder / f"{NETWORK}.{kind}"
    found = [
        path
        for path in folder.glob(f"{NETWORK}.sign_magnitude.*{kind}")
        if "uncorrected" not in path.name
    ]
    return max(found, key=lambda path: (re.findall(r"\d+", path.name), path.name))


def predictor(change: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    def make() -> None:
        document = json.loads(zoo_file("predictor.json").read_text())
        change(document)
        write(f"zoo/{zoo_file('predictor.json').name}", json.dumps(document))()

    return make


def profile(change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Callable[[], None]:
    """A profile with its description (a dictionary) or its arrays changed."""

    def make() -> None:
        with np.load(zoo_file("profile.npz"), allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        change(about, arrays)
        arrays["about"] = np.array(json.dumps(about))
        Path("zoo").mkdir()
        np.savez(f"zoo/{zoo_file('profile.npz').name}", **arrays)

    return make


def weights(change: Callable[[dict[str, Any], dict[str, str]], Any]) -> Callable[[], None]:
    """Weights of a network with their tensors or their card changed."""

    def make() -> None:
        from safetensors import safe_open
        from safetensors.numpy import save_file

        with safe_open(zoo_file("safetensors"), framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            card = dict(file.metadata())
        change(tensors, card)
        Path("zoo").mkdir()
        save_file(tensors, f"zoo/{NETWORK}.safetensors", metadata=card)

    return make


def with_card(**changes: Any) -> Callable[[], None]:
    def change(tensors: dict[str, Any], card: dict[str, str]) -> None:
        card["card"] = json.dumps(json.loads(card["card"]) | changes)

    return weights(change)


def first(tensors: dict[str, Any], kind: type[np.generic]) -> str:
    return next(key for key, tensor in tensors.items() if tensor.dtype == kind)


PREDICTORS: dict[str, Callable[[], None]] = {
    "not JSON": write(f"zoo/{zoo_file('predictor.json').name}", "{"),
    "a list": write(f"zoo/{zoo_file('predictor.json').name}", "[]"),
    "an unknown key": predictor(lambda document: document.update(surprise=1)),
    "a key that is missing": predictor(lambda document: document.pop("law")),
    "no number in the law": predictor(
        lambda document: document["law"].update(dict.fromkeys(document["law"], NAN))
    ),
    "a spread of words": predictor(lambda document: document.update(spread_pp="wide")),
    "a negative spread": predictor(
        lambda document: document.update(spread_pp=[-1.0] * len(document["spread_pp"]))
    ),
    "an accuracy of 900 %": predictor(lambda document: document.update(exact_top1_pct=900.0)),
    "a calibration of one number": predictor(lambda document: document.update(calibration=[[1]])),
    "a format of the future": predictor(lambda document: document.update(format=10**9)),
}
PROFILES: dict[str, Callable[[], None]] = {
    "not numpy": write(f"zoo/{zoo_file('profile.npz').name}", "PK"),
    "two of its layers": profile(lambda about, arrays: about.update(layers=about["layers"][:2])),
    "an unknown key": profile(lambda about, arrays: about.update(surprise=1)),
    "a key that is missing": profile(lambda about, arrays: about.pop("exact_top1_pct")),
    "an accuracy that is no number": profile(
        lambda about, arrays: about.update(exact_top1_pct=NAN)
    ),
    "an accuracy of 900 %": profile(lambda about, arrays: about.update(exact_top1_pct=900.0)),
    "operands of a thousand bits": profile(
        lambda about, arrays: about.update({key: 1000 for key in about if key.startswith("width")})
    ),
    "negative multiplications": profile(lambda about, arrays: about["layers"][0].update(macs=-5)),
    "another network": profile(lambda about, arrays: about.update(network="../../outside/owned")),
    "margins that are no numbers": profile(
        lambda about, arrays: arrays.update(margins=np.full_like(arrays["margins"], np.nan))
    ),
    "histograms that are no numbers": profile(
        lambda about, arrays: arrays.update(
            activations_0=np.full_like(arrays["activations_0"], np.nan)
        )
    ),
    "a negative histogram": profile(
        lambda about, arrays: arrays.update(activations_0=-arrays["activations_0"])
    ),
    "a histogram of three values": profile(
        lambda about, arrays: arrays.update(activations_0=np.ones(3, np.float32) / 3)
    ),
    "margins of another shape": profile(
        lambda about, arrays: arrays.update(margins=np.zeros((7, 7), np.float32))
    ),
    "components of another shape": profile(
        lambda about, arrays: arrays.update(components=np.zeros((3, 5), np.int8))
    ),
    "pickled code": archive("it.npz", {}),
}
CARDS: dict[str, Callable[[], None]] = {
    "no card": weights(lambda tensors, card: card.clear()),
    "a card that is no JSON": weights(lambda tensors, card: card.update(card="{")),
    "an unknown key": with_card(surprise=1),
    "another architecture": with_card(network="__import__"),
    "images of no size": with_card(image_px=0),
    "images of a billion pixels a side": with_card(image_px=10**9),
    "a mean that is no number": with_card(mean=["a", "b", "c"]),
    "a deviation of zero": with_card(std=[0.0, 0.0, 0.0]),
    "no classes": with_card(classes=[]),
    "weights that are no numbers": weights(
        lambda tensors, card: tensors.update(
            {first(tensors, np.float32): np.full_like(tensors[first(tensors, np.float32)], np.nan)}
        )
    ),
    "a weight of another shape": weights(
        lambda tensors, card: tensors.update({first(tensors, np.int8): np.zeros((2, 2), np.int8)})
    ),
    "a weight that is missing": weights(lambda tensors, card: tensors.pop(first(tensors, np.int8))),
    "scales that are missing": weights(
        lambda tensors, card: tensors.pop(next(key for key in tensors if key.endswith(".scale")))
    ),
    "a header of 100 megabytes": write(
        f"zoo/{NETWORK}.safetensors", struct.pack("<Q", 100_000_000) + b"{" * 1000
    ),
    "a header beyond the file": write(f"zoo/{NETWORK}.safetensors", struct.pack("<Q", 1 << 62)),
}


def zoos() -> Iterator[Case]:
    predict = ("predict", "drum:k=4", "--network", NETWORK, "--zoo", "zoo")
    for name, make in PREDICTORS.items():
        yield Case(f"predictor: {name}", predict, make)
    for name, make in PROFILES.items():
        if name == "pickled code":
            members = {"about.npy": npy(np.array([Code()], dtype=object))}
            make = steps(Path("zoo").mkdir, archive(f"zoo/{zoo_file('profile.npz').name}", members))
        yield Case(f"profile: {name}", predict, make)
    emulate = (
        "emulate",
        "drum:k=4",
        "--network",
        NETWORK,
        "--zoo",
        "zoo",
        "--data",
        "digits",
        "--images",
        "4",
    )
    for name, make in CARDS.items():
        yield Case(f"weights: {name}", emulate, make)
    yield Case("zoo: a folder that is none", (*predict[:-1], "nowhere"), nothing)
    for network in (
        "../../etc/passwd",
        "/etc/passwd",
        f"{NETWORK}\0",
        f"{NETWORK}/../{NETWORK}",
        "\x1b[2J",
        "x" * 10_000,
    ):
        yield Case(
            f"zoo: network {network[:20]!r}", ("predict", "drum:k=4", "--network", network), nothing
        )


def jpeg(width: int = 32, height: int = 32, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, kind)
    return stream.getvalue()


def packed(**changes: Any) -> Callable[[], None]:
    image = jpeg()
    arrays = {
        "jpeg": np.frombuffer(image * 4, np.uint8),
        "offset": np.arange(5) * len(image),
        "label": np.zeros(4, np.int64),
        "classes": np.array([f"c{index}" for index in range(10)]),
    }
    kept: dict[str, Any] = {
        name: value for name, value in (arrays | changes).items() if value is not None
    }
    return lambda: np.savez("it.npz", allow_pickle=True, **kept)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that announces so many pixels and has none."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


PACKED: dict[str, Callable[[], None]] = {
    "no labels": packed(label=None),
    "labels out of range": packed(label=np.full(4, 99)),
    "negative labels": packed(label=np.full(4, -1)),
    "labels that are fractions": packed(label=np.full(4, 0.5)),
    "labels in two dimensions": packed(label=np.zeros((2, 2), np.int64)),
    "offsets beyond the end": packed(offset=np.arange(5) * 10**6),
    "offsets that fall": packed(offset=np.arange(5)[::-1].copy()),
    "offsets that are no numbers": packed(offset=np.full(5, np.nan)),
    "no JPEG": packed(jpeg=np.zeros(4 * len(jpeg()), np.uint8)),
    "PNG where JPEG is announced": packed(
        jpeg=np.frombuffer(huge_png(8, 8), np.uint8),
        offset=np.array([0, 60]),
        label=np.zeros(1, np.int64),
    ),
    "PostScript where JPEG is announced": packed(
        jpeg=np.frombuffer(
            (
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch ../outside/executed) "
                b"system\n"
            ),
            np.uint8,
        ),
        offset=np.array([0, 70]),
        label=np.zeros(1, np.int64),
    ),
    "pickled classes": packed(classes=np.array([Code()], dtype=object)),
    "an image of another size": packed(
        jpeg=np.frombuffer(jpeg() + jpeg(16), np.uint8),
        offset=np.array([0, len(jpeg()), len(jpeg() + jpeg(16))]),
        label=np.zeros(2, np.int64),
    ),
}


def batch(content: Any, protocol: int = 2) -> Callable[[], None]:
    data = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    return write("data/test_batch", data)


IMAGES = np.zeros((4, 3072), np.uint8)
TEN: list[Any] = [0] * 10
for _ in range(8):
    TEN = [TEN] * 10
BATCHES: dict[str, Callable[[], None]] = {
    "code": batch({b"data": Code(), b"labels": [0]}),
    "a builtin": batch(b"\x80\x02c__builtin__\neval\nX\x04\x00\x00\x001+1 \x85R."),
    "a function of numpy": batch(b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R."),
    "an array of a terabyte": batch(
        b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R."
    ),
    "a memory slot of four billion": batch(b"\x80\x02}r\xff\xff\xff\xfe."),
    "a bytearray of a terabyte": batch(b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00."),
    "a list within lists": batch({b"data": TEN, b"labels": [0]}),
    "no dictionary": batch([1, 2, 3]),
    "no labels": batch({b"data": IMAGES}),
    "labels out of range": batch({b"data": IMAGES, b"labels": [0, 1, 2, 77]}),
    "labels of words": batch({b"data": IMAGES, b"labels": list("abcd")}),
    "too few images": batch({b"data": IMAGES[:3], b"labels": [0, 1, 2, 3]}),
    "fractions": batch({b"data": IMAGES / 2, b"labels": [0, 1, 2, 3]}),
    "cut short": batch(pickle.dumps({b"data": IMAGES, b"labels": [0] * 4}, 2)[:-500]),
    "empty": batch(b""),
}
IDX: dict[str, tuple[bytes, bytes]] = {
    "a terabyte announced": (
        b"\0\0\x08\x03" + struct.pack(">III", 1 << 20, 1 << 10, 1 << 10),
        b"\0\0\x08\x01" + struct.pack(">I", 1),
    ),
    "cut short": (
        b"\0\0\x08\x03" + struct.pack(">III", 2, 4, 4) + bytes(31),
        b"\0\0\x08\x01" + struct.pack(">I", 2) + bytes(2),
    ),
    "other counts": (
        b"\0\0\x08\x03" + struct.pack(">III", 2, 4, 4) + bytes(32),
        b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes(3),
    ),
    "fractions": (
        b"\0\0\x0d\x03" + struct.pack(">III", 1, 1, 1) + bytes(4),
        b"\0\0\x08\x01" + struct.pack(">I", 1) + bytes(1),
    ),
    "no images": (
        b"\0\0\x08\x03" + struct.pack(">III", 0, 4, 4),
        b"\0\0\x08\x01" + struct.pack(">I", 0),
    ),
    "nothing": (b"", b""),
}
PICTURES: dict[str, bytes] = {
    "no image": b"GIF89a no",
    "forty gigapixels": huge_png(200_000, 200_000),
    "a hundred megapixels": huge_png(10_000, 10_000),
    "forty megapixels": huge_png(8_000, 5_000),
    "cut short": jpeg()[:200],
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "TIFF": jpeg(kind="TIFF"),
    "empty": b"",
}


def data() -> Iterator[Case]:
    def command(path: str) -> tuple[str, ...]:
        return ("emulate", "drum:k=4", "--network", NETWORK, "--data", path, "--images", "4")

    for name, make in PACKED.items():
        yield Case(f"packed JPEG: {name}", command("it.npz"), make)
    for name, make in BATCHES.items():
        yield Case(f"python batch: {name}", command("data"), make)
    yield Case(
        "binary batch: half a record", command("data"), write("data/test_batch.bin", bytes(5000))
    )
    yield Case(
        "binary batch: labels out of range",
        command("data"),
        write("data/test_batch.bin", b"\x4d" + bytes(3072)),
    )
    for name, (images, labels) in IDX.items():
        files = (
            write("data/t10k-images-idx3-ubyte", images),
            write("data/t10k-labels-idx1-ubyte", labels),
        )
        yield Case(f"IDX: {name}", command("data"), steps(*files))

    def zipped() -> tuple[str, bytes]:
        return "data/t10k-images-idx3-ubyte.gz", gzip.compress(bytes(4 << 20), 9) * 300

    yield Case(
        "IDX: a gzip bomb",
        command("data"),
        steps(lambda: write(*zipped())(), write("data/t10k-labels-idx1-ubyte", b"")),
        slow=True,
    )
    for name, content in PICTURES.items():
        yield Case(f"image folder: {name}", command("data"), write("data/class/it.png", content))
    yield Case("image folder: none", command("data"), lambda: Path("data").mkdir())
    yield Case(
        "image folder: pixels without end",
        (*command("data"), "--image-px", "2000000000"),
        write("data/class/it.png", jpeg(kind="PNG")),
    )
    for name, make in places(".npz"):
        yield Case(f"data: {name}", command("it.npz"), make)


NETWORKS: dict[str, str] = {
    "that leaves": "raise SystemExit(0)",
    "that does not parse": "def make(:",
    "that fails": "def make(): raise RuntimeError('\\x1b[31m no\\nno')",
    "that makes nothing": "def make(): return None",
    "that leaves when it is called": "import sys\ndef make(): sys.exit()",
    "without the function": "x = 1",
}


def networks() -> Iterator[Case]:
    command = (
        "emulate",
        "drum:k=4",
        "--network",
        "net.py:make",
        "--weights",
        "w.safetensors",
        "--data",
        "digits",
    )
    for name, text in NETWORKS.items():
        yield Case(f"own network: one {name}", command, write("net.py", text))
    linear = (
        "import torch\ndef make(): return torch.nn.Sequential(torch.nn.Flatten(), "
        "torch.nn.Linear(64, 10))"
    )
    contents = {
        "empty": b"",
        "a header beyond the file": struct.pack("<Q", 1 << 62),
        "no tensors": struct.pack("<Q", 2) + b"{}",
    }
    for name, content in contents.items():
        yield Case(
            f"own weights: {name}",
            command,
            steps(write("net.py", linear), write("w.safetensors", content)),
        )
    yield Case(
        "own weights: a pipe",
        command,
        steps(write("net.py", linear), lambda: os.mkfifo("w.safetensors")),
    )


def checkpoint(**changes: Any) -> Callable[[], None]:
    record = {"recipe": {}, "epoch": 1, "tensors": "epoch1.safetensors", "log": []}
    return write(f"zoo/{NETWORK}.checkpoints/checkpoint.json", json.dumps(record | changes))


CHECKPOINTS: dict[str, Callable[[], None]] = {
    "not JSON": write(f"zoo/{NETWORK}.checkpoints/checkpoint.json", "{"),
    "another recipe": checkpoint(),
    "tensors elsewhere": checkpoint(tensors="../../../outside/tensors.safetensors"),
    "an unknown key": checkpoint(surprise=1),
    "an epoch with a fraction": checkpoint(epoch=0.5),
}


def trainings() -> Iterator[Case]:
    command = (
        "train",
        "--network",
        NETWORK,
        "--data",
        "digits",
        "--test",
        "digits",
        "--out",
        "zoo",
        "--epochs",
        "1",
    )
    for name, make in CHECKPOINTS.items():
        yield Case(f"checkpoint: {name}", command, make)
    emulated = ("calibrate", "--network", NETWORK, "--data", "it.npz", "--out", "zoo")
    yield Case("emulated accuracies: too few images", emulated, packed())


def outputs() -> Iterator[Case]:
    for name, command in {
        "a table": ("table", "exact:width=4", "-o", "it/t.npy"),
        "a table that is a pipe": ("table", "exact:width=4", "-o", "pipe.npy"),
        "a table of no kind": ("table", "exact:width=4", "-o", "t.txt"),
        "pictures": ("show", "exact:width=4", "-o", "it/x"),
        "Verilog": ("export", "exact:width=4", "-o", "it"),
        "a run": ("explore", "--network", "resnet20", "--out", "it"),
        "a profile": ("profile", "--network", NETWORK, "--data", "digits", "--out", "it/x"),
        "a calibration": ("calibrate", "--network", NETWORK, "--data", "digits", "--out", "it/x"),
        "a study": ("study", "--networks", NETWORK, "--data", "digits", "--out", "it/x"),
        "weights": (
            "train",
            "--network",
            NETWORK,
            "--data",
            "digits",
            "--test",
            "digits",
            "--out",
            "it/x",
        ),
    }.items():
        yield Case(
            f"output: {name}", command, steps(write("it", ""), lambda: os.mkfifo("pipe.npy"))
        )


CASES = [
    *verilog(),
    *liberty(),
    *tables(),
    *specs(),
    *runs(),
    *searches(),
    *zoos(),
    *data(),
    *networks(),
    *trainings(),
    *outputs(),
]
assert len({case.name for case in CASES}) == len(CASES)
