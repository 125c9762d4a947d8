"""Matrix products in half precision, of factors of any magnitude."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_ini3d.kernels.types import Array

_HALF_BITS = 15  # factors are scaled to at most 2^15; half precision ends below 2^16


def scaled_product(xp: Any, product: Callable[..., Array]) -> Callable[..., Array]:
    """Wrap a matrix product so that its factors use the range of half precision.

    Half precision has an exponent of only five bits: noise weights and power spectra are far
    outside its range. Each factor is multiplied by a power of two first, and the product is
    divided by both.

    Parameters
    ----------
    xp : module
    product : callable
        ``product(a, b, out)``, the product of two matrices.

    Returns
    -------
    callable
        ``matmul(a, b, out=None)``.
    """

    def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
        if not (a.size and b.size):  # an empty array has no maximum
            return product(a, b, out)
        scales = [_powers_of_two(xp, abs(factor).max(), _HALF_BITS) for factor in (a, b)]
        found = product(a * scales[0], b * scales[1], out)
        found /= scales[0]
        found /= scales[1]
        return found

    return matmul


def _powers_of_two(xp: Any, largest: Array, bits: int) -> Array:
    """Return the largest powers of two, float32, that keep ``largest`` below 2^bits."""
    exponent = bits - xp.ceil(xp.log2(xp.maximum(largest, np.float32(1e-30))))
    return xp.exp2(xp.minimum(exponent, np.float32(126)))  # the largest in float32
