"""ONNX files as a stranger may write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="ONNX files need the package onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from cnn_eval.onnx import OnnxError, read_onnx  # noqa: E402
from hdl.errors import InputError  # noqa: E402

WEIGHT = np.arange(6, dtype=np.float16).reshape(2, 3)


def model(**more) -> Any:
    """`y` = flattened images times a weight."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], name="/class/1:forward"),
        helper.make_node("MatMul", ["f", "w"], ["y"], name="class"),
        helper.make_node("Identity", ["y"], ["z"], name="class"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 1, 1])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(made, {"mean": "0.5, 0.4"})
    return made


def read(folder: Path, made: Any):
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    return read_onnx(folder / "net.onnx")


def test_what_a_file_holds(tmp_path: Path) -> None:
    graph = read(tmp_path, model())
    assert (graph.input, graph.output, graph.opset) == ("x", "z", 17)
    assert graph.shape == (None, 2, 1, 1)
    assert graph.notes == {"mean": "0.5, 0.4"}
    np.testing.assert_array_equal(graph.constants["w"].numpy(), WEIGHT.astype(np.float32))
    # Names that Python and torch can call modules by, no two the same.
    assert [node.name for node in graph.nodes] == ["class_1_forward", "node_class", "node_class_2"]


def external(location: str, **more: str):
    def change(made: Any) -> None:
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def test_data_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"1234" + WEIGHT.tobytes())
    made = model()
    external("data.bin", offset="4", length=str(WEIGHT.nbytes))(made)
    np.testing.assert_array_equal(read(tmp_path, made).constants["w"].numpy(), WEIGHT)


def dims(*sides: int):
    return lambda made: made.graph.initializer[0].dims.__setitem__(slice(None), sides)


def branch(made: Any) -> None:
    made.graph.node.append(
        helper.make_node("If", ["f"], ["q"], then_branch=made.graph, else_branch=made.graph)
    )


def not_a_number(made: Any) -> None:
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHT * np.nan, "w"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external("../secret.bin"), "has its constant 'w' outside of its folder"),
        (external("/etc/hostname"), "has its constant 'w' outside of its folder"),
        (external("link.bin"), "has its constant 'w' outside of its folder"),
        (external(""), "has its constant 'w' outside of its folder"),
        (external("absent.bin"), "absent.bin"),
        (external("net.onnx", offset="99999999"), "is damaged"),
        (dims(1 << 40, 1 << 20), "announces more than 2 GiB of constants"),
        (dims(2, 4), "is damaged"),
        (dims(-2, -3), "has a constant 'w' of negative size"),
        (
            lambda made: made.opset_import[0].__setattr__("version", 99),
            "operators of version 99; 9",
        ),
        (lambda made: made.graph.ClearField("node"), "holds no network"),
        (lambda made: made.graph.node[0].__setattr__("domain", "evil"), "'evil.Flatten', which is"),
        (branch, "has branches or loops"),
        (not_a_number, "has a constant 'w' that is no number"),
        (lambda made: made.graph.output.append(made.graph.input[0]), "1 inputs and 2 outputs"),
        (lambda made: made.graph.sparse_initializer.add(), "has sparse weights"),
        (
            lambda made: made.graph.initializer[0].__setattr__("data_type", TensorProto.STRING),
            "has a constant 'w' that is not of numbers",
        ),
        (lambda made: made.graph.initializer[0].__setattr__("data_type", 77), "is damaged"),
    ],
)
def test_what_is_refused(change, message: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    made = model()
    change(made)
    with pytest.raises(InputError, match=message) as caught:
        read(folder, made)
    assert "\n" not in str(caught.value)


def test_no_file_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        read_onnx(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_bytes(b"\xff" * 99)
    with pytest.raises(OnnxError, match=r"text.onnx' is not an ONNX file"):
        read_onnx(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(OnnxError, match="operators of version 0"):
        read_onnx(tmp_path / "empty.onnx")
    with pytest.raises(InputError):
        read_onnx(tmp_path)


def test_every_cut_and_every_flip_is_one_line(tmp_path: Path) -> None:
    whole = model().SerializeToString()
    rng = np.random.default_rng(0)
    damaged = [whole[:size] for size in range(0, len(whole), 7)]
    for _ in range(100):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] = rng.integers(256)
        damaged.append(bytes(changed))
    messages = []
    for content in damaged:
        (tmp_path / "net.onnx").write_bytes(content)
        try:
            read_onnx(tmp_path / "net.onnx")
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def test_without_onnx_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['onnx'] = None\n"
        "from pathlib import Path\nfrom cnn_eval.onnx import read_onnx\n"
        "try: read_onnx(Path('net.onnx'))\nexcept Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        'ONNX files need the package onnx; install it with pip install "ameliorate[onnx]"\n'
    )
