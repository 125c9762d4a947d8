"""Maps as MRC files, as RELION writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import MIN_BOX_SIZE, check_map_values
from napari_ini3d.io.files import atomic_path

_LABEL = "napari-ini3d"
_ANISOTROPY = 1e-3


@dataclass(frozen=True, slots=True)
class Map:
    """A map in memory.

    Attributes
    ----------
    data : (n, n, n) float32
        Real space, (z, y, x); the rotation centre is voxel n // 2.
    voxel_size : float
        Å.
    origin : tuple of float
        (x, y, z) of the header, Å. RELION ignores it and writes 0, with the rotation centre at
        voxel n // 2; so do we.
    """

    data: Float32
    voxel_size: float
    origin: tuple[float, float, float]


def read_map(path: Path | str, *, allow_odd: bool = False) -> Map:
    """Read a map.

    Parameters
    ----------
    path : Path or str
    allow_odd : bool
        Accept a box of an odd number of voxels.

    Raises
    ------
    MapError
        If the file cannot be read, or the map is not a cube, has no or an anisotropic voxel
        size, is smaller than 16 voxels, not finite, or constant.
    """
    map_path = Path(path)
    try:
        with mrcfile.open(map_path, mode="r") as file:
            data = np.array(file.data)
            voxel = tuple(float(file.voxel_size[axis]) for axis in ("x", "y", "z"))
            origin = tuple(float(file.header.origin[axis]) for axis in ("x", "y", "z"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MapError(f"{map_path}: cannot be read as an MRC map ({reason}); check it") from error
    _check_shape(map_path, data.shape, allow_odd=allow_odd)
    voxel_size = _check_voxel_size(map_path, voxel)
    if not np.isrealobj(data):
        raise MapError(f"{map_path}: holds a transform (complex values); expected a real map")
    data = np.ascontiguousarray(data, dtype=np.float32)
    check_map_values(data, str(map_path))
    return Map(data, voxel_size, (origin[0], origin[1], origin[2]))


def write_map(path: Path | str, data: FloatArray, voxel_size: float) -> None:
    """Write a map in mode 2 (float32), whole or not at all.

    The header holds the voxel size, and origin and start 0, as RELION writes it.

    Parameters
    ----------
    path : Path or str
    data : (n, n, n) array
        Real space, (z, y, x).
    voxel_size : float
        Å.

    Raises
    ------
    MapError
        If `data` is not a finite cube or the voxel size is not positive.
    RunFolderError
        If the file cannot be written.
    """
    map_path = Path(path)
    _check_shape(map_path, data.shape, allow_odd=True)
    if not (np.isfinite(voxel_size) and voxel_size > 0):
        raise MapError(f"{map_path}: voxel size {voxel_size:g} Å; expected more than 0")
    if not np.isfinite(data).all():
        raise MapError(f"{map_path}: the map to write is not finite; this is an error of the run")
    with atomic_path(map_path) as temporary, mrcfile.new(temporary, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(data, dtype=np.float32))
        file.voxel_size = float(voxel_size)
        file.set_volume()
        file.header.label[0] = _LABEL  # mrcfile's holds the time: equal maps, equal files


def _check_shape(path: Path, shape: tuple[int, ...], *, allow_odd: bool) -> None:
    text = " x ".join(str(side) for side in shape)
    if len(shape) != 3 or len(set(shape)) != 1:
        raise MapError(f"{path}: {text} voxels; expected a cube; crop or pad the map")
    if shape[0] < MIN_BOX_SIZE:
        raise MapError(f"{path}: {text} voxels; expected at least {MIN_BOX_SIZE} per side")
    if shape[0] % 2 and not allow_odd:
        raise MapError(f"{path}: an odd box, {text} voxels; expected an even one; pad it by one")


def _check_voxel_size(path: Path, voxel: tuple[float, ...]) -> float:
    text = " x ".join(f"{side:g}" for side in voxel)
    if not all(np.isfinite(side) and side > 0 for side in voxel):
        raise MapError(
            f"{path}: voxel size {text} Å in the header; expected more than 0; set it, for "
            "instance with relion_image_handler --rescale_angpix"
        )
    if max(voxel) / min(voxel) - 1 > _ANISOTROPY:
        raise MapError(f"{path}: voxel size {text} Å differs between axes; expected one; resample")
    return float(round(voxel[0], 6))
