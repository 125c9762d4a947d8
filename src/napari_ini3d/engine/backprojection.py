"""What the coarse and the fine pass share: the prior of shifts, and the way back to the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32, IntArray
from napari_ini3d.engine.tiles import Frame, Tile
from napari_ini3d.kernels import Backend

_FORBIDDEN = np.float32(-1e6)  # added to a log prior


def real_pairs(array: Complex64) -> Float32:
    """Return a complex array (..., P) as its real and imaginary parts (..., 2P), no copy."""
    return array.view(np.float32)


def shift_log_prior(frame: Frame, shifts: Float32, start: Float32) -> Float32:
    """Return log N(start + shift; 0, sigma²) up to a constant, (B, S).

    Beyond the limit it is so low that no such shift is taken.
    """
    x, y = (start[:, None, i] + shifts[None, :, i] for i in (0, 1))
    distance2: Float32 = x * x + y * y
    log_prior = distance2 * np.float32(-0.5 / frame.sigma_offset**2)
    # images are moved by whole pixels beforehand, which may already be a pixel too far
    beyond = distance2 > np.float32((frame.offset_limit + 1) ** 2)
    log_prior += frame.backend.xp.where(beyond, _FORBIDDEN, np.float32(0))
    return log_prior


def bincount_sum(backend: Backend, group: IntArray, values: Float64, n_groups: int) -> Float64:
    """Return the sum of the values (N,) of each group, (n_groups,) float64, in a fixed order."""
    out: Float64 = backend.xp.empty(n_groups, np.float64)
    backend.kernels.bincount_sum(group, values, out)
    return out


def sum_shells(backend: Backend, shell: Int32, values: Float64, n_shells: int) -> Float64:
    """Return the sum over each shell of values given for the first C components, (n_shells,)."""
    return bincount_sum(backend, shell[: len(values)], values, n_shells)


@dataclass(frozen=True, slots=True)
class SliceAccumulator:
    """Sums over poses, per slice and component.

    Attributes
    ----------
    numerator : (R, C) complex64
        Σ w CTF · X / σ².
    denominator : (R, C) float32
        Σ w CTF² / σ².
    """

    numerator: Complex64
    denominator: Float32


def explained_power(frame: Frame, tile: Tile, slices: Complex64, sums: SliceAccumulator) -> Float64:
    """Return, per shell, the power by which the references lower the residual.

    |X - CTF·A|² = |X|² - (2 Re(X* CTF·A) - CTF²|A|²), summed with the posterior's weights.

    Parameters
    ----------
    frame, tile
    slices : (R, C) complex64
        A, that the sums belong to.
    sums : SliceAccumulator
    """
    cross = slices.real * sums.numerator.real + slices.imag * sums.numerator.imag
    own = sums.denominator * (slices.real**2 + slices.imag**2)
    per_component = (2 * cross - own).sum(0, dtype=np.float64) * tile.sigma2[: slices.shape[1]]
    return sum_shells(frame.backend, frame.disk.shell, per_component, len(tile.power))


def empty_cubes(frame: Frame) -> tuple[Complex64, Float32]:
    """Return zeros for the numerator and the denominator of all classes."""
    shape, xp = frame.cubes.shape, frame.backend.xp
    return xp.zeros(shape, np.complex64), xp.zeros(shape, np.float32)


def backproject_slices(
    frame: Frame,
    sums: SliceAccumulator,
    matrices: Float32,
    numerator: Complex64,
    denominator: Float32,
) -> None:
    """Add slices with the rotations `matrices` to the cubes of one class, in place."""
    c = sums.numerator.shape[1]
    kx, ky = (k[:c] * np.float32(frame.padding) for k in (frame.disk.kx, frame.disk.ky))
    frame.backend.kernels.backproject(
        sums.numerator, sums.denominator, matrices, kx, ky, numerator, denominator
    )
