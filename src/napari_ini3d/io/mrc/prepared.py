"""Maps prepared for analysis, and results brought back to the box and density of the file."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, FloatArray, IntArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import background_level, is_inverted
from napari_ini3d.io.mrc.maps import read_map, write_map

logger = logging.getLogger(__name__)

_MOST_PADDING = 64  # voxels of the cube over those of the map
_SMALL_VOXEL, _NARROW = 0.6, 40.0  # Å, of voxel and map: a map in nm
_LARGE_VOXEL = 30.0  # Å: a map in pm
_HOT = 10.0  # a voxel with so many times the density of all its neighbours is an outlier
_MOST_HOT = 100
_LOST = 1e-3  # share of the power that may be cut off when a map is brought back


@dataclass(frozen=True, slots=True)
class PreparedMap:
    """A map in an even cube, with solvent 0 and positive density.

    Attributes
    ----------
    data : (n, n, n) float32
        Real space, (z, y, x); the rotation centre is voxel n // 2.
    voxel_size : float
        Å.
    shape : (int, int, int)
        Box of the file, (z, y, x).
    background : float
        That was subtracted.
    inverted : bool
        Whether the density was then negated.
    path : Path
    origin : (float, float, float)
        Position (x, y, z) of the first voxel of the file, Å, by its header.
    """

    data: Float32
    voxel_size: float
    shape: tuple[int, int, int]
    background: float
    inverted: bool
    path: Path
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def pad(self, data: Float32) -> Float32:
        """Return other data of the box of the file, such as a mask, padded with 0 to the cube."""
        cube = np.zeros_like(self.data)
        cube[_inner(len(cube), self.shape)] = data
        return cube

    def restore(self, data: FloatArray, *, background: bool = True) -> Float32:
        """Return a result in the box and density of the file.

        A result that would lose density keeps the cube; this is logged.

        Parameters
        ----------
        data : (n, n, n)
            Made from `data` of this map.
        background : bool
            Add the background of the file; not to a difference of maps.
        """
        cropped = data[_inner(data.shape[0], self.shape)]
        lost = 1 - np.sum(np.square(cropped, dtype=np.float64)) / max(
            float(np.sum(np.square(data, dtype=np.float64))), np.finfo(float).tiny
        )
        if lost > _LOST:
            logger.warning(
                "%s: %.1f %% of the result lies outside the box of the map, %s voxels; it is "
                "written in %d voxels per side",
                self.path, 100 * lost, _size_text(self.shape), data.shape[0],
            )  # fmt: skip
            cropped = data
        sign = -1 if self.inverted else 1
        return (sign * cropped + background * self.background).astype(np.float32)

    def write(self, path: Path, data: FloatArray, *, background: bool = True) -> None:
        """Write a result in the box and density of the file, and with its origin.

        Parameters
        ----------
        path : Path
        data : (n, n, n)
        background : bool
            As for `restore`.

        Raises
        ------
        RunFolderError
            If the file cannot be written.
        """
        restored = self.restore(data, background=background)
        x, y, z = (
            place - self.voxel_size * (new // 2 - own // 2)
            for place, new, own in zip(
                self.origin, reversed(restored.shape), reversed(self.shape), strict=True
            )
        )
        write_map(path, restored, self.voxel_size, origin=(x, y, z))


def prepare_map(path: Path | str, *, voxel_size: float | None = None) -> PreparedMap:
    """Read a map of any box for analysis: padded to an even cube, solvent 0, density positive.

    Voxel n // 2 of each side stays the rotation centre. What was changed is logged.

    Parameters
    ----------
    path : Path or str
    voxel_size : float, optional
        Å, instead of that in the header.

    Raises
    ------
    MapError
        As for `read_map`, or if the box is too flat to be padded.
    """
    map_path = Path(path)
    found = read_map(map_path, any_box=True, voxel_size=voxel_size)
    shape = (found.data.shape[0], found.data.shape[1], found.data.shape[2])
    side = max(shape) + max(shape) % 2
    if side**3 > _MOST_PADDING * found.data.size:
        raise MapError(
            f"{map_path}: {_size_text(shape)} voxels; expected a box nearly as long as wide; "
            "crop or pad the map"
        )
    _warn_of_unit(map_path, found.voxel_size, max(shape))
    background = background_level(found.data)
    density = found.data - np.float32(background)
    _warn_of_hot_voxels(map_path, density)
    inverted = is_inverted(found.data)
    cube = np.zeros((side,) * 3, np.float32)
    cube[_inner(side, shape)] = -density if inverted else density
    if background:
        logger.info("%s: background %g subtracted", map_path, background)
    if inverted:
        logger.warning("%s: the density is negative; it is analysed inverted", map_path)
    return PreparedMap(cube, found.voxel_size, shape, background, inverted, map_path, found.origin)


def _warn_of_unit(path: Path, voxel_size: float, side: int) -> None:
    """Log a voxel size that looks like another unit than Å."""
    width = voxel_size * side
    if voxel_size < _SMALL_VOXEL and width < _NARROW:
        unit, factor = "nm", 10.0
    elif voxel_size > _LARGE_VOXEL:
        unit, factor = "pm", 0.01
    else:
        return
    logger.warning(
        "%s: voxel size %g Å, the map is %.0f Å wide; it looks like %s; give --pixel-size %g",
        path, voxel_size, width, unit, voxel_size * factor,
    )  # fmt: skip


def _warn_of_hot_voxels(path: Path, data: Float32) -> None:
    """Log single voxels that are denser by far than all around them: no density is so sharp."""
    size = np.abs(data)
    places = np.argwhere(size > size.max() / _HOT)  # (V, 3)
    if len(places) > _MOST_HOT:
        return
    hot = [place for place in places if size[tuple(place)] > _HOT * _largest_around(size, place)]
    if hot:
        z, y, x = hot[0].tolist()
        logger.warning(
            "%s: single voxels (%d, the first at x %d, y %d, z %d) have more than %g times the "
            "density of all around them, and hide the rest of the map; set them to 0",
            path, len(hot), x, y, z, _HOT,
        )  # fmt: skip


def _largest_around(size: Float32, place: IntArray) -> float:
    """Return the largest value of the voxels around one, up to 26."""
    low = np.maximum(place - 1, 0)
    block = size[tuple(slice(start, end) for start, end in zip(low, place + 2, strict=True))].copy()
    block[tuple(place - low)] = 0
    return float(block.max())


def _inner(side: int, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Return where a box lies in a cube, with voxel n // 2 of both in one place."""
    starts = [side // 2 - n // 2 for n in shape]
    z, y, x = (slice(start, start + n) for start, n in zip(starts, shape, strict=True))
    return z, y, x


def _size_text(shape: tuple[int, int, int]) -> str:
    return " x ".join(str(side) for side in reversed(shape))
