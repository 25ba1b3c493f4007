"""Where the files of the zoo are, and what they are called.

Files are ``<network>.safetensors``, ``<network>.rounding.npz`` (integers of weights of few bits),
and for each encoding ``<network>.<encoding>.<a>x<b>.profile.npz`` for operands of a x b bits and
``<network>.<encoding>.predictor.json``. Profiles and predictors of networks without correction have
``uncorrected`` in their names. A folder of one's own is looked into first; the zoo that ships is
behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hdl.errors import MissingError
from hdl.operands import OperandEncoding, Widths

__all__ = [
    "SHIPPED",
    "ZooError",
    "folders",
    "has_profile",
    "is_corrected",
    "predictor_path",
    "predictor_suffix",
    "profile_path",
    "profile_suffix",
    "profile_widths",
    "rounding_path",
    "weights_path",
]

#: The folder of the zoo that ships.
SHIPPED = Path(__file__).parent
_LONGEST_NAME = 200


class ZooError(MissingError):
    """Neither the user's folder nor the zoo that ships has what was asked for."""


def weights_path(name: str, *, folder: Path | None = None) -> Path:
    """The network's weights. Raises ZooError."""
    remedy = "train it with `dse train`, or name your own by its file, module.py:factory"
    return _find(f"{name}.safetensors", folder, f"no weights for network {name!r}", remedy)


def profile_path(
    name: str,
    encoding: OperandEncoding,
    widths: Widths,
    *,
    corrected: bool = True,
    folder: Path | None = None,
) -> Path:
    """The network's profile under an encoding, for operands of (width_a, width_b) bits. Raises
    ZooError.
    """
    what = (
        f"no profile of network {name!r} for {encoding} with {widths[0]}x{widths[1]}-bit "
        f"operands{'' if corrected else ', uncorrected'}"
    )
    return _find(
        f"{name}.{profile_suffix(encoding, widths, corrected=corrected)}",
        folder,
        what,
        "make it with `dse profile`",
    )


def profile_suffix(encoding: OperandEncoding, widths: Widths, *, corrected: bool) -> str:
    """What follows the network's name in a profile's file name."""
    return f"{encoding}.{widths[0]}x{widths[1]}{'' if corrected else '.uncorrected'}.profile.npz"


def predictor_suffix(encoding: OperandEncoding, *, corrected: bool) -> str:
    """What follows the network's name in a predictor's file name."""
    return f"{encoding}{'' if corrected else '.uncorrected'}.predictor.json"


def profile_widths(
    name: str, encoding: OperandEncoding, *, corrected: bool = True, folder: Path | None = None
) -> list[Widths]:
    """Operand widths that there are profiles for, the widest first. Raises ZooError where there is
    none.
    """
    ending = f"{'' if corrected else '.uncorrected'}.profile.npz"
    pattern = re.compile(re.escape(f"{name}.{encoding}.") + r"(\d+)x(\d+)" + re.escape(ending))
    files = [path.name for place in folders(folder) for path in place.iterdir()]
    found = {
        Widths(int(match[1]), int(match[2])) for file in files if (match := pattern.fullmatch(file))
    }
    if not found:
        other = f"{name}.{encoding}."
        plain = not corrected and any(file.startswith(other) for file in files)
        raise ZooError(
            f"no profile of network {name!r} for {encoding}{' without correction' if plain else ''}"
            f": there is {_profiled(name, files)}; make it with `dse profile --encoding {encoding}"
            f"{' --no-correction' if plain else ''}`"
        )
    return sorted(found, key=lambda widths: (-sum(widths), -widths[0]))


def _profiled(name: str, files: Iterable[str]) -> str:
    """What there are profiles of: this network's number formats, or else all networks."""
    kinds = {
        (match[1], f"{match[1]}.{match[2]}{match[3] or ''}")
        for file in files
        if (match := re.fullmatch(r"(.+)\.(\w+)\.\d+x\d+(\.uncorrected)?\.profile\.npz", file))
    }
    own = {kind for network, kind in kinds if network == name}
    return ", ".join(sorted(own or {network for network, _ in kinds})) or "nothing of this kind"


def is_corrected(name: str, encoding: OperandEncoding, *, folder: Path | None = None) -> bool:
    """Whether there are profiles of the network under correction; without one, False."""
    return has_profile(name, encoding, corrected=True, folder=folder)


def has_profile(
    name: str, encoding: OperandEncoding, *, corrected: bool, folder: Path | None = None
) -> bool:
    """Whether there is a profile of the network, under correction or without."""
    try:
        profile_widths(name, encoding, corrected=corrected, folder=folder)
    except ZooError:
        return False
    return True


def predictor_path(
    name: str, encoding: OperandEncoding, *, corrected: bool = True, folder: Path | None = None
) -> Path:
    """The network's accuracy predictor under an encoding. Raises ZooError."""
    what = f"no predictor for network {name!r} and {encoding}"
    return _find(
        f"{name}.{predictor_suffix(encoding, corrected=corrected)}",
        folder,
        what,
        "make it with `dse calibrate`",
    )


def rounding_path(name: str, *, folder: Path | None = None) -> Path | None:
    """The learned rounding of the network's weights; None where there is none beside its
    profiles.
    """
    return next(
        (
            place / f"{name}.rounding.npz"
            for place in folders(folder)
            if (place / f"{name}.rounding.npz").is_file()
        ),
        None,
    )


def ships(name: str) -> bool:
    """Whether there is a network of that name in the zoo that ships."""
    return any(path.name.startswith(f"{name}.") for path in SHIPPED.iterdir())


def folders(folder: Path | None) -> list[Path]:
    """Where files are looked for, in order. Raises ZooError."""
    if folder is not None and not folder.is_dir():
        raise ZooError(f"no folder {str(folder)!r} to look for networks in; check the path")
    return [*([folder] if folder is not None else []), SHIPPED]


def _find(file: str, folder: Path | None, missing: str, remedy: str) -> Path:
    places = folders(folder)
    for candidate in places:
        if _is_name(file) and (candidate / file).is_file():
            return candidate / file
    suffix = (
        file[file.index(".") :]
        if file.endswith(".safetensors")
        else file[file.rindex(".", 0, file.rindex(".")) :]
    )
    there = ", ".join(_there(places, suffix)) or "nothing of this kind"
    raise ZooError(f"{missing}: there is {there}; {remedy}")


def _is_name(file: str) -> bool:
    """Whether it names a file in a folder, and nothing elsewhere."""
    return Path(file).name == file and len(file) <= _LONGEST_NAME and file.isprintable()


def _there(folders: Iterable[Path], suffix: str) -> list[str]:
    return sorted(
        {
            path.name.removesuffix(suffix)
            for folder in folders
            if folder.is_dir()
            for path in folder.glob(f"*{suffix}")
        }
    )
