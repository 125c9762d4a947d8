"""Whether size and samples of an MRC file agree with the mode in its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d.errors import InputError
from napari_ini3d.io.mrc.header import MrcHeader

_SAMPLES_OF_BYTES = {  # what samples of so many bytes are
    1: "of mode 0",
    2: "of mode 1, 6 or 12",
    4: "of mode 2",
    8: "of double precision, which MRC does not have",
}
_MODE_BYTES = 2**16  # of the sample, by which modes of two bytes are told
_TWO_BYTES = {"i2": 1, "u2": 6, "f2": 12}
_FEW = 0.01  # of the samples, where a type of samples does not expect them
_SOME = 0.05  # of the samples
_MANY_VALUES = 100
_SIGN_BIT, _NORMAL_HALF, _INFINITE_HALF = 0x8000, 0x0400, 0x7C00  # bits of float16
_LEAST_SPAN = 0.2  # of that range, by the samples of the right type


def check_mode(
    path: Path, header: MrcHeader, size: int, sample: bytes, kind: str, error: type[InputError]
) -> None:
    """Refuse a file whose size or samples contradict the mode in its header.

    The mode is that of another sample size if the file has exactly as many bytes. Of modes with
    two bytes per sample it is another one if only with that one the samples lie in the range of
    values in the header or, where no range is set, if they have a hole where noise has its
    centre.

    Parameters
    ----------
    path : Path
    header : MrcHeader
    size : int
        Of the file, bytes.
    sample : bytes
        The first samples.
    kind : str
        "stack" or "map", for messages.
    error : type
        Exception to raise.

    Raises
    ------
    InputError
        Of the type `error`.
    """
    own = header.dtype.itemsize
    each, rest = divmod(size - header.offset, header.n_samples)
    if rest == 0 and each != own and each in _SAMPLES_OF_BYTES:
        side = " x ".join(map(str, reversed(header.shape)))
        cut = " or the file is truncated" if each < own else ""
        raise error(
            f"{path}: the header says {side} samples {_SAMPLES_OF_BYTES[own]}, but the file is as "
            f"long as with samples {_SAMPLES_OF_BYTES[each]}: mode or size in the header is wrong"
            f"{cut}; correct the header, or make the {kind} again"
        )
    code, raw = header.dtype.str[1:], sample[: min(len(sample), _MODE_BYTES) // 2 * 2]
    if code not in _TWO_BYTES or not raw:
        return
    if header.value_range is None:
        other = _mode_by_hole(header.dtype, raw)
        where = "are ordinary numbers"
    else:
        low, high = header.value_range
        other = _mode_by_range(header.dtype, raw, low, high)
        where = f"have the range in the header, {low:g} to {high:g},"
    if other is not None:
        raise error(
            f"{path}: the header says mode {_TWO_BYTES[code]}, but the samples {where} only in "
            f"mode {other}; correct the mode, or make the {kind} again"
        )


def _mode_by_range(dtype: np.dtype[Any], raw: bytes, low: float, high: float) -> int | None:
    """Return the mode that fits to the range in the header, if that of the header does not."""
    code, order = dtype.str[1:], dtype.str[0]
    tolerance = 1e-3 * (high - low)
    fitting = []
    for candidate in _TWO_BYTES:
        values = np.frombuffer(raw, order + candidate).astype(np.float64)
        with np.errstate(invalid="ignore"):
            outside = ~((values >= low - tolerance) & (values <= high + tolerance))
        if outside.mean() > _FEW:
            continue
        if candidate == code:
            return None
        if np.ptp(values[~outside]) > _LEAST_SPAN * (high - low):
            fitting.append(_TWO_BYTES[candidate])
    return fitting[0] if len(fitting) == 1 else None


def _mode_by_hole(dtype: np.dtype[Any], raw: bytes) -> int | None:
    """Return the mode of samples of two bytes that can only be in another one; None as a rule.

    Small integers are subnormal or, if negative, not finite as float16. The bits of float16 of
    both signs are two bands of integers, without those near 0. Signed integers about 0 are near
    the two ends of the unsigned range, and unsigned ones about its middle are near the ends of the
    signed range.
    """
    code, order = dtype.str[1:], dtype.str[0]
    bits = np.frombuffer(raw, f"{order}u2").astype(np.int32)
    bits = bits[(bits != 0) & (bits != _SIGN_BIT)]
    negative = bits > _SIGN_BIT
    if not bits.size:
        return None
    if code == "f2":
        positive_tiny = ~negative & (bits < _NORMAL_HALF)
        negative_tiny = negative & (bits < _SIGN_BIT + _NORMAL_HALF)
        not_finite = bits & ~_SIGN_BIT >= _INFINITE_HALF
        about_zero = positive_tiny.mean() > _SOME and not_finite.mean() > _SOME
        return 1 if about_zero and negative_tiny.mean() < _FEW else None
    if not _SOME < negative.mean() < 1 - _SOME:
        return None
    size = np.where(negative, 2 * _SIGN_BIT - bits, bits)  # absolute value, read as signed
    low, high = _SIGN_BIT // 4, 3 * _SIGN_BIT // 4
    if low < np.median(size) < high:
        outside = (size < low // 4) | (size > _SIGN_BIT - low // 4)
        few_values = len(np.unique(size)) < _MANY_VALUES  # as of a mask
        return 12 if outside.mean() < _FEW and not few_values else None
    if code == "u2":
        return 1 if (size > low).mean() < _FEW else None
    return 6 if (size < high).mean() < _FEW else None
