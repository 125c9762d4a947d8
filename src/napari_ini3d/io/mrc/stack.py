"""Image stacks in MRC files: their headers, and reading of images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.errors import StackError
from napari_ini3d.io.files import read_failure
from napari_ini3d.io.mrc.header import (
    HEADER_BYTES,
    SAMPLE_BYTES,
    parse_header,
    unsigned_by_values,
)
from napari_ini3d.io.mrc.modes import check_mode

_CONVERTED_BYTES = 8 * 2**20  # buffer for samples that are converted to float32


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
    pixel_size : float
        Å per pixel, 0 if the header has none.
    extra_bytes : int
        After the last image of the header.
    """

    nx: int
    ny: int
    n_images: int
    dtype: np.dtype[np.generic]
    offset: int
    pixel_size: float = 0.0
    extra_bytes: int = 0

    @property
    def image_bytes(self) -> int:
        """Size of an image, bytes."""
        return self.nx * self.ny * self.dtype.itemsize


def read_stack_header(path: Path) -> StackHeader:
    """Read and check the header of an image stack.

    Raises
    ------
    StackError
        If the file is missing, is not an MRC file, has an unknown mode or one that its size or
        its samples contradict, has images that are not square, or is truncated.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
            found = parse_header(path, raw, "stack", StackError)
            sample = b""
            if found.dtype.itemsize < 4:
                file.seek(found.offset)
                sample = file.read(SAMPLE_BYTES)
            check_mode(path, found, size, sample, "stack", StackError)
            if not found.signedness_known:
                unsigned = unsigned_by_values(sample)
                found = replace(found, dtype=np.dtype(np.uint8 if unsigned else np.int8))
    except OSError as error:
        raise StackError(read_failure(path, error, "check the path in rlnImageName")) from error
    n_images, ny, nx = found.shape
    header = StackHeader(nx, ny, n_images, found.dtype, found.offset, round(found.voxel_size[0], 6))
    _check_shape(path, header, size)
    return replace(header, extra_bytes=size - header.offset - n_images * header.image_bytes)


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


def open_stack(path: Path, header: StackHeader) -> ImageStack:
    """Open a stack whose header was read before.

    Raises
    ------
    StackError
        If it can no longer be read.
    """
    try:
        return ImageStack(path, header)
    except (OSError, ValueError) as error:
        raise StackError(
            f"{path}: can no longer be read ({error}); was it moved during the run?"
        ) from error
