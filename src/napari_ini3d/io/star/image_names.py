"""Image names such as ``000001@Extract/job007/stack.mrcs``, and the stacks that they refer to."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.errors import StackError, StarError
from napari_ini3d.io.files import read_failure

logger = logging.getLogger(__name__)

_PROJECT_MARKERS = ("default_pipeline.star", ".gui_projectdir")
_NAMES_SHOWN = 3
_LARGEST_NUMBER = 2**31 - 1
_FORMAT = re.compile(r":(?:mrcs?|st)$")
_ARE_NUMBERS = re.compile(r"[0-9+\s]*")
_OTHER_SUFFIX = {".mrcs": ".mrc", ".mrc": ".mrcs"}


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
        if not _ARE_NUMBERS.fullmatch("".join(numbers)):  # int() takes 1_0 and digits of any script
            raise _bad_name(names, path)
        counted = np.fromiter(map(int, numbers), np.int64, len(names))
    except (ValueError, OverflowError):
        counted = np.zeros(len(names), dtype=np.int64)
    if not 1 <= counted.min() <= counted.max() <= _LARGEST_NUMBER or "" in codes:
        raise _bad_name(names, path)
    return list(codes), stack_index, (counted - 1).astype(np.int32)


def _bad_name(names: Sequence[str], path: Path) -> StarError:
    row, bad = next(((i, n) for i, n in enumerate(names) if not _is_good(n)), (0, names[0]))
    return StarError.at_row(
        f"{path}: ",
        row,
        f" has the image name {bad!r}; expected number@stack, as in "
        f"000001@Extract/job007/stack.mrcs, with numbers from 1 to {_LARGEST_NUMBER}; correct or "
        "remove the row",
    )


def _is_good(name: str) -> bool:
    number, _, stack = name.partition("@")
    digits = number.strip().removeprefix("+")
    return (
        digits.isascii()
        and digits.isdecimal()
        and 1 <= int(digits) <= _LARGEST_NUMBER
        and bool(stack)
    )


def without_format(stack_name: str) -> str:
    """Return the name of a stack without the format that RELION allows at its end.

    ``stack.mrc:mrcs`` is the file ``stack.mrc``, to be read as a stack of images.
    """
    return _FORMAT.sub("", stack_name)


def find_stacks(
    stack_names: Sequence[str], star_path: Path, *, project: Path | None = None
) -> tuple[Path, ...]:
    """Find the stacks of a STAR file on disk.

    Relative names are searched for in `project`, if it is given, in the RELION project directory
    (the nearest folder above the STAR file with RELION's marker files), in the folder of the STAR
    file, in each folder above it, and in the current folder. The folders that were used are logged.

    Raises
    ------
    StackError
        If a stack is not found.
    """
    bases = list(search_folders(star_path, project))
    found = search_stacks(stack_names, bases, star_path)
    missing = [name for name, path in zip(stack_names, found, strict=True) if path is None]
    if missing:
        raise _missing_error(missing, len(stack_names), star_path, bases)
    return tuple(path for path in found if path is not None)


def search_folders(path: Path, project: Path | None = None) -> Iterator[Path]:
    """Yield the folders in which the stacks of a particle file are searched for, in this order."""
    own = [] if project is None else [_absolute(project)]
    yield from dict.fromkeys([*own, *_base_folders(path)])


def search_stacks(stack_names: Sequence[str], bases: list[Path], source: Path) -> list[Path | None]:
    """Return the path of each stack, None where it is not found, and log the folders.

    Parameters
    ----------
    stack_names : sequence of str
    bases : list of Path
        Folders to which relative names may refer, in the order in which they are tried.
    source : Path
        File of the particles, for messages.
    """
    used: dict[Path, int] = {}
    found: list[Path | None] = []
    for name in stack_names:
        place = _locate(name, bases, used)
        if place is None:
            found.append(None)
            continue
        base, spelling = place
        found.append(base / spelling)
        if not Path(spelling).is_absolute():
            used[base] = used.get(base, 0) + 1
    for base, count in used.items():
        logger.info("%s: %d stack(s) found relative to %s", source, count, base)
    return found


def spellings(name: str) -> Iterator[str]:
    """Yield the name of a stack as it stands, and other ways in which programs write it.

    These are RELION's ``stack.mrc:mrcs``, cryoSPARC's ``>J94/extract/stack.mrcs``, the folders of
    Windows, and ``.mrc`` for ``.mrcs``.
    """
    yield name
    plain = without_format(name.removeprefix(">"))
    for spelling in dict.fromkeys((plain, plain.replace("\\", "/"))):
        if spelling and spelling != name:
            yield spelling
        path = Path(spelling)
        if path.suffix in _OTHER_SUFFIX:
            yield str(path.with_suffix(_OTHER_SUFFIX[path.suffix]))


def is_respelled(name: str, path: Path) -> bool:
    """Return whether a stack was found by another spelling of its name."""
    return not path.as_posix().endswith(Path(name).as_posix())


def locate_stacks(stack_names: Sequence[str], sources: Sequence[Path]) -> list[Path | None]:
    """Return the stacks of STAR files, None for those that are not found.

    Parameters
    ----------
    stack_names : sequence of str
    sources : sequence of Path
        STAR files from whose folders the names hold, in the order in which they are tried.
    """
    bases = [*dict.fromkeys(base for path in sources for base in _base_folders(path))]
    places = (_locate(name, bases, {}) for name in stack_names)
    return [None if place is None else place[0] / place[1] for place in places]


def names_for(
    stack_names: Sequence[str], stack_paths: Sequence[Path | None], target: Path
) -> list[str]:
    """Return the names by which a new STAR file refers to stacks.

    A name stays as it is if it is absolute, or relative to the RELION project folder of the new
    file, as RELION expects. Otherwise it becomes relative to that folder if the stack is in it,
    and absolute if not, so that the file can be used from any folder.

    Parameters
    ----------
    stack_names : sequence of str
        As in the STAR file that was read.
    stack_paths : sequence of Path or None
        The stacks; the name of a stack that is not known stays as it is.
    target : Path
        The new STAR file.
    """
    project = _project_folder(target)
    return [
        name if path is None or Path(name) == path else _name_for(name, path, project)
        for name, path in zip(stack_names, stack_paths, strict=True)
    ]


def _name_for(name: str, path: Path, project: Path | None) -> str:
    full = _absolute(path)
    if project is not None:
        if _is_file(project / name) and (project / name).samefile(path):
            return name
        for inside, folder in ((full, project), (full.resolve(), project.resolve())):
            if inside.is_relative_to(folder):
                full = inside.relative_to(folder)
                break
    spelled = full.as_posix()  # RELION's separator, also on Windows
    return f"{spelled}:mrcs" if full.suffix == ".mrc" else spelled  # its mark of a stack


def _locate(name: str, bases: list[Path], used: Mapping[Path, int]) -> tuple[Path, str] | None:
    """Return the folder and the spelling by which a stack is found; None if it is not."""
    candidates = [*used, *(base for base in bases if base not in used)]
    for spelling in spellings(name):
        for base in candidates:
            if _is_file(base / spelling):
                return base, spelling
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError as error:
        raise StackError(read_failure(path, error, "check the path")) from error
    except OSError:  # such as a name that is too long
        return False


def _base_folders(star_path: Path) -> Iterator[Path]:
    yield from dict.fromkeys([*_folders_above(star_path), Path.cwd()])


def _folders_above(star_path: Path) -> Iterator[Path]:
    """Yield the project folder, the folder of the STAR file, and each folder above it."""
    folder = _absolute(star_path).parent
    project = _project_folder(star_path)
    yield from dict.fromkeys([*([project] if project else []), folder, *folder.parents])


def _project_folder(star_path: Path) -> Path | None:
    """Return the nearest folder above a file that has the marker files of a RELION project."""
    above = _absolute(star_path).parents
    return next((f for f in above if any((f / m).exists() for m in _PROJECT_MARKERS)), None)


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; links stay where there is none."""
    return path.resolve() if ".." in path.parts else path.absolute()


def _missing_error(
    missing: list[str], n_stacks: int, star_path: Path, bases: list[Path]
) -> StackError:
    link = next((found for base in bases if (found := _dead_link(base / missing[0]))), None)
    if link is not None:
        return StackError(
            f"{star_path}: {len(missing)} of {n_stacks} stacks not found: {link} is a link to "
            f"{os.readlink(link)}, which does not exist; restore its target, or make the link again"
        )
    shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
    return StackError(
        f"{star_path}: {len(missing)} of {n_stacks} stacks not found: {shown}; searched in "
        f"{bases[0]}, the folders above the STAR file and {Path.cwd()}; run from the RELION "
        "project folder, or put the STAR file there"
    )


def _dead_link(path: Path) -> Path | None:
    """Return the part of a path that is a link which points nowhere, if there is one."""
    parts = [path, *path.parents]
    return next((p for p in parts if os.path.islink(p) and not os.path.exists(p)), None)
