"""Sums over groups and over Fourier shells, in a fixed order on every device."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ini3d._types import Float32, Float64, Int32, IntArray
from napari_ini3d.kernels import Backend


def bincount_sum(backend: Backend, group: IntArray, values: Float64, n_groups: int) -> Float64:
    """Return the sum of the values (N,) of each group, (n_groups,) float64, in a fixed order."""
    out: Float64 = backend.xp.empty(n_groups, "float64")
    backend.kernels.bincount_sum(group, values, out)
    return out


def sum_shells_of_images(values: Float32, shell: Int32, n_shells: int, *, xp: Any = np) -> Float32:
    """Return the sum over each shell of every image, (B, n_shells).

    Parameters
    ----------
    values : (B, P) float32
    shell : (P,) int32
        Shell of each component.
    n_shells : int
    xp : module
        Whose arrays these are.
    """
    member = (shell[:, None] == xp.arange(n_shells)).astype(np.float32)  # (P, n_shells)
    sums: Float32 = values @ member
    return sums


def sum_shells(backend: Backend, shell: Int32, values: Float64, n_shells: int) -> Float64:
    """Return the sum over each shell of values of the first C components, (n_shells,)."""
    return bincount_sum(backend, shell[: len(values)], values, n_shells)
