"""Selection of a class of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_ini3d.errors import MapError, RunFolderError
from napari_ini3d.io import Map, read_map
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.written import written_iterations

ClassChoice = Literal["largest", "best-resolved", "most-symmetric"]


@dataclass(frozen=True, slots=True)
class RunClass:
    """A class of a run, at its last written iteration.

    Attributes
    ----------
    class_index : int
        From 0.
    map_path : Path
    particles_path : Path
        Poses of the particles of all classes, as RELION's ``_data.star``.
    """

    class_index: int
    map_path: Path
    particles_path: Path


def choose_class(
    folder: RunFolder, choice: ClassChoice, symmetry_score: Callable[[Map], Any]
) -> RunClass:
    """Return the best class of a run by some criterion; the first one if several are equal.

    Parameters
    ----------
    folder : RunFolder
    choice : {"largest", "best-resolved", "most-symmetric"}
        The class with the most particles, the highest resolution, or the highest score; an empty
        map has no score.
    symmetry_score : callable
        Returns the score of a map; called only for "most-symmetric".

    Raises
    ------
    RunFolderError
        If no iteration has been written yet.
    MapError
        If a map cannot be read, or all are empty.
    """
    iteration, line = _last_written(folder)
    shares = np.array(line["class_shares"], dtype=np.float64)
    paths = [folder.class_map_path(iteration, k) for k in range(len(shares))]
    if choice == "largest":
        best = int(shares.argmax())
    elif choice == "best-resolved":
        resolution = np.array(line["resolution"], dtype=np.float64)  # null becomes NaN
        best = int(np.nan_to_num(-resolution, nan=-np.inf).argmax())
    else:
        best = _most_symmetric(paths, symmetry_score)
    return RunClass(best, paths[best], folder.iteration_path(iteration, "data.star"))


def _most_symmetric(paths: list[Path], symmetry_score: Callable[[Map], Any]) -> int:
    maps = {k: read_map(path, allow_empty=True) for k, path in enumerate(paths)}
    scores = {k: symmetry_score(found) for k, found in maps.items() if found.data.any()}
    if not scores:
        raise MapError(f"{paths[0]}: the maps of all classes are empty; continue the run")
    return max(scores, key=scores.__getitem__)


def _last_written(folder: RunFolder) -> tuple[int, dict[str, Any]]:
    written = written_iterations(folder)
    if not written:
        raise RunFolderError(
            f"{folder.path} has no written iteration yet; expected maps of a run; wait for the "
            "first ones, or give a map"
        )
    last = max(written)
    return last, written[last]
