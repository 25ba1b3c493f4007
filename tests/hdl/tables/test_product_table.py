"""Product tables: from gates, from files, and what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from family_checks import example

from hdl.multipliers.elaboration import product
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import code_values
from hdl.tables.product_table import ProductTable, TableError, TableMissingError


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
def test_the_table_from_gates_is_the_rule_of_the_family(family: str, signed: bool) -> None:
    spec = example(family, signed=signed)
    values = code_values(8, signed=signed)
    table = ProductTable.of(spec)
    np.testing.assert_array_equal(table.products, product(spec, values[:, None], values))
    assert (table.widths, table.signed, table.name) == ((8, 8), signed, str(spec))


@pytest.mark.parametrize(("width", "signed"), [(4, False), (4, True), (12, False), (12, True)])
def test_exact_tables_and_their_errors(width: int, signed: bool) -> None:
    table = ProductTable.exact(width, signed)
    assert not table.errors.any()
    assert table.products.dtype == np.int32
    assert table.products[1 << width - 1, 1 << width - 1] == 1 << 2 * width - 2
    assert table.products[(1 << width) - 1, 1] == (-1 if signed else (1 << width) - 1)


def test_rows_are_the_first_operand() -> None:
    products = ProductTable.exact(4).products.copy()
    products[3, 5] = 0
    assert ProductTable(products, False, "x").errors[3, 5] == -15


def test_a_table_does_not_change() -> None:
    mine = ProductTable.exact(4).products.copy()
    table = ProductTable(mine, False, "x")
    mine[0, 0] = 1
    assert table.products[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        table.products[0, 0] = 1


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_save_and_load(tmp_path: Path, signed: bool, suffix: str) -> None:
    table = ProductTable.of(MultiplierSpec.make("exact", width=6, signed=signed))
    path = tmp_path / f"table{suffix}"
    table.save(path)
    loaded = ProductTable.load(path, signed=signed)
    np.testing.assert_array_equal(loaded.products, table.products)
    assert (loaded.widths, loaded.signed) == ((6, 6), signed)
    assert loaded.name == (table.name if suffix == ".npz" else "table.npy")


def test_npz_records_how_it_came_to_be_and_is_reproducible(tmp_path: Path) -> None:
    table = ProductTable.of(MultiplierSpec.make("exact", width=4))
    table.save(tmp_path / "a.npz")
    table.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as fields:
        assert str(fields["name"]) == table.name
        assert str(fields["yosys_version"])[0].isdigit()
    with pytest.raises(TableError, match="the table is unsigned"):
        ProductTable.load(tmp_path / "a.npz", signed=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((256, 255), np.int32), r"shape is 256 x 255; a table has 2\^m rows"),
        (np.zeros((100, 100), np.int32), "shape is 100 x 100"),
        (np.zeros(256, np.int32), "shape is 256; "),
        (np.int32(5), "shape is a single number; a table has"),
        (np.zeros((0, 0), np.int32), "shape is 0 x 0; a table has"),
        (np.zeros((16, 16)), "products are float64"),
        (
            np.full((16, 16), 256),
            r"products span 256\.\.256, outside the 0\.\.255 of unsigned 8-bit products",
        ),
        (np.full((16, 16), -1), "is it a signed table"),
        (np.full((16, 16), 1 << 40), "unsigned products have up to 32 bits"),
        (np.array([[{}]], dtype=object), "pickled"),
    ],
)
def test_files_that_are_no_tables_are_one_line(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    path = tmp_path / "t.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(TableError, match=message) as caught:
        ProductTable.load(path)
    assert "\n" not in str(caught.value)
    assert "t.npy" in str(caught.value)


def test_damaged_and_foreign_files_are_one_line(tmp_path: Path) -> None:
    for name, content in {"empty.npy": b"", "text.npy": b"hello", "text.npz": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=rf"not a product table: '.*{name}' is not a numpy"):
            ProductTable.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(
        TableError, match=r"not a product table: '.*other\.npz' holds no array 'products'"
    ):
        ProductTable.load(tmp_path / "other.npz")
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("products.npy", "w") as member,
    ):
        for _ in range(160):
            member.write(bytes(1 << 20))
    with pytest.raises(TableError, match=r"bomb\.npz' unpacks to more than 128 MiB|holds no array"):
        ProductTable.load(tmp_path / "bomb.npz")
    ProductTable.exact(4).save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:100])
    with pytest.raises(TableError, match=r"cut\.npz' is not a numpy"):
        ProductTable.load(tmp_path / "cut.npz")


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(TableMissingError, match=r"none\.npy' cannot be read \(No such file"):
        ProductTable.load(tmp_path / "none.npy")
    with pytest.raises(TableMissingError, match="cannot write the table"):
        ProductTable.exact(4).save(tmp_path / "nowhere" / "t.npy")
    for action in (ProductTable.load, ProductTable.exact(4).save):
        with pytest.raises(TableError, match=r"\.csv"):
            action(tmp_path / "t.csv")


def test_wide_multipliers_have_no_table() -> None:
    with pytest.raises(
        TableError, match="operands of up to 24 bits together, not 16x9; sample operands instead"
    ):
        ProductTable.exact((16, 9))
    with pytest.raises(TableError, match=r"exact:width=16: .*up to 24 bits together, not 16x16"):
        ProductTable.of(MultiplierSpec.make("exact", width=16))


def test_a_collection_of_tables(tmp_path: Path) -> None:
    exact, wrong = ProductTable.exact(4), np.zeros((16, 16), dtype=np.int16)
    np.savez(tmp_path / "many.npz", exact=exact.products, zero=wrong)
    found = ProductTable.load_collection(tmp_path / "many.npz")
    assert [(table.name, table.widths, table.signed) for table in found] == [
        ("exact", (4, 4), False),
        ("zero", (4, 4), False),
    ]
    np.testing.assert_array_equal(found[0].products, exact.products)
    exact.save(tmp_path / "one.npz")
    assert [table.name for table in ProductTable.load_collection(tmp_path / "one.npz")] == [
        exact.name
    ]
    np.savez(tmp_path / "bad.npz", shape=np.zeros((16, 7), dtype=np.int32))
    with pytest.raises(TableError, match=r"shape: shape is 16 x 7; a table has 2\^m rows"):
        ProductTable.load_collection(tmp_path / "bad.npz")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(TableError, match="holds no table"):
        ProductTable.load_collection(tmp_path / "empty.npz")
