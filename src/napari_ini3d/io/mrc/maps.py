"""Reading and writing of maps as MRC files, with RELION's header conventions."""

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
    """A map and its voxel size.

    Attributes
    ----------
    data : (n, n, n) float32
        Real space, (z, y, x); the rotation centre is voxel n // 2.
    voxel_size : float
        Å.
    origin : tuple of float
        (x, y, z) in the header, Å. As in RELION, it is ignored when reading and 0 when writing.
    """

    data: Float32
    voxel_size: float
    origin: tuple[float, float, float]


def read_map(path: Path | str, *, allow_odd: bool = False, allow_empty: bool = False) -> Map:
    """Read a map.

    Parameters
    ----------
    path : Path or str
    allow_odd : bool
        Accept an odd box size.
    allow_empty : bool
        Accept a map in which every voxel is 0, as of a class without particles.

    Raises
    ------
    MapError
        If the file cannot be read, or the map is not cubic, has no voxel size or an anisotropic
        one, is smaller than 16 voxels, not finite, or constant.
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
        raise MapError(f"{map_path}: has complex values (a transform); expected a real-space map")
    data = np.ascontiguousarray(data, dtype=np.float32)
    check_map_values(data, str(map_path), allow_empty=allow_empty)
    return Map(data, voxel_size, (origin[0], origin[1], origin[2]))


def write_map(path: Path | str, data: FloatArray, voxel_size: float) -> None:
    """Write a map in mode 2 (float32), completely or not at all.

    As in RELION, origin and start in the header are 0.

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
        If `data` is not cubic or not finite, or the voxel size is not positive.
    RunFolderError
        If the file cannot be written.
    """
    map_path = Path(path)
    _check_shape(map_path, data.shape, allow_odd=True)
    if not (np.isfinite(voxel_size) and voxel_size > 0):
        raise MapError(f"{map_path}: voxel size {voxel_size:g} Å; expected more than 0")
    if not np.isfinite(data).all():
        raise MapError(f"{map_path}: the map to write is not finite; please report this bug")
    with atomic_path(map_path) as temporary, mrcfile.new(temporary, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(data, dtype=np.float32))
        file.voxel_size = float(voxel_size)
        file.set_volume()
        file.header.label[0] = _LABEL  # instead of mrcfile's label with the time


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
