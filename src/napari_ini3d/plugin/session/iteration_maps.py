"""Maps of the iterations of one class of a run, as a layer with a slider."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.plugin import (
    METADATA_KEY,
    LazyFrames,
    density_scale,
    density_scale_of,
    frames_by_iteration,
    map_statistics,
    run_layer,
)
from napari_ini3d.plugin.viewer import (
    HiddenSliders,
    add_layers,
    set_metadata,
    show_iteration,
    shown_iteration,
)
from napari_ini3d.runs import RunFolder, history_iterations, read_history, read_summaries


class IterationMaps:
    """The maps of a class in the folder of a run; they are read when they are shown.

    Parameters
    ----------
    folder : Path
        Of the run.
    class_index : int
        From 0.

    Attributes
    ----------
    iterations : list of int
        Those that have a map, ascending.
    """

    def __init__(self, folder: Path, class_index: int) -> None:
        self._folder, self._class_index = folder, class_index
        self.iterations = history_iterations(RunFolder(folder), class_index)

    def add(self, viewer: Any, name: str, colour: str, key: str) -> None:
        """Add a layer, and show its last iteration."""
        run, last = RunFolder(self._folder), self.iterations[-1]
        newest, voxel_size = read_history(run, last, self._class_index)
        scale = density_scale(map_statistics(newest)["std"])
        data = run_layer(
            self._frames(scale),
            voxel_size,
            name,
            colormap=colour,
            metadata={
                "path": str(self._folder),
                "class_index": self._class_index,
                "iterations": self.iterations,
                "key": key,
                "density_scale": scale,
            },
        )
        (layer,) = add_layers(viewer, [data])
        show_iteration(viewer, layer, last)

    def extend(self, viewer: Any, layer: Image) -> None:
        """Add new iterations to a layer; the slider follows if it was at the last one."""
        before = layer.metadata[METADATA_KEY]["iterations"]
        if before == self.iterations:
            return
        follow = layer.visible and shown_iteration(viewer, layer) == before[-1]
        frames = self._frames(density_scale_of(layer.metadata))
        by_iteration = frames_by_iteration(frames, self.iterations)
        HiddenSliders.of(viewer).replace(layer, by_iteration, follow_from=before[-1])
        set_metadata(layer, iterations=self.iterations)
        if follow:
            show_iteration(viewer, layer, self.iterations[-1])

    def _frames(self, scale: float) -> LazyFrames:
        run, available, k = RunFolder(self._folder), tuple(self.iterations), self._class_index
        factor = np.float32(scale)

        def read(numbers: IntArray) -> FloatArray:
            maps = (read_history(run, available[int(i)], k)[0] for i in numbers)
            return np.stack([densities * factor for densities in maps])

        shape = read_history(run, available[-1], k)[0].shape
        return LazyFrames(len(available), shape, read)


def maps_of_classes(folder: Path, n_classes: int) -> list[IterationMaps]:
    """Return the maps of each class of a run, which end at the same iteration.

    A run that is going on may write an iteration between two looks at its folder.
    """
    found = [IterationMaps(folder, k) for k in range(n_classes)]
    last = min((maps.iterations[-1] for maps in found if maps.iterations), default=0)
    for maps in found:
        maps.iterations = [number for number in maps.iterations if number <= last]
    return found


def count_classes(folder: Path) -> int:
    """Return the largest number of classes in an iteration of a run; 1 if none is recorded."""
    summaries = read_summaries(RunFolder(folder))
    return max((len(summary.resolution) for summary in summaries), default=1)


def keep_on_iterations(viewer: Any, layer: Image) -> None:
    """Move a slider that is before the first iteration with a map there: it is what is shown."""
    first = layer.metadata[METADATA_KEY]["iterations"][0]
    if round(viewer.dims.point[viewer.dims.ndim - layer.ndim]) < first:
        show_iteration(viewer, layer, first)


def set_visible(layers: Iterable[Image], *, visible: bool) -> None:
    """Show layers, or hide them."""
    for layer in layers:
        layer.visible = visible
