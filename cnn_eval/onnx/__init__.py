"""Networks from ONNX files: read within bounds, and made a network of torch."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .file import OnnxError, OnnxGraph, OnnxNode, read_onnx
    from .network import OnnxNetwork, onnx_network

__all__ = ["OnnxError", "OnnxGraph", "OnnxNetwork", "OnnxNode", "onnx_network", "read_onnx"]

__getattr__ = names_of(
    __name__,
    {"file": "OnnxError OnnxGraph OnnxNode read_onnx", "network": "OnnxNetwork onnx_network"},
)
