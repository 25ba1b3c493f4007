"""What users call networks: by the name in the zoo, by a file of their own, by torchvision's name.

Nothing here loads torch.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["ONNX", "TORCHVISION", "TORCHVISION_NAMES", "is_own_network", "network_name"]

#: Architectures of this package -> what torchvision calls them.
TORCHVISION_NAMES = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "vgg11": "vgg11_bn",
    "vgg13": "vgg13_bn",
    "vgg16": "vgg16_bn",
}
#: How references to an ONNX file end, and how those to torchvision's networks begin.
ONNX = ".onnx"
TORCHVISION = "torchvision:"


def is_own_network(reference: str) -> bool:
    """Whether `reference` names a factory in a file (`module.py:factory`), an ONNX file or one of
    torchvision's classifiers (`torchvision:resnet50`) rather than a network of the zoo.
    """
    return (
        reference.endswith((".py", ONNX))
        or ".py:" in reference
        or reference.startswith(TORCHVISION)
    )


def network_name(reference: str) -> str:
    """What files about the network are called by: the name of its file without suffix,
    `torchvision-` and the name there, or the name in the zoo.
    """
    if reference.startswith(TORCHVISION):
        return reference.replace(":", "-")
    return Path(_file(reference)).stem if is_own_network(reference) else reference


def _file(reference: str) -> str:
    if reference.endswith(ONNX):
        return reference
    return reference.rpartition(":")[0] or reference
