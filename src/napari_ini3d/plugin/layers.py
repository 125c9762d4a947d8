"""Layer data of maps, particles and runs, without napari.

Layer data are (array, keywords, layer type). All layers share one world: (z, y, x) in ångström,
with the rotation centre (voxel n // 2) at the origin, preceded by the iteration, and that by the
particle, so that each has its own slider. The plugin keeps its own entries in
``metadata["ini3d"]``; the functions below name them.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ini3d._types import AnyArray, Float32, FloatArray, IntArray
from napari_ini3d.errors import Ini3dError, explain

LayerData = tuple[Any, dict[str, Any], str]
ReadFrames = Callable[[IntArray], FloatArray]

METADATA_KEY = "ini3d"
DEFAULT_SIGMA = 4.0
LENGTH_UNIT = "angstrom"
COUNT_UNIT = "pixel"  # napari's unit of a pure number
MAP_AXES = ("z", "y", "x")

# Okabe and Ito's colours, distinguishable by the colour-blind; classes use them in this order.
CLASS_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")

_TOP_OVER_LEVEL = 4.0  # contrast limit over level at which an isosurface is shaded well
_SCALED_WELL = (0.5, 4.0)  # range of the standard deviation of a displayed map
_ALL_ITERATIONS = 1e6  # longer than any run along the axis of iterations
_CACHE_BYTES = 256 * 2**20


class LazyFrames:
    """A stack whose frames are read on demand, and cached.

    It has the parts of an array that napari needs: shape, type, indexing and conversion. A frame
    that cannot be read is shown as an empty one, with an error: napari would go on to show the
    frame of before at the new place of the slider.

    Parameters
    ----------
    n_frames : int
    frame_shape : tuple of int
        Of one frame, for example (n, n, n) for maps.
    read : callable
        Takes (B,) frame numbers, returns (B, *frame_shape); called by one thread at a time.

    Attributes
    ----------
    whole : LazyFrames
        The stack of which this is the only frame that is kept while its layer is hidden, or itself.
    number : int
        Of the first frame of this stack in `whole`.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, n_frames: int, frame_shape: Sequence[int], read: ReadFrames) -> None:
        self.shape = (n_frames, *frame_shape)
        self.whole = self
        self.number = 0
        self._places = np.arange(n_frames)  # of the frames, as `read` numbers them
        self._read = read
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Float32] = OrderedDict()
        self._unreadable: set[int] = set()  # since a frame was read

    def taken(self, places: Sequence[int]) -> LazyFrames:
        """Return a stack of frames of this one, which may be repeated; both share their cache."""
        found = LazyFrames(len(places), self.shape[1:], self._read)
        found._places = self._places[np.asarray(places, dtype=np.int64)]
        found._lock, found._kept, found._unreadable = self._lock, self._kept, self._unreadable
        return found

    def only(self, number: int) -> LazyFrames:
        """Return a stack of one frame, which knows the others as `whole`."""
        found = self.taken([number])
        found.whole, found.number = self, number
        return found

    def __deepcopy__(self, _memo: dict[int, Any]) -> LazyFrames:
        """Return a stack of the same frames, for a layer that is duplicated."""
        found = self.taken(range(len(self)))
        if self.whole is not self:
            found.whole, found.number = self.whole, self.number
        return found

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Size of all frames in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def latest(self) -> Float32 | None:
        """The frame that was read last; None before the first."""
        with self._lock:
            return next(reversed(self._kept.values()), None)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Float32:
        return self._index(key, self._frame_or_empty)

    def read(self, key: Any) -> Float32:
        """Return what indexing returns, for calculations.

        Raises
        ------
        Ini3dError, OSError
            If a frame cannot be read.
        """
        return self._index(key, self._frame)

    def _index(self, key: Any, frame: Callable[[int], Float32]) -> Float32:
        keys = key if isinstance(key, tuple) else (key,)
        if not keys or keys[0] is Ellipsis:
            return np.asarray(np.asarray(self)[key])
        first, rest = keys[0], keys[1:]
        if isinstance(first, (int, np.integer)):
            return np.asarray(frame(int(first))[rest])
        numbers: list[int] = np.arange(len(self))[first].tolist()
        frames = [frame(number)[rest] for number in numbers]
        return np.stack(frames) if frames else np.empty((0, *self.shape[1:]), np.float32)[:, *rest]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        frames = np.asarray(self._read(self._places))
        return frames.astype(dtype or self.dtype, copy=False)

    def _frame_or_empty(self, number: int) -> Float32:
        try:
            frame = self._frame(number)
        except (Ini3dError, OSError) as error:
            if not self._unreadable:  # one message for all that a slider passes
                _show_error(explain(error))
            self._unreadable.add(number)
            return np.zeros(self.shape[1:], np.float32)
        self._unreadable.clear()
        return frame

    def _frame(self, number: int) -> Float32:
        place = int(self._places[range(len(self))[number]])  # negative ones count from the end
        with self._lock:
            frame = self._kept.pop(place, None)
            if frame is None:
                frame = np.asarray(self._read(np.array([place]))[0], dtype=np.float32)
            self._kept[place] = frame
            while len(self._kept) > max(1, _CACHE_BYTES // max(frame.nbytes, 1)):
                self._kept.popitem(last=False)
        return frame


def _show_error(text: str) -> None:
    from napari.utils.notifications import show_error  # which shows the frames

    show_error(text)


def map_layer(
    volume: FloatArray,
    voxel_size: float,
    name: str,
    *,
    colormap: str = "gray",
    metadata: Mapping[str, Any] | None = None,
) -> LayerData:
    """Return a map as an isosurface in ångström, with the rotation centre at the origin.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x), rotation centre at voxel n // 2.
    voxel_size : float
        Å.
    name : str
        Of the layer.
    colormap : str
        Name in napari, or a colour such as ``#56b4e9``.
    metadata : mapping, optional
        More entries for ``metadata["ini3d"]``.
    """
    own = {"kind": "map", **(metadata or {})}
    keywords = {
        "name": name,
        "colormap": colormap,
        **map_placement(volume.shape, voxel_size),
        **surface_keywords(volume),
        "metadata": {METADATA_KEY: own | {"voxel_size": voxel_size} | map_statistics(volume)},
    }
    return volume, keywords, "image"


def run_layer(
    frames: LazyFrames, voxel_size: float, name: str, *, colormap: str, metadata: Mapping[str, Any]
) -> LayerData:
    """Return the maps of one class of a run, with the iteration as first axis.

    The place on that axis is the number of the iteration, as in captions; one without a map shows
    the map before it.

    Parameters
    ----------
    frames : LazyFrames
        (M, n, n, n), one frame per map. The last one sets level and contrast.
    voxel_size : float
        Å.
    name, colormap : str
        Of the layer.
    metadata : mapping
        ``path`` (of the folder), ``class_index`` (from 0) and ``iterations`` (M numbers).
    """
    _, keywords, kind = map_layer(frames[-1], voxel_size, name, colormap=colormap)
    own = {**keywords["metadata"][METADATA_KEY], **metadata, "kind": "run"}
    keywords |= _counted(keywords, "iteration") | {"metadata": {METADATA_KEY: own}}
    return frames_by_iteration(frames, metadata["iterations"]), keywords, kind


def frames_by_iteration(frames: LazyFrames, iterations: Sequence[int]) -> LazyFrames:
    """Return maps of some iterations (ascending) as a stack from iteration 0 to the last."""
    numbers = np.arange(iterations[-1] + 1)
    places = np.searchsorted(iterations, numbers, side="right") - 1
    return frames.taken(np.maximum(places, 0).tolist())


def particle_layer(
    frames: LazyFrames, pixel_size: float, name: str, metadata: Mapping[str, Any]
) -> LayerData:
    """Return particle images with the particle as first axis.

    Parameters
    ----------
    frames : LazyFrames
        (N, 1, 1, n, n). The axes of length 1 are the iteration and z: so a stack can be shown with
        the maps of a run, at all iterations, and in 3D one image is drawn in the plane z = 0
        instead of all images as a volume.
    pixel_size : float
        Å; 0 if unknown.
    name : str
        Of the layer.
    metadata : mapping
        ``path``, and optionally ``features``, one array of length N for each column of the STAR
        file, and ``particles``, the `Particles` record.
    """
    shown = frames[np.unique(np.linspace(0, len(frames) - 1, 20).astype(int))]
    low, high = (float(value) for value in np.percentile(shown, (0.5, 99.5)))
    keywords = {
        "name": name,
        "colormap": "gray",
        "contrast_limits": (low, high if high > low else low + 1.0),
        **map_placement(frames.shape[2:], pixel_size or 1.0),
    }
    keywords |= _counted(keywords, "iteration", _ALL_ITERATIONS)
    keywords |= _counted(keywords, "particle")
    if not pixel_size:
        keywords["units"] = (COUNT_UNIT,) * 5
    own = {"kind": "particles", "pixel_size": pixel_size, **metadata}
    keywords["metadata"] = {METADATA_KEY: own}
    return frames, keywords, "image"


def map_placement(shape: Sequence[int], voxel_size: float) -> dict[str, Any]:
    """Return the keywords that place (z, y, x) in ångström with voxel n // 2 at the origin."""
    return {
        "scale": (voxel_size,) * 3,
        "translate": tuple(-(size // 2) * voxel_size for size in shape),
        "units": (LENGTH_UNIT,) * 3,
        "axis_labels": MAP_AXES,
    }


def surface_keywords(volume: FloatArray) -> dict[str, Any]:
    """Return the keywords that draw a map as an isosurface.

    The level is 4 standard deviations above the mean, or half-way to the maximum of the map if
    that is less: in a particle that fills the box no density may reach 4.
    """
    statistics = map_statistics(volume)
    highest = float(np.max(volume)) if volume.size else 0.0
    sigma = (highest - statistics["mean"]) / statistics["std"] / 2
    level = contour_level(statistics, min(DEFAULT_SIGMA, sigma) if sigma > 0 else DEFAULT_SIGMA)
    return {
        "rendering": "iso",
        "iso_threshold": level,
        "contrast_limits": surface_contrast(level),
    }


def surface_contrast(level: float) -> tuple[float, float]:
    """Return the contrast limits at which an isosurface at `level` is shaded well."""
    return (0.0, _TOP_OVER_LEVEL * level) if level > 0 else (0.0, 1.0)


def map_statistics(volume: FloatArray) -> dict[str, float]:
    """Return ``mean`` and ``std`` of a map over its box; 0 and 1 if not finite, or constant."""
    if not volume.size:
        return {"mean": 0.0, "std": 1.0}
    exact = volume.astype(np.result_type(volume, np.float32), copy=False)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values
        mean = float(np.mean([section.mean() for section in exact]))
        std = float(np.sqrt(sum(_squares(section - mean) for section in exact) / exact.size))
    if not (np.isfinite(mean) and np.isfinite(std) and std > 0):
        return {"mean": 0.0, "std": 1.0}
    return {"mean": mean, "std": std}


def density_scale(std: float, present: float | None = None) -> float:
    """Return the factor by which the densities of a map are multiplied for display.

    Napari searches for the isosurface wherever a value is less than 0.2 below its level, and adds
    a highlight of 1 to its colour, whatever the range of the values. Maps of a run, with values
    of some hundredths, would be drawn several times more slowly, and too bright. A power of two
    changes no bit of the mantissa. `present` is kept if it is good enough.

    Parameters
    ----------
    std : float
        Standard deviation of the densities.
    present : float, optional
        Factor of the previous map.

    Returns
    -------
    float
        Power of two that scales `std` to between 1 and 2.
    """
    low, high = _SCALED_WELL
    if present is not None and low <= std * present <= high:
        return present
    return float(2.0 ** -math.floor(math.log2(std)))


def density_scale_of(metadata: Mapping[str, Any]) -> float:
    """Return the factor between densities and the values of a layer with these metadata."""
    return float(metadata.get(METADATA_KEY, {}).get("density_scale", 1.0))


def _squares(section: FloatArray) -> float:
    """Return the sum of squares; by sections this is six times as fast as `numpy.std`."""
    values = section.ravel()
    return float(np.dot(values, values))


def contour_level(statistics: Mapping[str, float], sigma: float) -> float:
    """Return the density `sigma` standard deviations above the mean of a map."""
    return statistics["mean"] + sigma * statistics["std"]


def class_colour(class_index: int, n_classes: int) -> str:
    """Return the colour map of a class; grey if there is only one."""
    return "gray" if n_classes == 1 else CLASS_COLOURS[class_index % len(CLASS_COLOURS)]


def layer_name(path: Path) -> str:
    """Return the layer name of a file: the file name without its suffix."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def _counted(keywords: Mapping[str, Any], axis: str, step: float = 1.0) -> dict[str, Any]:
    """Return the placement with one more axis at the front, counted from 0."""
    return {
        "scale": (step, *keywords["scale"]),
        "translate": (0.0, *keywords["translate"]),
        "units": (COUNT_UNIT, *keywords["units"]),
        "axis_labels": (axis, *keywords["axis_labels"]),
    }
