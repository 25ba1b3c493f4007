"""ONNX operators against onnxruntime, one by one and in exported networks."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import CAPTURED, OptionAResNet, made
from torch import nn

onnx = pytest.importorskip("onnx", reason="ONNX files need the package onnx")
runtime = pytest.importorskip("onnxruntime", reason="the oracle is onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from cnn_eval.capture import ActivationProduct, capture, count_multiplications  # noqa: E402
from cnn_eval.onnx import OnnxError, onnx_network, read_onnx  # noqa: E402

RNG = np.random.default_rng(0)
SHAPE = (4, 6, 5)


def constant(name: str, value) -> Any:
    array = np.asarray(value)
    return numpy_helper.from_array(
        array.astype(np.int64 if array.dtype.kind == "i" else np.float32), name
    )


def save(
    folder: Path,
    nodes: list[Any],
    constants: dict[str, Any],
    *,
    opset: int = 17,
    batch="n",
    shape=SHAPE,
) -> Path:
    """A file of these nodes, from `x` to `y`, with `y` flattened and summed up by a Gemm."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [constant(name, value) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def expected(path: Path, x: torch.Tensor) -> torch.Tensor:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def node(operator: str, inputs: str = "x", outputs: str = "h", **attributes):
    named = [one if one != "-" else "" for one in inputs.split()]
    return helper.make_node(operator, named, outputs.split(), **attributes)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


CHANNELS = {"s": weights(4), "b": weights(4), "m": weights(4), "v": weights(4) ** 2 + 0.1}
SIMPLE = "Abs Erf Exp GlobalAveragePool GlobalMaxPool HardSwish Identity Neg Relu Sigmoid Tanh"
#: Nodes from x to h, constants, version.
CASES: list[tuple[list[Any], dict[str, Any], int]] = [
    *(([node(operator)], {}, 17) for operator in SIMPLE.split()),
    (
        [node("Conv", "x w b", pads=[1, 0, 2, 1], strides=[2, 1])],
        {"w": weights(6, 4, 3, 2), "b": weights(6)},
        17,
    ),
    ([node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 2])], {"w": weights(6, 4, 3, 2)}, 17),
    ([node("Conv", "x w", auto_pad="SAME_UPPER", group=2)], {"w": weights(6, 2, 2, 4)}, 17),
    ([node("Conv", "x w", auto_pad="VALID", dilations=[2, 1])], {"w": weights(6, 4, 3, 2)}, 17),
    ([node("Conv", "x w b", pads=[1, 2, 1, 2])], {"w": weights(6, 4, 3, 5), "b": weights(6)}, 11),
    ([node("BatchNormalization", "x s b m v", epsilon=0.01)], CHANNELS, 15),
    ([node("MatMul", "x w")], {"w": weights(5, 3)}, 13),
    ([node("MatMul", "w x")], {"w": weights(3, 6)}, 13),
    ([node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("MatMul", "x t")], {}, 13),
    ([node("Einsum", "x x", equation="nchw,ndhw->ncd")], {}, 17),
    ([node("Clip", "x low high")], {"low": np.float32(-0.5), "high": np.float32(0.3)}, 13),
    ([node("Clip", "x - high")], {"high": np.float32(0.3)}, 13),
    ([node("Clip", min=0.0, max=6.0)], {}, 6 + 4),
    ([node("Elu", alpha=0.7)], {}, 17),
    ([node("LeakyRelu", alpha=0.2)], {}, 17),
    ([node("PRelu", "x s")], {"s": weights(4, 1, 1)}, 17),
    ([node("HardSigmoid", alpha=0.3, beta=0.4)], {}, 17),
    ([node("Gelu", approximate="tanh")], {}, 20),
    ([node("Gelu")], {}, 20),
    ([node("Softmax", axis=1)], {}, 17),
    ([node("Softmax", axis=3)], {}, 11),
    ([node("MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1])], {}, 17),
    ([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {}, 17),
    ([node("AveragePool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0])], {}, 17),
    ([node("AveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1)], {}, 17),
    (
        [
            node("Concat", "x c x", axis=1),
        ],
        {"c": np.zeros((1, 2, 6, 5))},
        17,
    ),
    ([node("Split", "x parts", "a h", axis=1)], {"parts": np.array([1, 3])}, 13),
    ([node("Split", "x", "a h", axis=2, split=[2, 4])], {}, 11),
    ([node("Split", "x", "a h", axis=1, num_outputs=2)], {}, 18),
    (
        [node("Slice", "x a b c d")],
        {
            "a": np.array([0, 1]),
            "b": np.array([99, -1]),
            "c": np.array([2, -1]),
            "d": np.array([2, 1]),
        },
        13,
    ),
    (
        [node("Slice", "x a b c d")],
        {"a": np.array([-1]), "b": np.array([-(1 << 62)]), "c": np.array([3]), "d": np.array([-2])},
        13,
    ),
    ([node("Slice", starts=[1], ends=[3], axes=[1])], {}, 9),
    ([node("Pad", "x p v")], {"p": np.array([0, 1, 2, 0, 0, 2, 0, 1]), "v": np.float32(0.5)}, 13),
    ([node("Pad", "x p", mode="reflect")], {"p": np.array([0, 0, 2, 0, 0, 0, 1, 1])}, 13),
    (
        [node("Pad", "x p - a", mode="edge")],
        {"p": np.array([1, 0, 1, 2]), "a": np.array([3, 2])},
        18,
    ),
    ([node("Gather", "x i", axis=2)], {"i": np.array([[0, -1], [3, 3]])}, 17),
    ([node("Gather", "x i", axis=1)], {"i": np.array(-1)}, 17),
    (
        [
            node("Add", "x c"),
        ],
        {"c": weights(4, 1, 1)},
        17,
    ),
    (
        [
            node("Sub", "c x"),
        ],
        {"c": weights(5)},
        17,
    ),
    (
        [
            node("Div", "x c"),
        ],
        {"c": weights(1)},
        17,
    ),
    (
        [
            node("Max", "x c"),
        ],
        {"c": weights(5)},
        17,
    ),
    (
        [
            node("Min", "x c"),
        ],
        {"c": weights(5)},
        17,
    ),
    (
        [
            node("Pow", "x c"),
        ],
        {"c": np.float32(2.0)},
        17,
    ),
    ([node("Mul", "x x", "a"), node("Sqrt", "a", "d"), node("Reciprocal", "d")], {}, 17),
    (
        [node("Cast", to=TensorProto.INT64, outputs="a"), node("Cast", "a", to=TensorProto.FLOAT)],
        {},
        17,
    ),
    ([node("Unsqueeze", "x a", "u"), node("Squeeze", "u a")], {"a": np.array([1])}, 13),
    ([node("Unsqueeze", "x", "u", axes=[-1]), node("Squeeze", "u", axes=[4])], {}, 11),
    ([node("ReduceMean", axes=[2, -1], keepdims=0)], {}, 13),
    ([node("ReduceSum", "x a")], {"a": np.array([1])}, 13),
    ([node("ReduceMax", "x a", keepdims=0)], {"a": np.array([3])}, 18),
    ([node("LayerNormalization", "x s b", axis=2)], {"s": weights(6, 5), "b": weights(6, 5)}, 17),
    ([node("InstanceNormalization", "x s b")], CHANNELS, 17),
    ([node("GroupNormalization", "x s b", num_groups=2)], CHANNELS, 21),
    ([node("Trilu", "x k", upper=0)], {"k": np.array(-1)}, 17),
    ([node("Dropout")], {}, 12),
    ([node("Reshape", "x r")], {"r": np.array([0, -1, 3])}, 17),
    (  # a shape computed from the input's
        [
            node("Shape", "x", "shape"),
            node("Gather", "shape zero", "count"),
            node("Unsqueeze", "count axis", "counts"),
            node("Concat", "counts rest", "wanted", axis=0),
            node("Reshape", "x wanted"),
        ],
        {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([2, -1])},
        17,
    ),
    (  # a token for every image
        [
            node("Shape", "x", "shape"),
            node("Slice", "shape zero one", "counts"),
            node("Concat", "counts rest", "wanted", axis=0),
            node("Expand", "token wanted", "tokens"),
            node("Concat", "x tokens", axis=1),
        ],
        {
            "zero": np.array([0]),
            "one": np.array([1]),
            "rest": np.array([1, 6, 5]),
            "token": weights(1, 1, 6, 5),
        },
        17,
    ),
]


def finished(
    nodes: list[Any], constants: dict[str, Any], opset: int
) -> tuple[list[Any], dict[str, Any]]:
    """With everything behind the batch's axis flattened, so that there are logits."""
    return [*nodes, node("Flatten", "h", "y", axis=1)], constants


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][-1].op_type}-{case[2]}")
def test_an_operator_is_onnxruntime_s(case, tmp_path: Path) -> None:
    nodes, constants, opset = case
    nodes, constants = finished(nodes, constants, opset)
    if nodes[0].op_type == "Concat" and "c" in constants:
        # Constants have no batch: they are made for one image.
        path = save(tmp_path, nodes, constants, opset=opset, batch=1)
        x = torch.randn(1, *SHAPE)
    else:
        path = save(tmp_path, nodes, constants, opset=opset)
        x = torch.randn(3, *SHAPE)
    network = onnx_network(read_onnx(path))
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected(path, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("transposed", "alpha"), [(0, 1.0), (1, 0.5)])
def test_gemm(transposed: int, alpha: float, tmp_path: Path) -> None:
    weight = weights(7, 120) if transposed else weights(120, 7)
    nodes = [
        node("Flatten", "x", "f"),
        node("Gemm", "f w b", "y", transB=transposed, alpha=alpha, beta=0.25),
    ]
    path = save(tmp_path, nodes, {"w": weight, "b": weights(7)})
    x = torch.randn(3, *SHAPE)
    network = onnx_network(read_onnx(path))
    torch.testing.assert_close(network(x), expected(path, x), rtol=1e-4, atol=1e-4)
    assert any(isinstance(part, nn.Linear) for part in network.modules())


def exported(model: nn.Module, x: torch.Tensor, folder: Path, *, dynamic: bool) -> Path:
    """As torch.onnx.export writes it, by tracing."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (x,),
            content,
            dynamo=False,
            input_names=["x"],
            opset_version=17,
            dynamic_axes={"x": {0: "n"}} if dynamic else None,
        )
    path = folder / "exported.onnx"
    path.write_bytes(content.getvalue())
    return path


@pytest.mark.parametrize(
    ("name", "dynamic"),
    [
        ("option A", True),
        ("standardized", False),
        ("encoder", True),
        ("timm", False),
        ("einsum", True),
    ],
)
def test_an_exported_network_is_the_same(name: str, dynamic: bool, tmp_path: Path) -> None:
    model, x = made(CAPTURED.get(name, OptionAResNet))
    path = exported(model, x[: 2 if dynamic else 1], tmp_path, dynamic=dynamic)
    network = onnx_network(read_onnx(path))
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=1e-4, atol=1e-5)
        one = x[:1]
        torch.testing.assert_close(network(one), expected(path, one), rtol=1e-4, atol=1e-5)
    # All that multiplies is in layers already.
    assert capture(network, x) is network
    found, of_model = (count_multiplications(made_, x) for made_ in (network, capture(model, x)))
    assert sum(one.macs for one in found) == sum(one.macs for one in of_model)
    products = [type(part) is ActivationProduct for part in network.modules()]
    assert sum(products) == {"encoder": 4, "timm": 2, "einsum": 2}.get(name, 0)


def test_layers_have_the_names_of_nodes(tmp_path: Path) -> None:
    model, x = made(OptionAResNet)
    network = onnx_network(read_onnx(exported(model, x[:2], tmp_path, dynamic=True)))
    names = [one.layer for one in count_multiplications(network, x)]
    assert names == ["first_Conv", "second_Conv", "fc_Gemm"]


@pytest.mark.parametrize(
    ("nodes", "constants", "options", "message"),
    [
        (
            [node("NonZero", "x", "y")],
            {},
            {},
            r"operator 'NonZero' \(of node 'NonZero'\) is not known",
        ),
        (
            [node("Flatten", "x", "f"), node("MatMul", "f w", "y")],
            {"w": weights(7, 2)},
            {},
            r"operation 'MatMul' \(MatMul\) fails; is the file damaged",
        ),
        ([node("Relu", "x", "y")], {}, {}, "does not give logits"),
        ([node("Shape", "x", "y")], {}, {}, "does not give logits"),
        (
            [node("Flatten", "x", "f"), node("Div", "f z", "y")],
            {"z": np.zeros(120)},
            {},
            "values of noise that are not finite",
        ),
        (
            [
                node("Flatten", "x", "f"),
                node("ReduceMean", "f", "m", axes=[0]),
                node("Sub", "f m", "y"),
            ],
            {},
            {},
            "results depend on how many images it gets",
        ),
        (
            [node("Reshape", "x r", "y")],
            {"r": np.array([7, -1])},
            {"batch": 4},
            "Reshape.* fails; is the file damaged, or made for a batch of a fixed size",
        ),
        ([node("Flatten", "x", "y")], {}, {"shape": ("c", 4, 4)}, "takes .*, all but n fixed"),
        (
            [node("Flatten", "x", "y")],
            {},
            {"shape": (3, 2000, 2000)},
            "takes images of 3x2000x2000; 1024",
        ),
        (
            [node("Softmax", "x", "s", axis=1), node("Flatten", "s", "y")],
            {},
            {"opset": 11},
            "over several",
        ),
        (
            [
                node("ConstantOfShape", "big", "c"),
                node("Add", "x c", "a"),
                node("Flatten", "a", "y"),
            ],
            {"big": np.array([1 << 20, 1 << 20])},
            {},
            "far too many values",
        ),
        (
            [node("Expand", "x big", "c"), node("Flatten", "c", "y")],
            {"big": np.array([1 << 40, 1, 1, 1, 1])},
            {},
            "far too many values",
        ),
        (
            [node("Pad", "x big", "c"), node("Flatten", "c", "y")],
            {"big": np.array([0, 0, 0, 0, 0, 0, 1 << 40, 0])},
            {},
            "far too many values",
        ),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(
    nodes: list[Any],
    constants: dict[str, Any],
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(OnnxError, match=message) as caught:
        onnx_network(read_onnx(save(tmp_path, nodes, constants, **options)))
    assert "\n" not in str(caught.value)
