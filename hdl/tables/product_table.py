"""Product tables: everything a multiplier computes, as one array."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import yosys
from ..errors import InputError, MissingError
from ..files import FileError, MissingFileError, read_npy, read_npz, write_whole
from ..operands import Width, Widths, code_values, values_of_codes
from ..yosys import gate_netlist

__all__ = ["MAX_BITS", "ProductTable", "TableError", "TableMissingError", "check_widths"]

MAX_BITS = gate_netlist.MAX_EXHAUSTIVE_BITS
"""The bits that both operands of a table have at most together (2^24 products)."""

_FORMAT = 2
_FILE_LIMIT_BYTES = 8 * (1 << MAX_BITS) + 4096
_COLLECTION_LIMIT_BYTES = 512 << 20


class TableError(InputError):
    """A table that is none: one line with the file or name, what is wrong and what a table looks
    like.
    """


class TableMissingError(TableError, MissingError):
    """A table file that cannot be read or written."""


class _Circuit(Protocol):
    """What a table is made of: a multiplier with a circuit."""

    @property
    def name(self) -> str: ...

    @property
    def widths(self) -> Widths: ...

    @property
    def signed(self) -> bool: ...

    def rtlil(self) -> str: ...


@dataclass(frozen=True, eq=False)
class ProductTable:
    """All products of a multiplier.

    `products` is int32 of shape (2^width_a, 2^width_b), indexed [a code, b code] (a: activation, b:
    weight), and holds product **values**: on a `signed` multiplier codes are two's complement and
    products may be negative. The array is read-only. `name` is the text of the spec, or the name of
    the file it came from. Raises TableError when shape, type or range do not fit.
    """

    products: NDArray[np.int32]
    signed: bool
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "products", _checked(self.products, self.signed, self.name))

    @property
    def widths(self) -> Widths:
        """Bits of the operand codes."""
        return _widths_of(self.products)

    @property
    def width_a(self) -> int:
        """Bits of an activation's code."""
        return self.widths.a

    @property
    def width_b(self) -> int:
        """Bits of a weight's code."""
        return self.widths.b

    @property
    def width_p(self) -> int:
        """Bits of the products: as many as both operands have, or as the largest product needs."""
        products = (int(self.products.min()), int(self.products.max()))
        return max(
            self.widths.product,
            *((~value if value < 0 else value).bit_length() + self.signed for value in products),
        )

    @classmethod
    def of(cls, multiplier: _Circuit) -> ProductTable:
        """The table of a multiplier, computed from the gates of its RTL. Raises TableError past 24
        bits together, YosysError.
        """
        check_widths(multiplier.widths, multiplier.name)
        return cls.of_rtlil(multiplier.rtlil(), signed=multiplier.signed, name=multiplier.name)

    @classmethod
    def of_rtlil(cls, text: str, *, signed: bool, name: str) -> ProductTable:
        """The table of the RTLIL module `multiplier` with ports a, b, p. Raises TableError,
        gate_netlist.NetlistError, yosys.YosysError.
        """
        gates = gate_netlist.gates(text, subject=name)
        check_widths(gates.widths, name)
        codes = gates.evaluate_all()
        products = (
            values_of_codes(codes, len(gates.p), signed=True).astype(np.int32) if signed else codes
        )
        return cls(products, signed, name)

    @classmethod
    def exact(cls, width: Width = 8, signed: bool = False) -> ProductTable:
        """The table without errors."""
        widths = Widths.of(width)
        check_widths(widths, "exact table")
        return cls(
            exact_products(widths, signed),
            signed,
            f"exact{' signed' if signed else ''} {widths.a}x{widths.b} products",
        )

    @property
    def errors(self) -> NDArray[np.int32]:
        """Products minus exact products, the matrix Delta of the literature: int32, shape
        (2^width_a, 2^width_b), indexed [a, b].
        """
        return self.products - exact_products(self.widths, self.signed)

    @cached_property
    def sha256(self) -> str:
        """Hash of the products and of how codes are read: what a multiplier does, whatever it is
        called.
        """
        head = f"{self.widths} {self.signed} "
        return hashlib.sha256(head.encode() + self.products.astype("<i4").tobytes()).hexdigest()

    # What `hdl.multipliers.Multiplier` asks for, of a multiplier that has no circuit.

    family: ClassVar[str] = "table"

    @property
    def identifier(self) -> str:
        """A name for files, another for each table."""
        return f"mul{self.widths}{'s' if self.signed else 'u'}_table_{self.sha256[:10]}"

    @property
    def description(self) -> tuple[str, ...]:
        """What it is, in lines."""
        return (f"The product table {self.name}.",)

    def rtlil(self, *, carry_chains: bool = False) -> str:
        """Raises TableError: a table has no circuit."""
        raise TableError(
            f"{self.name} is a table, which has no circuit; give a spec or Verilog (mul.v:top)"
        )

    def component(self) -> None:
        """No table is a circuit."""

    def dots(self) -> None:
        """No table has partial products."""

    def merge_into(self, columns: object, a: object, b: object) -> bool:
        """No table has partial products."""
        return False

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product values of operand codes, which broadcast."""
        found: NDArray[np.int64] = self.products[np.asarray(a), np.asarray(b)].astype(np.int64)
        return found

    def table(self) -> ProductTable:
        """Itself."""
        return self

    def __str__(self) -> str:
        return self.name

    def for_operands(self, widths: Sequence[Widths]) -> ProductTable:
        """The table as operands of the first of these widths see it that do not exceed its own;
        itself, if its own are among them.

        Operand bits that never occur are tied off: to 0, or on a `signed` table to the sign. Raises
            TableError where all are wider.
        """
        if self.widths in widths:
            return self
        fitting = next(
            (one for one in widths if one.a <= self.width_a and one.b <= self.width_b), None
        )
        if fitting is None:
            there = ", ".join(f"{one.a}x{one.b}" for one in widths)
            raise TableError(
                f"{self.name}: {self.width_a}x{self.width_b} operands are too narrow; the network "
                f"takes {there}"
            )
        a, b = (
            code_values(narrow, signed=self.signed) & ((1 << wide) - 1)
            for narrow, wide in zip(fitting, self.widths, strict=True)
        )
        return ProductTable(
            self.products[np.ix_(a, b)], self.signed, f"{self.name}@{fitting.a}x{fitting.b}"
        )

    def save(self, path: Path | str) -> None:
        """Writes `.npy` (the products alone) or `.npz` (with name, width, signedness and versions).
        Raises TableError.
        """
        path = Path(path)
        content = io.BytesIO()
        if path.suffix == ".npy":
            np.save(content, self.products, allow_pickle=False)
        elif path.suffix == ".npz":
            np.savez_compressed(content, allow_pickle=False, **self._record())
        else:
            raise TableError(
                f"{path}: a table is saved as .npy or .npz, not {path.suffix or 'without a suffix'}"
            )
        try:
            write_whole(path, content.getvalue())
        except MissingFileError as error:
            raise TableMissingError(f"cannot write the table: {error}") from error

    @classmethod
    def load(cls, path: Path | str, *, signed: bool | None = None) -> ProductTable:
        """Reads what `save` wrote, or anybody's `.npy` of integers of shape (2^m, 2^n) indexed [a
        code, b code].

        A `.npy` does not say how its codes are read: `signed` does (None: unsigned). With a `.npz`,
        a `signed` that contradicts the file is refused. Raises TableError.
        """
        path = Path(path)
        if path.suffix not in (".npy", ".npz"):
            raise TableError(
                f"{path}: a table is a .npy or .npz file, not {path.suffix or 'without a suffix'}"
            )
        fields = _read(path)
        products = fields["products"]
        if path.suffix == ".npy":
            return _of_file(products, bool(signed), path.name)
        if (
            fields["signed"].shape
            or fields["signed"].dtype != np.bool_
            or fields["name"].shape
            or fields["name"].dtype.kind != "U"
        ):
            raise TableError(
                f"{path}: 'signed' is no truth value, or 'name' no text; make a table with: dse "
                "table SPEC -o T.npz"
            )
        recorded = bool(fields["signed"])
        if signed is not None and signed != recorded:
            raise TableError(
                f"{path}: the table is {'signed' if recorded else 'unsigned'}; drop the "
                "contradicting signedness"
            )
        return cls(products, recorded, str(fields["name"]))

    @classmethod
    def load_collection(cls, path: Path | str, *, signed: bool = False) -> list[ProductTable]:
        """The tables of an `.npz` whose every array is one, by their names in it; what `save` wrote
        is one table. Raises TableError.
        """
        path = Path(path)
        if path.suffix != ".npz":
            return [cls.load(path, signed=signed)]
        arrays = _read_arrays(path, None)
        if "products" in arrays:
            return [cls.load(path)]
        if not arrays:
            raise TableError(
                f"{path}: holds no table; every array in it is one, indexed [a code, b code]"
            )
        return [_of_file(array, signed, name) for name, array in arrays.items()]

    def _record(self) -> dict[str, Any]:
        return {
            "products": self.products,
            "widths": np.array(self.widths, dtype=np.int32),
            "signed": np.bool_(self.signed),
            "name": np.str_(self.name),
            "format": np.int32(_FORMAT),
            "ameliorate_version": np.str_(_ameliorate_version()),
            "yosys_version": np.str_(yosys.version()),
        }


def exact_products(widths: Widths, signed: bool) -> NDArray[np.int32]:
    """Exact products of all operand codes: int32, shape (2^width_a, 2^width_b)."""
    a, b = (code_values(width, signed=signed).astype(np.int32) for width in widths)
    return np.multiply.outer(a, b)


def check_widths(widths: Widths, name: str) -> None:
    """Raises TableError where operands have too many bits for a table of all products."""
    if min(widths) < 1 or widths.product > MAX_BITS:
        raise TableError(
            f"{name}: a table of all products exists for operands of up to {MAX_BITS} bits "
            f"together, not {widths.a}x{widths.b}; "
            "sample operands instead"
        )


def _widths_of(products: NDArray[Any]) -> Widths:
    """The operand widths of a table of this shape, whose sides are powers of 2."""
    return Widths(*(side.bit_length() - 1 for side in products.shape))


def _of_file(products: NDArray[Any], signed: bool, name: str) -> ProductTable:
    """The table of somebody's array, whose products have no more bits than both operands
    together.
    """
    table = ProductTable(products, signed, name)
    bits = table.widths.product
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if products.min() < low or products.max() > high:
        kind = "signed" if signed else "unsigned"
        raise TableError(
            f"{name}: products span {products.min()}..{products.max()}, outside the {low}..{high} "
            f"of {kind} {bits}-bit products"
        )
    return table


def _checked(products: NDArray[Any], signed: bool, name: str) -> NDArray[np.int32]:
    if products.ndim != 2 or any(side < 2 or side & (side - 1) for side in products.shape):
        shape = " x ".join(map(str, products.shape)) or "a single number"
        raise TableError(
            f"{name}: shape is {shape}; a table has 2^m rows and 2^n columns, indexed [a code, b "
            "code]"
        )
    widths = _widths_of(products)
    check_widths(widths, name)
    if products.dtype.kind not in "iu":
        raise TableError(
            f"{name}: products are {products.dtype}; a table holds integers (convert them, for "
            "example to int32)"
        )
    low = np.iinfo(np.int32).min if signed else 0
    if products.min() < low or products.max() > np.iinfo(np.int32).max:
        hint = "; is it a signed table?" if products.min() < 0 else ""
        kind = "signed" if signed else "unsigned"
        raise TableError(
            f"{name}: products span {products.min()}..{products.max()}; {kind} products have up to "
            f"32 bits{hint}"
        )
    checked = np.array(products, dtype=np.int32, order="C")
    checked.setflags(write=False)
    return checked


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix == ".npz":
        return _read_arrays(path, ("products", "signed", "name"))
    with _readable(path):
        return {"products": read_npy(path, limit_bytes=_FILE_LIMIT_BYTES)}


def _read_arrays(path: Path, names: Sequence[str] | None) -> dict[str, NDArray[Any]]:
    """The named arrays of an `.npz`, or all of them."""
    with _readable(path):
        return read_npz(
            path, names, limit_bytes=_FILE_LIMIT_BYTES if names else _COLLECTION_LIMIT_BYTES
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except MissingFileError as error:
        raise TableMissingError(str(error)) from error
    except FileError as error:
        raise TableError(f"not a product table: {error}") from error


def _ameliorate_version() -> str:
    try:
        return importlib.metadata.version("ameliorate")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
