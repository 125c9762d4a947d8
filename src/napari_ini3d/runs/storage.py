"""Storage of arrays in npz files and of results in JSON, written completely or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.io import atomic_path, declared_bytes, write_error
from napari_ini3d.kernels import free_memory

logger = logging.getLogger(__name__)

Arrays = Mapping[str, AnyArray]

_DEFLATE_RATIO = 1032  # the most that deflate compresses

ITERATION_KEY = "checkpoint_iteration"
"""Name of the number of the iteration in a checkpoint."""


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` in writing `path` into a `RunFolderError`."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def save_arrays(
    path: Path, arrays: Arrays, *, compressed: bool = False, durable: bool = True
) -> None:
    """Write named arrays to an npz file, completely or not at all.

    Parameters
    ----------
    path : Path
    arrays : mapping of str to array
    compressed : bool
    durable : bool
        Flush the file to disk (`io.atomic_path`).
    """
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    with atomic_path(path, durable=durable) as temporary, temporary.open("wb") as file:
        save(file, **dict(arrays))


def load_arrays(
    path: Path, *, wanted: Callable[[str], bool] = lambda _: True
) -> dict[str, AnyArray]:
    """Read the named arrays of an npz file.

    What the file declares is compared with its size and the free memory before it is read.

    Parameters
    ----------
    path : Path
    wanted : callable
        Takes the name of an array; the others are not read.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is damaged.
    """
    try:
        _check_members(path, wanted)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if wanted(name)}
    except (EOFError, BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is truncated, empty or damaged") from error


def _check_members(path: Path, wanted: Callable[[str], bool]) -> None:
    """Raise `ValueError` if an npz file declares more than it can hold."""
    with ZipFile(path) as archive:
        members = [m for m in archive.infolist() if wanted(m.filename.removesuffix(".npy"))]
        total = sum(member.file_size for member in members)
        free = free_memory()
        if free is not None and total > free:
            raise ValueError(f"{path.name} declares {total} bytes, but {free} are free")
        for member in members:
            if member.file_size > _DEFLATE_RATIO * member.compress_size + 1024:
                raise ValueError(f"{path.name}: {member.filename} declares too much")
            with archive.open(member) as file:
                _check_length(f"{path.name}: {member.filename}", file, member.file_size)


def _check_length(name: str, file: IO[bytes], size: int) -> None:
    try:
        declared = declared_bytes(file)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if declared != size:
        raise ValueError(f"{name} is not of its declared size")


def load_checkpoint(
    path: Path, accept: Callable[[Arrays], object]
) -> tuple[int, dict[str, AnyArray]]:
    """Return the iteration and the arrays of a checkpoint.

    Parameters
    ----------
    path : Path
    accept : callable
        Raises `ValueError` or `KeyError` for arrays that cannot be used.

    Raises
    ------
    OSError, ValueError, KeyError
        If it cannot be used.
    """
    arrays = load_arrays(path)
    stored = arrays.pop(ITERATION_KEY)
    if stored.shape != () or stored.dtype.kind != "i" or stored < 1:
        raise ValueError(f"{ITERATION_KEY} is no number of an iteration")
    accept(arrays)
    return int(stored), arrays


def check_pictures(arrays: Arrays) -> None:
    """Raise `ValueError` unless arrays are the pictures of an iteration that can be drawn.

    Early versions wrote fewer of them.
    """
    images = [arrays[name] for name in ("slices", "projections") if name in arrays]
    if len(images) < 2 or "view_counts" not in arrays:
        raise ValueError("slices, projections or view counts are missing")
    n_classes = len(images[0]) if images[0].ndim else 0
    for array in images:
        if array.ndim != 4 or array.shape[:2] != (n_classes, 3) or array.dtype.kind != "f":
            raise ValueError(f"slices or projections have the shape {array.shape}")
    if arrays["view_counts"].ndim != 2 or arrays["view_counts"].dtype.kind != "f":
        raise ValueError("view counts are no table")


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write results as JSON, completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return the results that `write_facts` wrote.

    None if there is no such file, or it is damaged, which is logged.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no table of results")
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s is damaged (%s); it is ignored", path, error)
        return None
    return found


def are_of_kinds(facts: Mapping[str, Any], kinds: Mapping[str, Any], path: Path) -> bool:
    """Return whether results have values of these types; it is logged if they have not."""
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind) or (kind is not bool and facts[name] is True):
            logger.warning("%s is damaged (%s); it is ignored", path, name)
            return False
    return True


def copy_or_link(source: Path, target: Path, *, durable: bool = True) -> None:
    """Hard-link a file, or copy it if the file system has no links.

    Parameters
    ----------
    source, target : Path
    durable : bool
        Flush the file to disk (`io.atomic_path`).
    """
    with atomic_path(target, durable=durable) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
