"""MRC headers and open image stacks (MRC2014, modes 0, 1, 2, 6 and 12).

Header layout: A. Cheng et al., J. Struct. Biol. 192 (2015) 146; mode 12 (float16) as in
https://www.ccpem.ac.uk/mrc_format/mrc2014.php.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.errors import StackError
from napari_ini3d.io.files import read_failure

HEADER_BYTES = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_BYTE_ORDERS = {0x44: "<", 0x11: ">"}
_NATIVE = "<" if sys.byteorder == "little" else ">"
_CONVERTED_BYTES = 8 * 2**20  # buffer for samples that are converted to float32
_MAX_SIDE = 65_536


@dataclass(frozen=True, slots=True)
class StackHeader:
    """Header of an image stack.

    Attributes
    ----------
    nx, ny, n_images : int
        Pixels along x and y; number of images.
    dtype : numpy dtype
        Type and byte order of the samples.
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
        """Size of an image, bytes."""
        return self.nx * self.ny * self.dtype.itemsize


def read_stack_header(path: Path) -> StackHeader:
    """Read and check the header of an image stack.

    Raises
    ------
    StackError
        If the file is missing, is not an MRC file, has an unknown mode, has images that are not
        square, or is truncated.
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
    """Return the byte order: that of the machine stamp, or the one with a plausible mode."""
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
            f"{path}: truncated: {size} bytes; expected {needed} ({header.n_images} images, "
            f"{whole} are complete); copy or extract the stack again"
        )


class ImageStack:
    """An open stack, from which images are read on demand.

    The file is not mapped into memory, so that a file that is truncated while it is in use, or a
    disk that fails, raises an error. Several threads may read at the same time.

    Parameters
    ----------
    path : Path
    header : StackHeader
        Header of the file.

    Attributes
    ----------
    path : Path

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, header: StackHeader) -> None:
        self.path = path
        self._header = header
        self._lock = Lock()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()

    def read(self, image_index: IntArray, out: Float32) -> None:
        """Read images into `out` as float32; consecutive images are read in one call.

        Parameters
        ----------
        image_index : (B,) int
            From 0; sorted indices are read fastest.
        out : (B, n, n) float32
            Real space, filled in place.

        Raises
        ------
        StackError
            If the file has been truncated, or its disk fails.
        IndexError
            If an index is out of range.
        """
        numbers = np.asarray(image_index, dtype=np.int64)
        header = self._header
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < header.n_images:
            raise IndexError(f"{self.path}: image {numbers.max()} of {header.n_images}")
        direct = header.dtype == np.float32 and out.flags.c_contiguous
        longest = len(numbers) if direct else max(1, _CONVERTED_BYTES // header.image_bytes)
        whole = out.reshape(-1).view(np.uint8).data if direct else None
        for start, stop in _runs(numbers, longest):
            first = int(numbers[start])
            if whole is not None:
                self._fill(whole[start * header.image_bytes : stop * header.image_bytes], first)
            else:
                raw = np.empty((stop - start, header.ny, header.nx), header.dtype)
                self._fill(raw.reshape(-1).view(np.uint8).data, first)
                out[start:stop] = raw

    def _fill(self, buffer: memoryview, first: int) -> None:
        """Read the samples of the images from `first` on into a buffer."""
        place, done = self._header.offset + first * self._header.image_bytes, 0
        try:
            while done < len(buffer):
                count = self._read_at(buffer[done:] if done else buffer, place + done)
                if not count:
                    raise self._truncated(first + done // self._header.image_bytes)
                done += count
        except OSError as error:
            raise StackError(
                f"{self.path}: can no longer be read ({error.strerror}); check the disk, then "
                "resume the run"
            ) from error

    def _read_at(self, buffer: memoryview, place: int) -> int:
        if sys.platform == "linux":
            return os.preadv(self._file.fileno(), [buffer], place)
        with self._lock:
            self._file.seek(place)
            return self._file.readinto(buffer) or 0

    def _truncated(self, image: int) -> StackError:
        needed = self._header.offset + (image + 1) * self._header.image_bytes
        return StackError(
            f"{self.path}: truncated since it was opened: "
            f"{os.fstat(self._file.fileno()).st_size} bytes, but image {image + 1} ends at "
            f"{needed}; restore the stack, then resume the run"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _runs(numbers: IntArray, longest: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of consecutive images, at most `longest` each."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for start, stop in pairwise([0, *breaks.tolist(), len(numbers)]):
        for low in range(start, stop, max(1, longest)):
            yield low, min(low + longest, stop)
