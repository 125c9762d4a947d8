"""Image names such as ``000001@Extract/job007/stack.mrcs``, and the stacks that they refer to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.errors import StackError, StarError

logger = logging.getLogger(__name__)

_PROJECT_MARKERS = ("default_pipeline.star", ".gui_projectdir")
_NAMES_SHOWN = 3


def split_image_names(names: Sequence[str], path: Path) -> tuple[list[str], IntArray, IntArray]:
    """Split image names into stacks and numbers.

    Parameters
    ----------
    names : sequence of str
        Column rlnImageName.
    path : Path
        STAR file, for error messages.

    Returns
    -------
    stack_names : list of str
        Every stack once, in the order of first use.
    stack_index, image_index : (N,) int32
        Position in `stack_names`, and of the image in its stack (from 0).

    Raises
    ------
    StarError
        If a name is not ``number@stack`` with a number of at least 1.
    """
    numbers, _, stacks = zip(*(name.partition("@") for name in names), strict=True)
    codes: dict[str, int] = {}
    stack_index = np.fromiter(
        (codes.setdefault(stack, len(codes)) for stack in stacks), np.int32, len(stacks)
    )
    try:
        image_index = np.array(list(map(int, numbers)), dtype=np.int32) - np.int32(1)
    except (ValueError, OverflowError):
        image_index = np.full(len(names), -1, dtype=np.int32)
    if image_index.min() < 0 or "" in codes:
        _raise_bad_name(names, path)
    return list(codes), stack_index, image_index


def _raise_bad_name(names: Sequence[str], path: Path) -> None:
    for row, name in enumerate(names, 1):
        number, _, stack = name.partition("@")
        if not (number.isdecimal() and int(number) >= 1 and stack):
            raise StarError(
                f"{path}: row {row} has the image name {name!r}; expected number@stack, "
                "as in 000001@Extract/job007/stack.mrcs, with numbers from 1"
            )


def find_stacks(stack_names: Sequence[str], star_path: Path) -> tuple[Path, ...]:
    """Find the stacks of a STAR file on disk.

    Relative names are searched for in the RELION project directory (the nearest folder above the
    STAR file with RELION's marker files), in the folder of the STAR file, in each folder above
    it, and in the current folder. The folders that were used are logged.

    Raises
    ------
    StackError
        If a stack is not found.
    """
    bases = list(_base_folders(star_path))
    used: dict[Path, int] = {}
    found: list[Path] = []
    missing: list[str] = []
    for name in stack_names:
        base = _find_base(name, bases, used)
        if base is None:
            missing.append(name)
            continue
        used[base] = used.get(base, 0) + 1
        found.append(base / name)
    if missing:
        raise _missing_error(missing, len(stack_names), star_path, bases)
    for base, count in used.items():
        logger.info("%s: %d stack(s) found relative to %s", star_path, count, base)
    return tuple(found)


def names_from(stack_names: Sequence[str], sources: Sequence[Path], target: Path) -> list[str]:
    """Return the names by which a new STAR file refers to the stacks of others.

    A name stays as it is if it leads to the same stack from the folder of the new file (as
    `find_stacks` searches, without the current folder), or if the stack is not found; otherwise
    it becomes an absolute path.

    Parameters
    ----------
    stack_names : sequence of str
    sources : sequence of Path
        STAR files from whose folders the names hold, in the order in which they are tried.
    target : Path
        The new STAR file.
    """
    before = [*dict.fromkeys(base for path in sources for base in _base_folders(path))]
    after = [*_folders_above(target)]
    names = []
    for name in stack_names:
        old, new = _find_base(name, before, {}), _find_base(name, after, {})
        same = old is None or (new is not None and (old / name).samefile(new / name))
        names.append(name if old is None or same else str((old / name).absolute()))
    return names


def _find_base(name: str, bases: list[Path], used: dict[Path, int]) -> Path | None:
    candidates = [*used, *(base for base in bases if base not in used)]
    return next((base for base in candidates if (base / name).is_file()), None)


def _base_folders(star_path: Path) -> Iterator[Path]:
    yield from dict.fromkeys([*_folders_above(star_path), Path.cwd()])


def _folders_above(star_path: Path) -> Iterator[Path]:
    """Yield the project folder, the folder of the STAR file, and each folder above it."""
    folder = star_path.absolute().parent
    above = [folder, *folder.parents]
    project = [f for f in above if any((f / marker).exists() for marker in _PROJECT_MARKERS)]
    yield from dict.fromkeys([*project[:1], *above])


def _missing_error(
    missing: list[str], n_stacks: int, star_path: Path, bases: list[Path]
) -> StackError:
    shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
    return StackError(
        f"{star_path}: {len(missing)} of {n_stacks} stacks not found: {shown}; searched in "
        f"{bases[0]}, the folders above the STAR file and {Path.cwd()}; run from the RELION "
        "project folder, or put the STAR file there"
    )
