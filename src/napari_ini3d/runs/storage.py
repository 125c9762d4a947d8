"""Storage of arrays in npz files and of results in JSON, written completely or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.io import atomic_path, write_error

Arrays = Mapping[str, AnyArray]


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
    except (EOFError, BadZipFile) as error:
        raise ValueError(f"{path.name} is truncated or empty") from error


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write results as JSON, completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return the results that `write_facts` wrote; None if there is no such file."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def copy_or_link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system has no links."""
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
