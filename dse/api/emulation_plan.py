"""What a run emulates, and on which images: those that judge a design neither made its prediction
nor correct it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from .accuracy import read_network

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.networks import TrainedNetwork

    from ..engine import Search

__all__ = ["EmulationPlan", "recorded_path"]

#: The first images of the data, those that calibrations take too, are what a search learns from: so
#: many, or half of a smaller data set.
RECALIBRATION_IMAGES = 1000


@dataclass(frozen=True)
class EmulationPlan:
    """What a run emulates, and on which images.

    Attributes:
        trained: the network; None where nothing is emulated.
        verify: designs of the front to emulate on `images` of the judging images, from number
            `start` on.
        unseen: whether none of these made predictors or profiles.
        roles: which images judge, correct and calibrate.
        learning: the same of the images that a search recalibrates with; None where it does not.
    """

    trained: TrainedNetwork | None
    verify: int
    images: int
    start: int = 0
    unseen: bool = True
    roles: ImageRoles | None = None
    learning: ImageRoles | None = None

    @classmethod
    def prepared(
        cls,
        search: Search,
        network: str,
        weights: Path | None,
        data: Path | None,
        verify: int,
        images: int,
        skip: int | None,
        *,
        labels: Path | None = None,
        run: Path | None = None,
    ) -> EmulationPlan:
        """Reads network and images where they are needed. A run goes on learning from the images
        that it began with, whatever `data` it is verified on. Raises InputError.
        """
        from cnn_eval.networks import network_name

        if network_name(network) != search.network:
            raise InputError(
                f"--network {network} is not the network {search.network!r} of the run in "
                f"{str(run)!r}; leave it out, or give that one's file"
            )
        judging = data or search.data
        moved = search.data is None or (search.data.is_absolute() and not search.data.exists())
        learning = judging if moved else search.data
        for option, count, path in (
            ("--verify", verify, judging),
            ("--recalibrate", search.recalibrate, learning),
        ):
            if count and path is None:
                raise InputError(f"{option} {count} needs images; give them with --data PATH")
        needed = judging if verify or search.recalibrate else None
        if needed is not None:
            _check_one_data_set(search)
        # Not recorded with the run: a file runs only when it is named.
        trained = (
            read_network(network, weights, search.zoo_folder, labels)
            if needed is not None or weights is not None
            else None
        )
        if needed is None or trained is None:
            return cls(trained, 0, images)
        # Loads torch, which a search that emulates nothing does without.
        from cnn_eval.datasets import ImageRoles

        roles = ImageRoles.of(trained.images(needed))
        learned = None
        if search.recalibrate and learning is not None:
            one = learning.absolute() == needed.absolute()
            learned = roles if one else ImageRoles.of(trained.images(learning))
        seen = 0 if learned is None else _seen(learned.judging, roles.judging)
        first = _first_unseen(roles.judging, search, seen) if verify else 0
        start = _first_to_verify(roles.judging, skip, first) if verify else 0
        return cls(trained, verify, images, start, start >= first, roles, learned)

    def sample(self, roles: ImageRoles) -> Dataset:
        """The images to verify on."""
        judging = roles.judging
        return judging.part(self.start, min(self.start + self.images, len(judging)))

    @property
    def to_learn_from(self) -> tuple[ImageRoles, Dataset] | None:
        """The images that a search recalibrates with."""
        if self.learning is None:
            return None
        judging = self.learning.judging
        return self.learning, judging.head(_recalibration_images(judging))


def _check_one_data_set(search: Search) -> None:
    """Raises InputError where the networks of a search were trained for different images."""
    from cnn_eval.zoo import load_profile

    data = {
        network: load_profile(
            network,
            search.encodings[0],
            corrected=search.corrected,
            folder=search.zoo_folder,
        ).data
        for network in search.networks
    }
    if len(set(data.values())) > 1:
        known = ", ".join(f"{network} of {name}" for network, name in data.items())
        raise InputError(
            f"the networks were profiled on different data ({known}), and --data is one data set; "
            "leave out --recalibrate and --verify, or name networks for the same data"
        )


def _recalibration_images(data: Dataset) -> int:
    return min(RECALIBRATION_IMAGES, len(data) // 2)


def _seen(learned: Dataset, judging: Dataset) -> int:
    """How many of the first judging images a search has learned from."""
    count = _recalibration_images(judging)
    return count if learned.head(count).sha256() == judging.head(count).sha256() else 0


def recorded_path(data: Path | str) -> Path:
    """How a run records where its images are: from the root on; a data set's name as it is."""
    path = Path(data)
    return path.absolute() if path.exists() else path


def _first_unseen(data: Dataset, search: Search, seen: int) -> int:
    """Number of the first judging image that predictors do not know, nor the search, which has
    `seen` the first ones.
    """
    from ..ground_truth.verification import unseen

    known = unseen(
        data,
        search.networks,
        search.encodings,
        corrected=search.corrected,
        zoo_folder=search.zoo_folder,
    )
    return max(known, seen)


def _first_to_verify(data: Dataset, skip: int | None, start: int) -> int:
    """Number of the first judging image to verify with: `start`, or behind the first `skip`."""
    if skip is not None:
        if skip >= len(data):
            raise InputError(
                f"--skip {skip} leaves none of the {len(data)} judging images of {data.name!r}; "
                "skip fewer"
            )
        start = skip
    if start >= len(data):
        raise InputError(
            f"all of the {len(data)} judging images of {data.name!r} made the predictor; give "
            "others with --data, or use them all the same with --skip 0"
        )
    return start
