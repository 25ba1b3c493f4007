"""What networks make of a multiplier, or of one for every layer, measured by emulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from ..evaluation.point import drop_between_pp
from .accuracy import read_network
from .formats import fitting_encoding
from .reading import Multiplier, designs

if TYPE_CHECKING:
    from cnn_eval.emulation import GroundTruth, Measurement, Multipliers
    from hdl.operands import OperandEncoding, Widths

    from ..ground_truth import Emulation
    from ..search import Assignment

__all__ = ["EmulatedAccuracy", "InLayers", "emulate", "emulate_all", "encoding_of"]


@dataclass(frozen=True)
class EmulatedAccuracy:
    """Measured accuracy of a network with a multiplier: top-1 in percent over so many images; all
    corrected, or none.

    Attributes:
        float_top1_pct: of the network in floating point, before quantization.
        exact_top1_pct: with exact products of the widest operands.
        exact_narrow_top1_pct: with exact products of the multiplier's own operand widths: the rest
            of the drop is the multiplier's.
        multiplied_pct: share of the network's multiply-accumulates that go through the multiplier.
        exact_layers: the others, by the names of their layers.
    """

    multiplier: str
    network: str
    encoding: str
    data: str
    corrected: bool
    top1_pct: float
    float_top1_pct: float
    exact_top1_pct: float
    exact_narrow_top1_pct: float
    multiplied_pct: float
    exact_layers: tuple[str, ...]
    images: int
    seconds: float

    @property
    def drop_pp(self) -> float:
        """Percentage points lost to the multiplier and its operand widths."""
        return drop_between_pp(self.exact_top1_pct, self.top1_pct)

    @property
    def drop_error_pp(self) -> float:
        """About the standard error of the drop, which so many images tell."""
        from cnn_eval.prediction import drop_error_pp

        return float(drop_error_pp(self.top1_pct, self.images))


def emulate(
    design: Multiplier | Assignment | str,
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    images: int = 1000,
    weights: Path | str | None = None,
    labels: Path | str | None = None,
    exact_first_last: bool = False,
    corrected: bool = True,
    zoo: Path | str | None = None,
) -> EmulatedAccuracy:
    """Measures a network's accuracy with a multiplier, or with an assignment, a design for every
    layer: every convolution, linear layer and product of two activations multiplies through a
    product table.

    Arguments and errors are those of :func:`emulate_all`.
    """
    return emulate_all(
        [design],
        network=network,
        data=data,
        encoding=encoding,
        images=images,
        weights=weights,
        labels=labels,
        exact_first_last=exact_first_last,
        corrected=corrected,
        zoo=zoo,
    )[0]


def emulate_all(
    subjects: Sequence[Multiplier | Assignment | str],
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    images: int = 1000,
    weights: Path | str | None = None,
    labels: Path | str | None = None,
    image_px: int = 0,
    exact_first_last: bool = False,
    corrected: bool = True,
    zoo: Path | str | None = None,
    cluster: str = "",
    on_progress: Callable[[str, int, int, float], None] = lambda name, done, total, top1_pct: None,
) -> list[EmulatedAccuracy]:
    """Measures a network's accuracy with multipliers of one signedness, or assignments, one after
    the other, or several at a time by the workers of a cluster.

    Args:
        subjects: multipliers, assignments, or what they are called (`drum:k=4`, `mul.v:top`,
            `assignment.json`).
        network: of the zoo, or your own, `module.py:factory`, with its `weights`, or torchvision's,
            `torchvision:resnet50`, with weights as well.
        data: images, as `cnn_eval.datasets.load_dataset` takes them; the first `images` are
            measured on, the last 256 calibrate what has no profile, and those before them correct.
        encoding: number format; the one that fits the multipliers' signedness where none is named.
        labels: a file with the names of the network's classes, one a line, in the order of its
            outputs; labels of images are found in it by the names of their classes.
        image_px: size that image files are resized to; 0: the network's.
        exact_first_last: multiply exactly in the first and the last layer.
        corrected: layers' scale and bias are estimated anew with each multiplier in place.
        zoo: folder that networks and their profiles are looked for in first.
        cluster: address of a scheduler of dask.distributed, whose workers emulate instead.
        on_progress: called with (multiplier, images done, of so many, top-1 in percent so far).

    Raises:
        InputError: one of the arguments cannot be used, or they do not fit each other.
    """
    from cnn_eval.datasets import ImageRoles, top1_pct
    from cnn_eval.emulation import measure_top1
    from cnn_eval.prediction import profiled_widths
    from cnn_eval.zoo import has_profile

    from ..ground_truth import Emulation

    known = [designs([one])[0] if isinstance(one, str) else one for one in subjects]
    number_format, *others = {encoding_of(design, encoding) for design in known}
    if others:
        raise InputError(
            "signed and unsigned multipliers need different encodings; emulate them in separate "
            "runs"
        )
    folder, own, names = (None if path is None else Path(path) for path in (zoo, weights, labels))
    trained = read_network(network, own, folder, names)
    loaded = trained.images(Path(data), image_px)
    # Few images are enough where nothing is calibrated and nothing corrected.
    roles = (
        ImageRoles.of(loaded)
        if corrected or not has_profile(trained.name, number_format, corrected=False, folder=folder)
        else ImageRoles(loaded, loaded, loaded)
    )
    sample, widest = roles.judging.head(images), profiled_widths(number_format)[0]
    emulation = Emulation(trained, number_format, replace(roles, judging=sample), corrected, folder)
    truth, trained = emulation.truth, trained.captured(roles.calibration)
    float_pct = top1_pct(trained.model, sample, trained.normalization(sample))
    exact_pct: dict[object, float] = {}

    def exact_top1_pct(widths: Widths | Mapping[str, Widths]) -> float:
        key = widths if isinstance(widths, tuple) else tuple(widths.items())
        if key not in exact_pct:
            exact_pct[key] = measure_top1(truth.exact(widths), None, sample).top1_pct
        return exact_pct[key]

    macs = trained.layer_macs(sample)
    in_layers = [InLayers.of(design, truth, widest, trained.name) for design in known]
    if exact_first_last and (
        given := [
            subject.name
            for subject, design in zip(in_layers, known, strict=True)
            if not isinstance(design, Multiplier)
        ]
    ):
        raise InputError(
            f"{given[0]} says itself what multiplies in the first and the last layer; leave "
            "--exact-first-last away"
        )
    measure = partial(_measured_by, cluster) if cluster else _measured
    found: dict[int, EmulatedAccuracy] = {}
    for index, measured in measure(emulation, in_layers, exact_first_last, on_progress):
        subject = in_layers[index]
        exact_layers = subject.exact_layers(truth) if exact_first_last else ()
        spared = sum(macs[name] for name in exact_layers)
        found[index] = EmulatedAccuracy(
            multiplier=subject.name,
            network=network,
            encoding=str(number_format),
            data=sample.name,
            corrected=corrected,
            top1_pct=measured.top1_pct,
            float_top1_pct=float_pct,
            exact_top1_pct=exact_top1_pct(widest),
            exact_narrow_top1_pct=exact_top1_pct(subject.widths),
            multiplied_pct=100 * (1 - spared / sum(macs.values())),
            exact_layers=exact_layers,
            images=measured.images,
            seconds=measured.seconds,
        )
    return [found[index] for index in range(len(known))]


def _measured(
    emulation: Emulation,
    subjects: Sequence[InLayers],
    exact_first_last: bool,
    on_progress: Callable[[str, int, int, float], None],
) -> Iterator[tuple[int, Measurement]]:
    """(index, measurement) of one after the other, by this process."""
    sample = emulation.images.judging
    for index, subject in enumerate(subjects):

        def tell(
            done: int,
            so_far_pct: float,
            name: str = subject.name,
            before: int = index * len(sample),
        ) -> None:
            on_progress(name, before + done, len(subjects) * len(sample), so_far_pct)

        yield (
            index,
            emulation.truth.measure(
                subject.multipliers, sample, exact_first_last=exact_first_last, on_progress=tell
            ),
        )


def _measured_by(
    cluster: str,
    emulation: Emulation,
    subjects: Sequence[InLayers],
    exact_first_last: bool,
    on_progress: Callable[[str, int, int, float], None],
) -> Iterator[tuple[int, Measurement]]:
    """The same as they come, by the workers of a cluster."""
    from cnn_eval.emulation import Measurement

    from ..evaluation import open_executor
    from ..ground_truth import Emulation, measured, request_text

    job = partial(Emulation.measurements, exact_first_last=exact_first_last)
    tasks: dict[str, list[int]] = {}  # the same design may be asked for twice
    for index, subject in enumerate(subjects):
        tasks.setdefault(request_text(subject.multipliers), []).append(index)
    images, done = len(emulation.images.judging), 0
    with open_executor(cluster=cluster) as executor:
        for indices, row in measured(emulation, job, tasks, executor):
            done += len(indices)
            name = subjects[indices[0]].name
            on_progress(name, done * images, len(subjects) * images, row["top1_pct"])
            yield from ((index, Measurement(**row)) for index in indices)


@dataclass(frozen=True)
class InLayers:
    """A multiplier, or the multipliers of an assignment, as the layers of a network take them.

    Attributes:
        widths: of the operands, in all layers or in each.
    """

    name: str
    multipliers: Multipliers
    widths: Widths | Mapping[str, Widths]

    @classmethod
    def of(
        cls, design: Multiplier | Assignment, truth: GroundTruth, widest: Widths, network: str
    ) -> InLayers:
        """Raises dse.search.AssignmentError for an assignment to other layers, and
        hdl.errors.InputError for one to another network.
        """
        from hdl.multipliers import within

        if isinstance(design, Multiplier):
            table = within(design.design, [widest]).table()
            return cls(table.name, table, table.widths)
        if design.network != network:
            raise InputError(
                f"the assignment is for the network {design.network!r}, not for {network!r}; give "
                f"--network {design.network}"
            )
        tables = {
            layer: within(table, [widest]).table()
            for layer, table in design.tables(truth.names).items()
        }
        return cls(
            f"assignment of {len(design.kinds)} kinds",
            tables,
            {layer: table.widths for layer, table in tables.items()},
        )

    def exact_layers(self, truth: GroundTruth) -> tuple[str, ...]:
        """Layers that stay exact where the first and the last do."""
        from hdl.tables import ProductTable

        assert isinstance(self.multipliers, ProductTable)
        return truth.exact_layers(self.multipliers)


def encoding_of(design: Multiplier | Assignment, encoding: str) -> OperandEncoding:
    """The number format of a design; `encoding` is what the user named, or nothing.

    Raises:
        hdl.errors.InputError: it is not one that the design has.
    """
    if isinstance(design, Multiplier):
        return fitting_encoding(encoding, signed=design.signed)
    if encoding not in ("", design.encoding):
        raise InputError(
            f"the assignment is in {design.encoding}, not in {encoding}; leave --encoding away"
        )
    return design.encoding
