"""Verilog that is none, is too much, or tries to run something."""

from __future__ import annotations

from collections.abc import Iterator

from hostile.cases import OUTSIDE, Case, places, write

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
