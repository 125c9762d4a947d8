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
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.io import atomic_path, write_error

logger = logging.getLogger(__name__)

Arrays = Mapping[str, AnyArray]

ITERATION_KEY = "checkpoint_iteration"
"""Name of the number of the iteration in a checkpoint."""


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` in writing `path` into a `RunFolderError`."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def save_arrays(path: Path, arrays: Arrays, *, compressed: bool = False) -> None:
    """Write named arrays to an npz file, completely or not at all."""
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        save(file, **dict(arrays))


def load_arrays(path: Path) -> dict[str, AnyArray]:
    """Read the named arrays of an npz file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (EOFError, BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is truncated, empty or damaged") from error


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
        logger.warning("%s is damaged (%s); it is left out", path, error)
        return None
    return found


def copy_or_link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system has no links."""
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
