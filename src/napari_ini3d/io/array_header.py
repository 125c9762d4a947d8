"""Headers of NumPy files, compared with the file before memory is taken for what they declare."""

from __future__ import annotations

import math
from tokenize import TokenError
from typing import IO

import numpy as np


def declared_bytes(file: IO[bytes], *, max_header: int = 10_000) -> int:
    """Return the bytes that the array of a NumPy file takes in the file, with its header.

    Parameters
    ----------
    file : file
        At its beginning; it is left after the header.
    max_header : int
        Maximum length of the header, characters.

    Raises
    ------
    ValueError
        If there is no such header, or the array is one of Python objects.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of NumPy's format is unknown")
    read = np.lib.format.read_array_header_1_0
    if version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(file, max_header_size=max_header)
    except (TokenError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"the header of the array is damaged ({error})") from error
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return math.prod(shape) * dtype.itemsize + file.tell()
