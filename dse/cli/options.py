"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AccumulatorBits",
    "Array",
    "AsJson",
    "Clock",
    "Cluster",
    "Correction",
    "Data",
    "ElementText",
    "Encoding",
    "ImagePx",
    "Images",
    "Labels",
    "Liberty",
    "Mac",
    "MemoryEnergy",
    "Network",
    "NumberFormat",
    "OwnOrZooNetwork",
    "Pipeline",
    "Signed",
    "Spec",
    "SpecOrAssignment",
    "Specs",
    "Weights",
    "Zoo",
    "ZooNetwork",
]

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="A multiplier: drum:k=4, bam:h=0,v=6,comp=80, own.v:top, or table.npy."
    ),
]
Signed = Annotated[
    bool, typer.Option("--signed", help="Operands of own.v or table.npy are two's complement.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Liberty = Annotated[
    Path | None, typer.Option(help="Cell library, .lib or .lib.gz. [default: the one that ships]")
]
Network = Annotated[
    str, typer.Option(help="Take operands as this network has them. [default: uniform]")
]
Encoding = Annotated[
    str, typer.Option(help="Number format of --network. [default: by the multiplier's signedness]")
]
NumberFormat = Annotated[
    str,
    typer.Option("--encoding", help="Number format: sign_magnitude, twos_complement, unsigned."),
]
Mac = Annotated[
    bool,
    typer.Option(
        "--mac",
        help=(
            "The multiply-accumulate element around the multiplier: registers and accumulator, too."
        ),
    ),
]
ElementText = Annotated[
    str,
    typer.Option(
        "--element",
        metavar="FORM",
        help=(
            "An element of any form, its sum as wide as the network needs: mac, "
            "dot:lanes=8,adder=prefix,gate=zero, ..."
        ),
    ),
]
Clock = Annotated[
    float | None,
    typer.Option(
        "--clock",
        metavar="PS",
        min=1,
        max=1_000_000,
        help="Clock period that an element is used at. [default: the least]",
    ),
]
Array = Annotated[
    str,
    typer.Option(
        "--array",
        metavar="ROWSxCOLUMNS",
        help=(
            "A systolic array of such elements, for example 8x8; with --element, of those, and "
            "the network in it."
        ),
    ),
]
MemoryEnergy = Annotated[
    float,
    typer.Option(
        "--memory-energy",
        metavar="PJ",
        min=0,
        max=1_000_000,
        help="Energy of every byte that the array reads or writes. [default: not counted]",
        show_default=False,
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help=(
            "Scheduler of dask.distributed, tcp://HOST:PORT or tls://HOST:PORT, whose workers do "
            "the work. [default: processes of this machine]"
        ),
    ),
]
Pipeline = Annotated[
    bool,
    typer.Option(
        "--pipeline", help="Registers between the multiplier and the accumulator of the element."
    ),
]
AccumulatorBits = Annotated[
    int | None, typer.Option(help="Width of the sums. [default: a product's and 8 more]")
]
ZooNetwork = Annotated[str, typer.Option(help="Network of the zoo, e.g. resnet20.")]
OwnOrZooNetwork = Annotated[
    str,
    typer.Option(
        help=(
            "Network of the zoo, e.g. resnet20, of a package, efficientnet-lite0, or your own: "
            "module.py:factory, model.onnx, or torchvision:resnet50 with weights."
        )
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights of your own network: its state dict as safetensors.")
]
SpecOrAssignment = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help=(
            "A multiplier: drum:k=4, own.v:top or table.npy; or a design for every layer, "
            "assignment.json."
        ),
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Names of the network's classes, one a line, to find those of the images by. "
            "[default: the same classes in the same order]"
        )
    ),
]
Specs = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC...",
        help=(
            "Multipliers: drum:k=4, own.v:top, table.npy, or many in tables.npz; or a design for "
            "every layer, assignment.json."
        ),
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        help=(
            "Images: packed JPEG, CIFAR or IDX files, an image folder, or fashion-mnist or digits."
        )
    ),
]
Zoo = Annotated[
    Path | None,
    typer.Option(help="Folder of your own networks, looked into before the shipped zoo."),
]
ImagePx = Annotated[
    int,
    typer.Option(
        min=0,
        help="Size that image files are resized to. [default: the network's]",
        show_default=False,
    ),
]
Correction = Annotated[
    bool,
    typer.Option(
        "--correction/--no-correction",
        help="Estimate the scale and bias of layers anew with the multiplier in place.",
    ),
]
Images = Annotated[int, typer.Option(min=1, help="How many of the images to use.")]
