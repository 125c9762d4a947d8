"""Reading and writing of maps as MRC files, with RELION's header conventions."""

from __future__ import annotations

import bz2
import gzip
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import mrcfile
import numpy as np

from napari_ini3d._types import AnyArray, Float32, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import MIN_BOX_SIZE, check_map_values
from napari_ini3d.io.files import atomic_path, read_failure
from napari_ini3d.io.mrc.header import (
    HEADER_BYTES,
    SAMPLE_BYTES,
    MrcHeader,
    parse_header,
    unsigned_by_values,
)
from napari_ini3d.io.mrc.modes import check_mode

logger = logging.getLogger(__name__)

_LABEL = "napari-ini3d"
_ANISOTROPY = 1e-3
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"


@dataclass(frozen=True, slots=True)
class Map:
    """A map and its voxel size.

    Attributes
    ----------
    data : (n, n, n) float32
        Real space, (z, y, x); the rotation centre is voxel n // 2. Another box if it was asked
        for.
    voxel_size : float
        Å.
    origin : tuple of float
        Position (x, y, z) of the first voxel in the header, Å: ORIGIN or the start of the grid.
        As in RELION, it moves nothing; files that are made from a map file keep it.
    """

    data: Float32
    voxel_size: float
    origin: tuple[float, float, float]


def read_map(
    path: Path | str,
    *,
    allow_odd: bool = False,
    any_box: bool = False,
    allow_empty: bool = False,
    voxel_size: float | None = None,
) -> Map:
    """Read a map; files may be compressed with gzip or bzip2.

    Axes are brought into the order x, y, z. The stamp of the byte order and the word MAP may be
    missing.

    Parameters
    ----------
    path : Path or str
    allow_odd : bool
        Accept an odd box size.
    allow_empty : bool
        Accept a map in which every voxel is 0, as of a class without particles.
    any_box : bool
        Accept any box: odd, and with sides of different length.
    voxel_size : float, optional
        Å, instead of that in the header.

    Raises
    ------
    MapError
        If the file cannot be read, or the map is not cubic, has no voxel size or an anisotropic
        one, is smaller than 16 voxels, not finite, or constant.
    """
    map_path = Path(path)
    header, data = _read_samples(map_path)
    by_axis = [3 - axis for axis in (header.axes[2], header.axes[1], header.axes[0])]
    data = data.transpose(np.argsort(by_axis))
    _check_shape(map_path, data.shape, allow_odd=allow_odd or any_box, any_box=any_box)
    found = _check_voxel_size(map_path, header.voxel_size) if voxel_size is None else voxel_size
    with np.errstate(over="ignore"):  # becomes infinite, which is refused below
        values = np.array(data, dtype=np.float32, order="C")  # a copy that may be written
    check_map_values(values, str(map_path), allow_empty=allow_empty)
    return Map(values, found, header.position(voxel_size))


def _read_samples(path: Path) -> tuple[MrcHeader, AnyArray]:
    """Return the header and the samples, (sections, rows, columns)."""
    try:
        with _open(path) as file:
            header = parse_header(path, file.read(HEADER_BYTES), "map", MapError)
            if isinstance(file, (gzip.GzipFile, bz2.BZ2File)):
                raw = _read_exactly(file, header)
                size = header.offset + len(raw) + _count_rest(file, header)
            else:
                size = os.fstat(file.fileno()).st_size
                check_mode(path, header, size, b"", "map", MapError)
                _check_size(path, header, size)  # before memory is taken
                file.seek(header.offset)
                raw = file.read(header.n_bytes - header.offset)
    except (OSError, EOFError, zlib.error) as error:
        known = isinstance(error, OSError) and error.strerror
        advice = "check the name"
        text = (
            read_failure(path, cast(OSError, error), advice)
            if known
            else f"{path}: cannot be read as an MRC map ({error}); copy or download it again"
        )
        raise MapError(text) from error
    check_mode(path, header, size, raw[:SAMPLE_BYTES], "map", MapError)
    _check_size(path, header, header.offset + len(raw))
    if size > header.n_bytes:
        logger.warning(
            "%s: %d bytes follow the %s voxels of the header and are ignored; if an extended "
            "header is not declared, the map is shifted: make it again",
            path, size - header.n_bytes, " x ".join(map(str, reversed(header.shape))),
        )  # fmt: skip
    if not header.signedness_known and unsigned_by_values(raw):
        return header, np.frombuffer(raw, np.uint8).reshape(header.shape)
    return header, np.frombuffer(raw, header.dtype).reshape(header.shape)


def _open(path: Path) -> BinaryIO:
    with open(path, "rb") as file:
        magic = file.read(3)
    if magic.startswith(_GZIP):
        return cast(BinaryIO, gzip.open(path, "rb"))
    if magic == _BZIP2:
        return cast(BinaryIO, bz2.open(path, "rb"))
    return open(path, "rb")


def _read_exactly(file: BinaryIO, header: MrcHeader) -> bytes:
    """Read the samples of a compressed file, skipping its extended header piece by piece."""
    left = header.offset - HEADER_BYTES
    while left > 0:
        skipped = len(file.read(min(left, 2**20)))
        if not skipped:
            return b""
        left -= skipped
    return file.read(header.n_bytes - header.offset)


def _count_rest(file: BinaryIO, header: MrcHeader) -> int:
    """Count the bytes after the samples of a compressed file, to where the mode is known wrong."""
    count = 0
    while count <= 3 * header.n_samples and (piece := file.read(2**20)):
        count += len(piece)
    return count


def _check_size(path: Path, header: MrcHeader, size: int) -> None:
    if size < header.n_bytes:
        raise MapError(
            f"{path}: truncated: {size} bytes; expected {header.n_bytes} (an extended header of "
            f"{header.offset - HEADER_BYTES} bytes and {' x '.join(map(str, header.shape))} "
            "voxels); copy or make the map again"
        )


def write_map(
    path: Path | str,
    data: FloatArray,
    voxel_size: float,
    *,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a map in mode 2 (float32), completely or not at all.

    The header has the statistics of the map, and a label with the name of this package. The start
    of the grid (NSTART) is 0.

    Parameters
    ----------
    path : Path or str
    data : (n, n, n) array
        Real space, (z, y, x); other boxes are written as they are.
    voxel_size : float
        Å.
    origin : (float, float, float)
        Position (x, y, z) of the first voxel, Å, for the header.

    Raises
    ------
    MapError
        If `data` has not three dimensions or is not finite, or the voxel size is not positive.
    RunFolderError
        If the file cannot be written.
    """
    map_path = Path(path)
    if data.ndim != 3:
        raise MapError(f"{map_path}: {data.ndim} dimensions to write; expected 3 of a map")
    if not (np.isfinite(voxel_size) and voxel_size > 0):
        raise MapError(f"{map_path}: voxel size {voxel_size:g} Å; expected more than 0")
    if not np.isfinite(data).all():
        raise MapError(f"{map_path}: the map to write is not finite; please report this bug")
    with atomic_path(map_path) as temporary, mrcfile.new(temporary, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(data, dtype=np.float32))
        file.voxel_size = float(voxel_size)
        file.header.origin = origin
        file.set_volume()
        file.header.label[0] = _LABEL  # instead of mrcfile's label with the time


def _check_shape(path: Path, shape: tuple[int, ...], *, allow_odd: bool, any_box: bool) -> None:
    text = " x ".join(str(side) for side in reversed(shape))
    if not any_box and len(set(shape)) != 1:
        raise MapError(f"{path}: {text} voxels; expected a cube; crop or pad the map")
    if max(shape) < MIN_BOX_SIZE:
        raise MapError(f"{path}: {text} voxels; expected at least {MIN_BOX_SIZE} per side")
    if shape[0] % 2 and not allow_odd:
        raise MapError(f"{path}: an odd box, {text} voxels; expected an even one; pad it by one")


def _check_voxel_size(path: Path, voxel: tuple[float, ...]) -> float:
    text = " x ".join(f"{side:g}" for side in voxel)
    if not all(np.isfinite(side) and side > 0 for side in voxel):
        raise MapError(
            f"{path}: voxel size {text} Å in the header; expected more than 0; give --pixel-size, "
            "or set it with relion_image_handler --force_header_angpix"
        )
    if max(voxel) / min(voxel) - 1 > _ANISOTROPY:
        raise MapError(
            f"{path}: voxel size {text} Å differs between axes; expected one; resample the map, "
            "or give --pixel-size if the header is wrong"
        )
    return float(round(voxel[0], 6))
