"""Header of an MRC file (MRC2014, modes 0, 1, 2, 6 and 12), as people's programs really write it.

Header layout: A. Cheng et al., J. Struct. Biol. 192 (2015) 146; mode 12 (float16) as in
https://www.ccpem.ac.uk/mrc_format/mrc2014.php. As in RELION, neither the stamp of the byte order
nor the word MAP is needed. Bytes of mode 0 are signed, unless IMOD's flag, the range of values in
the header, or the values themselves say otherwise.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.errors import InputError

HEADER_BYTES = 1024
MAX_SIDE = 65_536
SAMPLE_BYTES = 2**20  # by which types of samples are told
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_OTHER_FILES = (
    (b"\x1f\x8b", "a file compressed with gzip"),
    (b"BZh", "a file compressed with bzip2"),
    (b"\xfd7zXZ", "a file compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with zstd"),
    (b"PK\x03\x04", "a file compressed with zip"),
    (b"II*\0", "a TIFF file"),
    (b"MM\0*", "a TIFF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG file"),
    (b"<", "a web page or XML"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the data"),
)
_BYTE_ORDERS = {0x44: "<", 0x11: ">"}
_NATIVE = "<" if sys.byteorder == "little" else ">"
_IMOD_STAMP = 1_146_047_817
_IMOD_SIGNED = 1  # bit of IMOD's flags
_LARGEST_SIGNED = 127


@dataclass(frozen=True, slots=True)
class MrcHeader:
    """What the header of an MRC file says.

    Attributes
    ----------
    shape : (int, int, int)
        Sections, rows, columns: the order of the samples in the file.
    dtype : numpy dtype
        Type and byte order of the samples.
    offset : int
        Bytes before the first sample (header and extended header).
    axes : (int, int, int)
        Axis of the columns, rows and sections: 1 for x, 2 for y, 3 for z.
    voxel_size : (float, float, float)
        Å, along x, y, z; 0 where the header has none.
    origin : (float, float, float)
        Position of the first sample, Å, along x, y, z: the field ORIGIN; 0 if it is not set.
    start : (int, int, int)
        Start of the grid (NSTART) along x, y, z, samples.
    signedness_known : bool
        False for bytes (mode 0) if neither IMOD's flag nor the range tells whether they are signed.
    value_range : (float, float) or None
        Least and largest value (DMIN, DMAX); None if they are not set.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    axes: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float]
    start: tuple[int, int, int]
    signedness_known: bool = True
    value_range: tuple[float, float] | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Size of the file without what may follow the samples, bytes."""
        return self.offset + self.n_samples * self.dtype.itemsize

    def position(self, voxel_size: float | None = None) -> tuple[float, float, float]:
        """Return the position of the first sample, Å, along x, y, z.

        It is ORIGIN or, where that is 0, the start of the grid, which maps in CCP4's format have.

        Parameters
        ----------
        voxel_size : float, optional
            Å, instead of that in the header.
        """
        if any(self.origin):
            return self.origin
        sizes = self.voxel_size if voxel_size is None else (voxel_size,) * 3
        x, y, z = (n * size for n, size in zip(self.start, sizes, strict=True))
        return x, y, z


def parse_header(path: Path, raw: bytes, kind: str, error: type[InputError]) -> MrcHeader:
    """Parse the first 1024 bytes of an MRC file.

    Parameters
    ----------
    path : Path
    raw : bytes
    kind : str
        "stack" or "map", for messages.
    error : type
        Exception to raise.

    Raises
    ------
    InputError
        Of the type `error`, if these bytes are no MRC header, or the mode is not known.
    """
    if len(raw) < HEADER_BYTES:
        raise error(
            f"{path}: {len(raw)} bytes, shorter than the {HEADER_BYTES} of an MRC header; "
            f"copy or make the {kind} again"
        )
    order = _byte_order(raw)
    words = np.frombuffer(raw, dtype=f"{order}i4", count=56)
    floats = np.frombuffer(raw, dtype=f"{order}f4", count=56)
    nx, ny, nz, mode, extended = (int(words[i]) for i in (0, 1, 2, 3, 23))
    if not (0 < nx <= MAX_SIDE and 0 < ny <= MAX_SIDE and nz > 0 and extended >= 0):
        other = next((what for magic, what in _OTHER_FILES if raw.startswith(magic)), None)
        size = f"{nx} x {ny} x {nz} samples after an extended header of {extended} bytes"
        found = f"this is {other}" if other else f"the header says {size}"
        advice = "unpack it" if other and "compressed" in other else f"give an MRC {kind}"
        raise error(f"{path}: cannot be read as an MRC {kind}: {found}; {advice}")
    if mode not in _MODES:
        what = ", complex values (a transform)" if mode in (3, 4) else ""
        raise error(
            f"{path}: MRC mode {mode}{what}; expected 0, 1, 2, 6 or 12; convert the {kind} to "
            "mode 2"
        )
    code, known = (_MODES[mode], True) if mode else _byte_type(words, floats)
    axes = _axes(path, words, kind, error)
    start = [int(words[4 + axes.index(axis)]) for axis in (1, 2, 3)]
    x, y, z = (float(value) if np.isfinite(value) else 0.0 for value in floats[49:52])
    return MrcHeader(
        shape=(nz, ny, nx),
        dtype=np.dtype(f"{order}{code}"),
        offset=HEADER_BYTES + extended,
        axes=axes,
        voxel_size=_voxel_size(words, floats, axes),
        origin=(x, y, z),
        start=(start[0], start[1], start[2]),
        signedness_known=known,
        value_range=_value_range(floats),
    )


def _value_range(floats: np.ndarray) -> tuple[float, float] | None:
    """Return the least and the largest value, if they are set."""
    low, high = float(floats[19]), float(floats[20])
    return (low, high) if np.isfinite([low, high]).all() and low < high else None


def _byte_order(raw: bytes) -> str:
    """Return the byte order: that of the machine stamp, or the one with a plausible header."""
    stamped = _BYTE_ORDERS.get(raw[212])
    candidates = [stamped] if stamped else []
    candidates += [order for order in (_NATIVE, "<", ">") if order not in candidates]
    for order in candidates:
        nx, ny, _, mode = np.frombuffer(raw, dtype=f"{order}i4", count=4).tolist()
        if 0 <= mode < 1000 and 0 < nx <= MAX_SIDE and 0 < ny <= MAX_SIDE:
            return order
    return candidates[0]


def _byte_type(words: np.ndarray, floats: np.ndarray) -> tuple[str, bool]:
    """Return the type of the bytes of mode 0, and whether the header tells it."""
    if words[38] == _IMOD_STAMP:
        return ("i1" if words[39] & _IMOD_SIGNED else "u1"), True
    low, high = float(floats[19]), float(floats[20])
    if not low < high:
        return "i1", False  # the range is not set
    if low < 0:
        return "i1", True
    return ("u1", True) if high > _LARGEST_SIGNED else ("i1", False)


def unsigned_by_values(sample: bytes) -> bool:
    """Tell from the values of neighbouring pixels whether bytes are unsigned.

    Read with the wrong sign, a small step across the middle of the range becomes one of nearly
    256.
    """
    raw = np.frombuffer(sample, np.uint8)
    as_unsigned = np.abs(np.diff(raw.astype(np.int16))).sum()
    as_signed = np.abs(np.diff(raw.view(np.int8).astype(np.int16))).sum()
    return bool(as_unsigned < as_signed)


def _axes(
    path: Path, words: np.ndarray, kind: str, error: type[InputError]
) -> tuple[int, int, int]:
    found = (int(words[16]), int(words[17]), int(words[18]))
    if found == (0, 0, 0):
        return 1, 2, 3
    if sorted(found) != [1, 2, 3]:
        raise error(
            f"{path}: the header says that the axes are {found}; expected an order of 1, 2, 3; "
            f"write the {kind} again"
        )
    return found


def _voxel_size(
    words: np.ndarray, floats: np.ndarray, axes: tuple[int, int, int]
) -> tuple[float, float, float]:
    """Return the cell over its intervals, or over the samples if the intervals are not set."""
    samples = [int(words[axes.index(axis)]) for axis in (1, 2, 3)]
    intervals = [int(words[7 + i]) if words[7 + i] > 0 else samples[i] for i in range(3)]
    with np.errstate(invalid="ignore", over="ignore"):
        sizes: Float64 = floats[10:13].astype(np.float64) / np.array(intervals, dtype=np.float64)
    clean = np.where(np.isfinite(sizes), sizes, 0.0).tolist()
    return clean[0], clean[1], clean[2]
