"""Prints a Markdown table of emulated accuracies: the zoo's networks under exact products and the
tables of a file.

    python scripts/emulated_accuracy_table.py TABLES.npz --networks resnet8 resnet8-fashion
        --data images.npz fashion-mnist [--images 1000]

Every figure is what `dse emulate exact TABLES.npz --network N --data D` prints. Each network takes
the first data of its classes. Tables are of unsigned multipliers and stand in the order of their
mean absolute errors under uniform operands.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cnn_eval.datasets import Dataset, load_dataset
from cnn_eval.emulation import measure_top1
from cnn_eval.zoo import shipped_network, zoo_network
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable, error_metrics


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path)
    parser.add_argument("--networks", nargs="+", required=True)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--encoding", type=OperandEncoding, default=OperandEncoding.SIGN_MAGNITUDE)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    found = [
        (error_metrics(table).nmed_pct, table)
        for table in ProductTable.load_collection(arguments.tables)
    ]
    rows = [(0.0, ProductTable.exact(8, signed=False)), *sorted(found, key=lambda row: row[0])]
    columns = []
    for name in arguments.networks:
        network, data = shipped_network(name, arguments.encoding), data_of(name, arguments.data)
        columns.append(
            [
                measure_top1(network, table, data, images=arguments.images).top1_pct
                for _, table in rows
            ]
        )
    print("| multiplier | NMED, % | " + " | ".join(arguments.networks) + " |")
    print("|---|---|" + "---|" * len(columns))
    for (nmed_pct, table), *top1_pct in zip(rows, *columns, strict=True):
        print(
            f"| {table.name} | {nmed_pct:.3g} | "
            + " | ".join(f"{value:.1f}" for value in top1_pct)
            + " |"
        )


def data_of(name: str, paths: list[str]) -> Dataset:
    network = zoo_network(name)
    sets = [load_dataset(path, image_px=network.image_px) for path in paths]
    return next(data for data in sets if data.classes == network.classes)


if __name__ == "__main__":
    main()
