"""Training from scratch on a small machine: the recipes that produced the shipped weights.

SGD with Nesterov momentum, or AdamW, under a one-cycle learning rate; the first epochs see the
images at a lower resolution, which costs a fraction of the time (progressive resizing). A run is a
checkpoint folder: it goes on after an interruption from the last epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from hdl.errors import InputError
from hdl.files import Count, Name, check_regular, encode_json, plain, read_json, words, write_whole

from ..datasets import Dataset, resized, top1_pct

__all__ = ["RECIPES", "EpochLog", "Recipe", "channel_statistics", "train"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        stages: (image size in pixels, epochs) in order; sizes below the data's are area-resized.
        optimizer: `sgd` with Nesterov momentum, or `adamw` (Loshchilov and Hutter, ICLR 2019).
        peak_learning_rate, warmup_fraction, final_factor: the one-cycle: linear warm-up to the peak
            over the first fraction of all steps, then a cosine down to peak / final_factor.
        momentum: of SGD.
        weight_decay: of all parameters under SGD; AdamW spares biases and normalizations.
        crop_px: random shifts by up to this many pixels (reflect padding) at full resolution, in
            proportion below it.
        flip: half of the images mirrored; not for data, such as digits, where left and right
            differ.
        bfloat16: convolutions in bfloat16 (automatic mixed precision); nearly twice as fast on
            processors that have it.
    """

    stages: tuple[tuple[int, int], ...]
    optimizer: Literal["sgd", "adamw"] = "sgd"
    batch: int = 128
    peak_learning_rate: float = 0.2
    warmup_fraction: float = 0.2
    final_factor: float = 1e3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    crop_px: int = 4
    flip: bool = True
    bfloat16: bool = False
    seed: int = 1

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.stages)

    def image_px(self, epoch: int) -> int:
        """Image size of the 0-based `epoch`."""
        for px, epochs in self.stages:
            if epoch < epochs:
                return px
            epoch -= epochs
        raise IndexError(f"the recipe has {self.epochs} epochs")

    def learning_rate(self, progress: float) -> float:
        """Learning rate at `progress` (0 to 1) through the run."""
        if progress < self.warmup_fraction:
            return self.peak_learning_rate * max(progress, 1e-3) / self.warmup_fraction
        cooling = (progress - self.warmup_fraction) / (1 - self.warmup_fraction)
        floor = 1 / self.final_factor
        return self.peak_learning_rate * (
            floor + (1 - floor) * (1 + math.cos(math.pi * cooling)) / 2
        )

    def summary(self) -> str:
        """The recipe in one line, for the card of the weights it made."""
        stages = ", ".join(f"{epochs} at {px}x{px}" for px, epochs in self.stages)
        sgd = f"SGD with Nesterov momentum {self.momentum:g}"
        return (
            f"{self.epochs} epochs: {stages}; {sgd if self.optimizer == 'sgd' else 'AdamW'}, "
            f"weight decay {self.weight_decay:g}, one-cycle "
            f"learning rate (peak {self.peak_learning_rate:g}, {100 * self.warmup_fraction:g} % "
            f"warm-up), batch {self.batch}, "
            f"label smoothing {self.label_smoothing:g}{', bfloat16' if self.bfloat16 else ''}, "
            f"seed {self.seed}"
        )


#: The recipes behind the shipped weights, by their name in the zoo.
RECIPES: dict[str, Recipe] = {
    "resnet8": Recipe(stages=((16, 4), (24, 6), (32, 40)), bfloat16=True),
    "resnet20": Recipe(stages=((16, 4), (24, 6), (32, 30)), bfloat16=True),
    "resnet8-fashion": Recipe(stages=((28, 10),), bfloat16=True, crop_px=2),
    "vgg11": Recipe(stages=((32, 6),), peak_learning_rate=0.1, bfloat16=True),
    "mobilenet": Recipe(stages=((16, 4), (24, 8), (32, 16)), weight_decay=3e-4, bfloat16=True),
    "cct": Recipe(
        stages=((16, 6), (24, 12), (32, 20)),
        optimizer="adamw",
        peak_learning_rate=2e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        bfloat16=True,
    ),
    # Goes on from the six epochs of the first ResNet-18 (docs/training.md).
    "resnet18": Recipe(
        stages=((24, 2), (32, 3)), peak_learning_rate=0.05, warmup_fraction=0.1, bfloat16=True
    ),
}


@dataclass(frozen=True)
class EpochLog:
    """One line of the training log; percentages in 0..100."""

    epoch: int
    image_px: int
    train_loss: float
    train_top1_pct: float
    test_top1_pct: float
    seconds: float


@dataclass
class _State:
    """What a checkpoint restores: finished epochs, the optimizer's tensors by what they are and
    their parameter (`momentum.conv1.weight`), the log so far.
    """

    epoch: int = 0
    optimizer: dict[str, torch.Tensor] = field(default_factory=dict)
    log: list[EpochLog] = field(default_factory=list)


def train(
    model: nn.Module,
    data: Dataset,
    test: Dataset,
    recipe: Recipe,
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
    checkpoints: Path,
    on_epoch: Callable[[EpochLog], None] = lambda log: None,
) -> list[EpochLog]:
    """Trains `model` in place; resumes from `checkpoints` if a run with the same recipe was
    interrupted there.

    Args:
        normalization: per-channel (mean, std) of the images in [0, 1].

    Raises:
        InputError: `checkpoints` belongs to another recipe, or is damaged.
    """
    state = _load_checkpoint(model, recipe, checkpoints)
    optimizer = _optimizer(model, recipe)
    kept = _KEPT[recipe.optimizer]
    for name, parameter in model.named_parameters():
        for what, key in kept.items():
            if f"{what}.{name}" in state.optimizer:
                optimizer.state[parameter][key] = state.optimizer[f"{what}.{name}"]
    steps = len(data) // recipe.batch
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for epoch in range(state.epoch, recipe.epochs):
        started, px = time.monotonic(), recipe.image_px(epoch)
        model.train()
        total_loss = hits = 0.0
        for step, (x, y) in enumerate(_augmented_batches(data, recipe, epoch, px, normalization)):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate((epoch * steps + step) / (recipe.epochs * steps))
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.bfloat16):
                logits = model(x)
            loss = functional.cross_entropy(
                logits.float(), y, label_smoothing=recipe.label_smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total_loss += float(loss.detach())
            hits += float((logits.detach().argmax(1) == y).sum())
        log = EpochLog(
            epoch=epoch + 1,
            image_px=px,
            train_loss=total_loss / steps,
            train_top1_pct=100 * hits / (steps * recipe.batch),
            test_top1_pct=top1_pct(model, test, normalization, image_px=px),
            seconds=time.monotonic() - started,
        )
        state.epoch, state.log = epoch + 1, [*state.log, log]
        state.optimizer = {
            f"{what}.{name}": optimizer.state[parameter][key]
            for name, parameter in model.named_parameters()
            for what, key in kept.items()
        }
        _save_checkpoint(model, recipe, checkpoints, state)
        on_epoch(log)
    return state.log


#: What a checkpoint keeps of an optimizer for each parameter -> torch's name of it.
_KEPT = {
    "sgd": {"momentum": "momentum_buffer"},
    "adamw": {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "step": "step"},
}


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.peak_learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), rate, recipe.momentum, weight_decay=decay, nesterov=True
        )
    weights, others = (
        [one for one in model.parameters() if (one.ndim > 1) == several]
        for several in (True, False)
    )
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, weight_decay=decay)


def channel_statistics(data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of images in [0, 1], to four
    digits.
    """
    pixels = data.images.reshape(-1, data.images.shape[-1])
    counts = [
        np.bincount(pixels[:, channel], minlength=256) / len(pixels)
        for channel in range(pixels.shape[1])
    ]
    level = np.arange(256) / 255
    means = [float(count @ level) for count in counts]
    deviations = [
        float(np.sqrt(count @ (level - mean) ** 2))
        for count, mean in zip(counts, means, strict=True)
    ]
    return tuple(round(mean, 4) for mean in means), tuple(
        round(deviation, 4) for deviation in deviations
    )


def _augmented_batches(
    data: Dataset,
    recipe: Recipe,
    epoch: int,
    px: int,
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of shuffled batches with random flips and shifts; the same for the same (seed,
    epoch).
    """
    rng = np.random.default_rng((recipe.seed, epoch))
    order = rng.permutation(len(data))
    pad = recipe.crop_px
    for start in range(0, len(data) - recipe.batch + 1, recipe.batch):
        pick = order[start : start + recipe.batch]
        images = _shift_and_flip(data.images[pick], pad, rng, flip=recipe.flip)
        yield resized(images, normalization, px), torch.from_numpy(data.labels[pick])


def _shift_and_flip(
    images: NDArray[np.uint8], pad: int, rng: np.random.Generator, *, flip: bool
) -> NDArray[np.uint8]:
    """Each image (n, height, width, c) shifted by up to `pad` pixels, reflected at the border, and
    with `flip` half of them mirrored.
    """
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    rows = rng.integers(0, 2 * pad + 1, (count, 1)) + np.arange(height)  # (n, height)
    columns = rng.integers(0, 2 * pad + 1, (count, 1)) + np.arange(width)  # (n, width)
    flipped = rng.random(count) < 0.5 * flip
    columns[flipped] = columns[flipped, ::-1]
    result: NDArray[np.uint8] = padded[
        np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return result


@dataclass(frozen=True)
class _Checkpoint:
    """What checkpoint.json says; the tensors are in a file beside it."""

    recipe: dict[str, Any]
    epoch: Count
    tensors: Name
    log: tuple[EpochLog, ...]


def _load_checkpoint(model: nn.Module, recipe: Recipe, folder: Path) -> _State:
    record = folder / "checkpoint.json"
    if not record.exists():
        return _State()
    content = read_json(record, _Checkpoint, limit_bytes=16 << 20)
    # A field that is younger than the checkpoint has its default.
    if plain(Recipe(stages=())) | content.recipe != plain(recipe):
        raise InputError(
            f"{str(folder)!r} holds a run with another recipe; choose another folder or delete it"
        )
    try:
        # Named by the epoch, whatever the record says.
        path = folder / _tensors_file(content.epoch)
        check_regular(path, limit_bytes=4 << 30)
        tensors = load_file(path)
        model.load_state_dict(
            {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}
        )
    except (SafetensorError, OSError, RuntimeError) as error:
        raise InputError(
            f"the checkpoint in {str(folder)!r} is damaged ({words(error)}); delete the folder to "
            "begin anew"
        ) from error
    optimizer = {name: one for name, one in tensors.items() if not name.startswith("model.")}
    return _State(content.epoch, optimizer, list(content.log))


def _tensors_file(epoch: int) -> str:
    return f"epoch{epoch}.safetensors"


def _save_checkpoint(model: nn.Module, recipe: Recipe, folder: Path, state: _State) -> None:
    """The json names the tensors it belongs to and is replaced last, so that a kill at any moment
    leaves a whole checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {name: value.contiguous() for name, value in state.optimizer.items()}
    file = _tensors_file(state.epoch)
    save_file(tensors, folder / file)
    try:
        record = encode_json(_Checkpoint(plain(recipe), state.epoch, file, tuple(state.log)))
    except ValueError as error:
        raise InputError(
            f"the loss is not finite after epoch {state.epoch}; lower the recipe's peak learning "
            "rate"
        ) from error
    write_whole(folder / "checkpoint.json", record, durable=True)
    for stale in folder.glob("epoch*.safetensors"):
        if stale.name != file:
            stale.unlink()
