"""MRC headers and memory-mapped stacks (MRC2014, modes 0, 1, 2, 6 and 12).

Header layout: A. Cheng et al., J. Struct. Biol. 192 (2015) 146; mode 12 (float16) as in
https://www.ccpem.ac.uk/mrc_format/mrc2014.php.
"""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ini3d.errors import StackError
from napari_ini3d.io.files import read_failure
from napari_ini3d.particles import IntArray

HEADER_BYTES = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_BYTE_ORDERS = {0x44: "<", 0x11: ">"}
_NATIVE = "<" if sys.byteorder == "little" else ">"
_RESIDENT_BYTES = 64 * 2**20
_MAX_SIDE = 65_536


@dataclass(frozen=True, slots=True)
class StackHeader:
    """What the header of an image stack says.

    Attributes
    ----------
    nx, ny, n_images : int
        Pixels along x and y; number of images.
    dtype : numpy dtype
        Of the samples, with their byte order.
    offset : int
        Bytes before the first image (header and extended header).
    """

    nx: int
    ny: int
    n_images: int
    dtype: np.dtype[np.generic]
    offset: int

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.nx * self.ny * self.dtype.itemsize


def read_stack_header(path: Path) -> StackHeader:
    """Read and check the header of an image stack.

    Raises
    ------
    StackError
        If the file is missing, is not MRC, has a mode that holds no images, is not square, or is
        shorter than its header says.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StackError(read_failure(path, error, "check the path in rlnImageName")) from error
    header = _parse_header(path, raw)
    _check_shape(path, header, size)
    return header


def _parse_header(path: Path, raw: bytes) -> StackHeader:
    if len(raw) < HEADER_BYTES:
        raise StackError(
            f"{path}: {len(raw)} bytes, shorter than the {HEADER_BYTES} of an MRC header; "
            "copy or extract the stack again"
        )
    order = _byte_order(raw)
    words = np.frombuffer(raw, dtype=f"{order}i4", count=24)
    nx, ny, nz, mode = (int(word) for word in words[:4])
    if not (0 < nx <= _MAX_SIDE and 0 < ny <= _MAX_SIDE and nz > 0 and words[23] >= 0):
        raise StackError(
            f"{path}: the header says {nx} x {ny} x {nz} samples; this is not an MRC stack"
        )
    if mode not in _MODES:
        raise StackError(
            f"{path}: MRC mode {mode}; expected 0, 1, 2, 6 or 12; convert the stack to mode 2"
        )
    dtype = np.dtype(f"{order}{_MODES[mode]}")
    return StackHeader(nx, ny, nz, dtype, HEADER_BYTES + int(words[23]))


def _byte_order(raw: bytes) -> str:
    """Tell the byte order by the machine stamp, or by which gives a plausible mode."""
    stamped = _BYTE_ORDERS.get(raw[212])
    candidates = [stamped] if stamped else []
    candidates += [order for order in (_NATIVE, "<", ">") if order not in candidates]
    for order in candidates:
        mode = int(np.frombuffer(raw, dtype=f"{order}i4", count=1, offset=12)[0])
        width = int(np.frombuffer(raw, dtype=f"{order}i4", count=1)[0])
        if 0 <= mode < 1000 and 0 < width <= _MAX_SIDE:
            return order
    return candidates[0]


def _check_shape(path: Path, header: StackHeader, size: int) -> None:
    if header.nx != header.ny:
        raise StackError(
            f"{path}: images of {header.nx} x {header.ny} pixels; expected square ones; "
            "extract the particles again"
        )
    needed = header.offset + header.n_images * header.image_bytes
    if size < needed:
        whole = max(0, size - header.offset) // header.image_bytes
        raise StackError(
            f"{path}: truncated: {size} bytes, where the header asks for {needed} "
            f"({header.n_images} images, {whole} are whole); copy or extract the stack again"
        )


class MappedStack:
    """An open, memory-mapped stack that hands out images and keeps few of its pages resident."""

    def __init__(self, path: Path, header: StackHeader) -> None:
        self._path = path
        self._header = header
        self._touched = 0
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, image_index: IntArray, out: npt.NDArray[np.float32]) -> None:
        """Copy images into `out`, as float32.

        Parameters
        ----------
        image_index : (B,) int
            From 0; sorted indices are read fastest.
        out : (B, n, n) float32
            Real space, filled in place.
        """
        header = self._header
        shape = (header.n_images, header.ny, header.nx)
        images = np.ndarray(shape, header.dtype, self._map, header.offset)
        for place, image in enumerate(image_index):
            out[place] = images[image]
        del images
        self._release_pages(len(image_index) * header.image_bytes)

    def _release_pages(self, n_bytes: int) -> None:
        """Let the pages go once many were touched: they stay in the system's cache."""
        self._touched += n_bytes
        if self._touched > _RESIDENT_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
