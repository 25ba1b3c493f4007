"""ONNX files as plain values: nodes, constants, and what the network takes and gives.

The file is a stranger's: its size, the size of everything it announces and the places of data
beside it are checked before anything is made of them. Nothing in it is executed.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from hdl.errors import InputError, MissingError
from hdl.files import check_regular, read_bytes, words

if TYPE_CHECKING:
    import onnx

__all__ = ["OnnxError", "OnnxGraph", "OnnxNode", "read_onnx"]

_LIMIT_BYTES = 2 << 30  # as large as the format allows
_MOST_NODES = 20_000
_OPSETS = range(9, 25)
_LONGEST_NAME = 60


class OnnxError(InputError):
    """The ONNX file cannot be used."""


class _NoOnnxError(OnnxError, MissingError):
    """The package that reads ONNX files is missing."""


@dataclass(frozen=True)
class OnnxNode:
    """One operation: its operator, a name of letters, digits and underscores that no other node
    has, names of what it takes (empty for what it leaves out) and gives, and its attributes.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A network.

    Attributes:
        constants: by name; float32 where the file has floating point of any width.
        input: name of the images.
        shape: of the images, (n, channels, height, width); None where the file leaves it open.
        output: name of the logits.
        opset: version of the operators.
        notes: what the file says about itself, key to value.
    """

    nodes: Sequence[OnnxNode]
    constants: Mapping[str, torch.Tensor]
    input: str
    shape: tuple[int | None, ...]
    output: str
    opset: int
    notes: Mapping[str, str]


def read_onnx(path: Path) -> OnnxGraph:
    """Reads an ONNX file, and data beside it in its folder.

    Raises:
        OnnxError: not such a file, too large, data elsewhere, several inputs or outputs, operators
            of another domain than ONNX's own.
    """
    onnx = _onnx()
    content = read_bytes(path, limit_bytes=_LIMIT_BYTES)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's errors differ between its implementations
        raise OnnxError(f"{str(path)!r} is not an ONNX file ({words(error)})") from error
    try:
        return _Reader(path, model).graph()
    except InputError:
        raise
    except Exception as error:  # onnx raises many kinds on damaged tensors
        raise OnnxError(f"{str(path)!r} is damaged ({words(error)})") from error


def _onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise _NoOnnxError(
            'ONNX files need the package onnx; install it with pip install "ameliorate[onnx]"'
        ) from error
    return onnx


class _Reader:
    def __init__(self, path: Path, model: onnx.ModelProto) -> None:
        self._path, self._model, self._graph = path, model, model.graph
        self._names: set[str] = set()
        self._room = _LIMIT_BYTES

    def _refuse(self, what: str) -> OnnxError:
        return OnnxError(f"{str(self._path)!r} {what}")

    def graph(self) -> OnnxGraph:
        opset = self._opset()
        graph = self._graph
        if not graph.node:
            raise self._refuse("holds no network; is it an ONNX file?")
        if len(graph.node) > _MOST_NODES:
            raise self._refuse(f"has {len(graph.node)} operations; {_MOST_NODES} are read")
        if graph.sparse_initializer:
            raise self._refuse("has sparse weights; save them dense")
        constants = {tensor.name: self._tensor(tensor) for tensor in graph.initializer}
        inputs = [one for one in graph.input if one.name not in constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise self._refuse(
                f"has {len(inputs)} inputs and {len(graph.output)} outputs; one each is needed, "
                "images and logits"
            )
        return OnnxGraph(
            tuple(self._node(node) for node in graph.node),
            constants,
            inputs[0].name,
            _shape(inputs[0]),
            graph.output[0].name,
            opset,
            {entry.key[:_LONGEST_NAME]: entry.value[:1000] for entry in self._model.metadata_props},
        )

    def _opset(self) -> int:
        versions = {one.domain: one.version for one in self._model.opset_import}
        opset = versions.get("", versions.get("ai.onnx", 0))
        if opset not in _OPSETS:
            raise self._refuse(
                f"has operators of version {opset}; {_OPSETS[0]} to {_OPSETS[-1]} are known"
            )
        return int(opset)

    def _node(self, node: onnx.NodeProto) -> OnnxNode:
        if node.domain not in ("", "ai.onnx"):
            shown = f"{node.domain}.{node.op_type}"[:_LONGEST_NAME]
            raise self._refuse(f"has the operator {shown!r}, which is not of ONNX itself")
        return OnnxNode(
            node.op_type,
            self._name(node),
            tuple(node.input),
            tuple(node.output),
            {one.name: self._attribute(one) for one in node.attribute},
        )

    def _name(self, node: onnx.NodeProto) -> str:
        """Names are anything; modules of torch want identifiers."""
        short = re.sub(r"\W+", "_", node.name or node.op_type, flags=re.ASCII)
        base = name = short[-_LONGEST_NAME:].strip("_") or "node"
        taken = base == "training" or hasattr(fx.GraphModule, base)  # by modules themselves
        if base[0].isdigit() or keyword.iskeyword(base) or taken:
            base = name = f"node_{base}"
        count = 1
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def _attribute(self, attribute: onnx.AttributeProto) -> Any:
        kinds = attribute.AttributeType
        match attribute.type:
            case kinds.TENSOR:
                return self._tensor(attribute.t)
            case kinds.STRING:
                return attribute.s.decode(errors="replace")
            case kinds.FLOAT:
                return float(attribute.f)
            case kinds.INT:
                return int(attribute.i)
            case kinds.FLOATS:
                return tuple(map(float, attribute.floats))
            case kinds.INTS:
                return tuple(map(int, attribute.ints))
            case _:
                name = attribute.name[:_LONGEST_NAME]
                raise self._refuse(
                    f"has branches or loops, or an attribute {name!r} of no use here"
                )

    def _tensor(self, tensor: onnx.TensorProto) -> torch.Tensor:
        onnx = _onnx()
        name = tensor.name[:_LONGEST_NAME]
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if kind.kind not in "fiub":
            raise self._refuse(f"has a constant {name!r} that is not of numbers")
        if any(side < 0 for side in tensor.dims):
            raise self._refuse(f"has a constant {name!r} of negative size")
        self._room -= (
            int(np.prod([int(side) for side in tensor.dims], dtype=object)) * kind.itemsize
        )
        if self._room < 0:
            raise self._refuse(f"announces more than {_LIMIT_BYTES >> 30} GiB of constants")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            self._check_place(tensor, name)
        array: NDArray[Any] = onnx.numpy_helper.to_array(tensor, str(self._path.resolve().parent))
        if array.dtype.kind == "f":
            # Masks of attention are infinite, and right.
            if bool(np.isnan(array).any()):
                raise self._refuse(f"has a constant {name!r} that is no number; is it damaged?")
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return torch.from_numpy(np.array(array))

    def _check_place(self, tensor: onnx.TensorProto, name: str) -> None:
        """Data beside the file: a regular file in its folder, and no link out of it."""
        entries = {one.key: one.value for one in tensor.external_data}
        folder = self._path.resolve().parent
        place = (folder / entries.get("location", "")).resolve()
        if not place.is_relative_to(folder) or place == folder:
            raise self._refuse(f"has its constant {name!r} outside of its folder")
        check_regular(place, limit_bytes=_LIMIT_BYTES)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(
        int(side.dim_value) if side.dim_value > 0 else None
        for side in value.type.tensor_type.shape.dim
    )
