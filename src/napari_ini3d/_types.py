"""Array types, once for the whole package."""

from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating]
Complex64 = npt.NDArray[np.complex64]
Complex128 = npt.NDArray[np.complex128]
ComplexArray = npt.NDArray[np.complexfloating]
Int32 = npt.NDArray[np.int32]
UInt32 = npt.NDArray[np.uint32]
Int64 = npt.NDArray[np.int64]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]
Vector = tuple[float, float, float]
"""(x, y, z)."""
