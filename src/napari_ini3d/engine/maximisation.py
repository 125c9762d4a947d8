"""Sums of an iteration over its tiles, and the model that follows from them.

Each iteration adds its sums to those of earlier ones, which fade: N <- (1 - η) N + η N_new, and
likewise the weights; the map is their quotient. This is expectation maximisation on mini-batches
with forgetting (Neal & Hinton, 1998; Cappe & Moulines, 2009): with η = 1 on all particles it is
the plain algorithm, with η < 1 on small subsets it wanders as gradient descent does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.regularisation import (
    HalfSetFSC,
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
    half_set_fsc,
    wiener_divide,
)
from napari_ini3d.engine.state import ModelState
from napari_ini3d.engine.tiles import BestPoses, TileSums
from napari_ini3d.fourier import FrequencyDisk
from napari_ini3d.kernels import Backend

Scalar = TypeVar("Scalar", np.complex64, np.float32)

_NOISE_MEMORY = 0.5


class IterationSums:
    """What the tiles of one iteration add up to; tiles are added in a fixed order.

    Parameters
    ----------
    cubes : (K, cube) complex64
        The model's, for their shape.
    n_groups, n_shells : int
    xp : module
        Whose arrays the tiles are.
    """

    def __init__(self, cubes: Complex64, n_groups: int, n_shells: int, xp: Any = np) -> None:
        shape = (len(cubes), 2, *cubes.shape[1:])
        self.numerator: Complex64 = xp.zeros(shape, np.complex64)
        self.denominator: Float32 = xp.zeros(shape, np.float32)
        self.residual: Float64 = xp.zeros((n_groups, n_shells))
        self.class_weight: Float64 = xp.zeros(len(cubes))
        self.n_images = np.zeros(n_groups, np.int64)
        self.poses: list[BestPoses] = []

    def add(self, sums: TileSums) -> None:
        """Add one tile."""
        tile = sums.tile
        self.numerator[:, tile.half] += sums.numerator
        self.denominator[:, tile.half] += sums.denominator
        if not tile.premultiplied:  # whose residual is not that of the noise alone
            self.residual[tile.group] += tile.power - sums.explained
        self.n_images[tile.group] += len(tile.index)
        self.class_weight += sums.class_weight
        self.poses.append(sums.poses)

    def to_host(self, backend: Backend) -> IterationSums:
        """Return the sums of a device on the host, the poses of all tiles as one."""
        found = IterationSums(np.zeros((0, 0, 0, 0), np.complex64), 0, 0)
        for name in _SUMMED:
            setattr(found, name, backend.to_host(getattr(self, name)))
        found.n_images = self.n_images
        found.poses = [_joined(self.poses, backend)] if self.poses else []
        return found

    def include(self, other: IterationSums) -> None:
        """Add the sums of another device; both on the host."""
        for name in (*_SUMMED, "n_images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.poses += other.poses

    @property
    def total(self) -> int:
        """Images added."""
        return int(self.n_images.sum())

    def mean_of(self, name: str) -> float:
        """Return the mean over the images of a field of `BestPoses`."""
        return float(np.concatenate([getattr(p, name) for p in self.poses]).mean(dtype=np.float64))


_SUMMED = ("numerator", "denominator", "residual", "class_weight")


def _joined(poses: list[BestPoses], backend: Backend) -> BestPoses:
    """Return the poses of all tiles as one record, on the host."""
    arrays = [np.concatenate([p.index for p in poses])]
    for f in fields(BestPoses)[1:]:
        parts = [getattr(p, f.name) for p in poses]
        arrays.append(backend.to_host(backend.xp.concatenate(parts)))
    return BestPoses(*arrays)


@dataclass(frozen=True, slots=True)
class Update:
    """A model after an iteration, and what is known about it.

    Attributes
    ----------
    model : ModelState
    agreement : tuple of HalfSetFSC
        Per class.
    map_change : (K,) float64
        Relative L2 change.
    """

    model: ModelState
    agreement: tuple[HalfSetFSC, ...]
    map_change: Float64


def complete_friedel(numerator: Complex64, denominator: Float32) -> None:
    """Add to the plane x = 0 of a half cube, in place, what belongs to it from x <= 0."""
    numerator[..., 0] += numerator[..., ::-1, ::-1, 0].conj()
    denominator[..., 0] += denominator[..., ::-1, ::-1, 0].copy()


def inner_cube(cube: npt.NDArray[Scalar], m: int) -> npt.NDArray[Scalar]:
    """Return a view of the half cube (..., 2m + 1, 2m + 1, m + 2) within a larger one."""
    big = cube.shape[-3] // 2
    inner = slice(big - m, big + m + 1)
    return cube[..., inner, inner, : m + 2]


def symmetrised(
    sums: IterationSums, operators: Float32, backend: Backend
) -> tuple[Complex64, Float32]:
    """Return numerator and denominator, per image, averaged over a point group's operators.

    The sums are used up.
    """
    complete_friedel(sums.numerator, sums.denominator)
    scale = np.float32(1 / (sums.total * len(operators)))
    sums.numerator *= scale
    sums.denominator *= scale
    if len(operators) == 1:
        return sums.numerator, sums.denominator
    numerator, denominator = np.zeros_like(sums.numerator), np.zeros_like(sums.denominator)
    for k, half in np.ndindex(numerator.shape[:2]):
        one = _symmetrised_cube(
            sums.numerator[k, half], sums.denominator[k, half], operators, backend
        )
        numerator[k, half], denominator[k, half] = one
    return numerator, denominator


def _symmetrised_cube(
    numerator: Complex64, denominator: Float32, operators: Float32, backend: Backend
) -> tuple[Complex64, Float32]:
    with backend.device.enter():
        given = [backend.to_device(a) for a in (numerator, denominator, operators)]
        filled = [backend.xp.zeros_like(a) for a in given[:2]]
        backend.kernels.symmetrise(*given, *filled)
        return backend.to_host(filled[0]), backend.to_host(filled[1])


def update_model(
    model: ModelState,
    new: tuple[Complex64, Float32],
    step_size: float,
    radius: int,
    constraints: RealSpaceConstraints,
) -> Update:
    """Return the model after the new sums have been blended in.

    Parameters
    ----------
    model : ModelState
    new : (K, 2, cube) complex64 and float32
        Numerator and denominator, Friedel plane completed, per image.
    step_size : float
        η.
    radius : int
        Fourier radius up to which the new sums reach.
    constraints : RealSpaceConstraints
    """
    numerator, denominator = _blend(model, new, step_size)
    m = new[0].shape[-3] // 2
    padding = constraints.settings.padding_factor
    beyond = cube_shells(m, padding) > radius
    agreements, maps = [], []
    for k in range(len(numerator)):
        n, w = inner_cube(numerator[k], m), inner_cube(denominator[k], m)
        halves = [divide_by_weight(n[h], w[h], padding) for h in (0, 1)]
        n_shells = constraints.box_size // 2 + 1
        agreement = half_set_fsc(halves[0], halves[1], padding, n_shells)
        agreement.fsc[radius + 1 :] = 0
        ssnr = agreement.ssnr * (constraints.settings.tau2_fudge / 4)
        cube = wiener_divide(n.sum(0), w.sum(0), ssnr, padding)
        cube[beyond] = 0
        agreements.append(agreement)
        maps.append(constraints.to_map(cube))
    new_maps = np.stack(maps)
    return Update(
        ModelState(
            new_maps, numerator, denominator, model.sigma2, model.class_shares, model.evidence
        ),
        tuple(agreements),
        _relative_change(model.maps, new_maps),
    )


def _blend(
    model: ModelState, new: tuple[Complex64, Float32], step_size: float
) -> tuple[Complex64, Float32]:
    numerator, denominator = model.numerator.copy(), model.denominator.copy()
    m = new[0].shape[-3] // 2
    numerator *= np.float32(1 - step_size)
    denominator *= np.float32(1 - step_size)
    inner_cube(numerator, m)[...] += new[0] * np.float32(step_size)
    inner_cube(denominator, m)[...] += new[1] * np.float32(step_size)
    return numerator, denominator


def _relative_change(old: Float32, new: Float32) -> Float64:
    axes = (1, 2, 3)
    change: Float64 = np.sqrt(((new - old) ** 2).sum(axes, dtype=np.float64))
    length: Float64 = np.sqrt((new**2).sum(axes, dtype=np.float64))
    return change / np.maximum(length, 1e-30)


def update_noise(sigma2: Float64, sums: IterationSums, disk: FrequencyDisk) -> Float64:
    """Return the noise variance per group and shell, moved towards this iteration's residual.

    The residual is taken from whole images and not from masked ones: masking lowers the power of
    the noise without lowering what is known about it, and a posterior that believes the smaller
    number is too sure of itself.
    """
    count = np.bincount(disk.shell, minlength=sigma2.shape[1])
    found = sums.residual / np.maximum(2 * sums.n_images[:, None] * count, 1)
    known = (found > 0) & (count > 0) & (sums.n_images[:, None] > 0)
    return np.where(known, _NOISE_MEMORY * sigma2 + (1 - _NOISE_MEMORY) * found, sigma2)
