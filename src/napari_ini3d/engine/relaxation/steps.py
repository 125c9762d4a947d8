"""Steps of a relaxation: the symmetric map, what is left of the images, and its asymmetric map.

The score of a particle X in one of the poses A g, under a map that is the symmetric map M and a
difference D, is up to a constant that is the same for all g::

    Re(R* CTF·D_Ag) / σ² - CTF² |D_Ag|² / 2 σ²,    R = X - CTF·M_A

because M looks the same from all of them. Errors of interpolation in M, which is far stronger than
D, are therefore the same for all units, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.images import Tile, WeightedImages, real_pairs
from napari_ini3d.engine.regularisation import HalfSetFSC
from napari_ini3d.engine.relaxation.fold_maps import FoldSums
from napari_ini3d.engine.relaxation.folds import FOLDS, PosedImages
from napari_ini3d.engine.shell_sums import sum_shells
from napari_ini3d.fourier import FrequencyDisk
from napari_ini3d.kernels import Backend

_LEAST_FSC = 0.143
_LEAST_RADIUS = 6
_HALF = np.float32(0.5)

Cubes = tuple[Complex64, Float32]
"""Numerator and denominator, on the host."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """Images from which the projection of a symmetric map is subtracted.

    Attributes
    ----------
    images : PosedImages
        Those as they are; with the noise that the residuals have.
    symmetric_map : (n, n, n) float32
    cube : (cube) complex64
        Of the symmetric map.
    """

    images: PosedImages
    symmetric_map: Float32
    cube: Complex64

    def weighted(self, backend: Backend, disk: FrequencyDisk, tile: Tile) -> WeightedImages:
        """Return the residuals of a tile, weighted by CTF and noise."""
        matrices = backend.to_device(self.images.poses.matrices[tile.index])
        projected = _project(self.images, backend, disk, self.cube, matrices)
        # images that are multiplied by their CTF hold CTF² times the map
        factor = tile.ctf * tile.ctf if tile.premultiplied else tile.ctf
        rest = replace(tile, images=tile.images - factor * projected)
        return WeightedImages.of(rest, disk, backend)


@dataclass(frozen=True, slots=True)
class UnitScores:
    """Comparison of particles with the difference map in each of G asymmetric units.

    Attributes
    ----------
    scores : (N, G) float32
        Log likelihood over that of the symmetric map alone.
    sums : FoldSums
        Residuals, backprojected with the weights of the units less their mean, so that a
        symmetric part does not enter.
    """

    scores: Float32
    sums: FoldSums


def symmetric_residuals(images: PosedImages, operators: Float32) -> Residuals:
    """Average all images in all units to a symmetric map, and subtract it from them.

    Parameters
    ----------
    images : PosedImages
        The radius is lowered to where the half-sets of the symmetric map agree.
    operators : (G, 3, 3) float32
    """
    run = images.run
    sums = backproject_images(images).symmetrised(operators, run.executor.backend)
    fsc = sums.fsc(run.constraints)
    volume = sums.map_of(list(range(FOLDS)), fsc, run.constraints)
    images = up_to_agreement(images, fsc)
    cube = run.constraints.to_cube(volume, images.radius)
    return Residuals(with_noise(images, cube), volume, cube)


def up_to_agreement(images: PosedImages, half_sets: HalfSetFSC) -> PosedImages:
    """Return the images with the radius lowered to where the half-sets of their map agree."""
    agreeing = half_sets.first_shell_below(_LEAST_FSC, images.radius) - 1
    return replace(images, radius=min(max(_LEAST_RADIUS, agreeing), images.radius))


def backproject_images(images: PosedImages) -> FoldSums:
    """Return the sums of the images in their poses, for each fold."""

    def work(backend: Backend, disk: FrequencyDisk, tile: Tile) -> Cubes:
        weighted = WeightedImages.of(tile, disk, backend)
        matrices = backend.to_device(images.poses.matrices[tile.index])
        return _backproject(images, backend, disk, weighted.images, weighted.ctf2, matrices)

    sums = FoldSums.zeros(images.cube_shape, images.radius)
    for found in images.map_tiles(work, 1):
        _add(sums, found.fold, found.value)
    return sums.completed()


def compare_units(
    residuals: Residuals,
    operators: Float32,
    differences: Complex64 | None,
    weights: Float32 | None = None,
    *,
    hard: bool = False,
) -> UnitScores:
    """Compare every particle with the map of the other folds in each unit, and backproject it.

    Parameters
    ----------
    residuals : Residuals
    operators : (G, 3, 3) float32
    differences : (FOLDS, cube) complex64 or None
        Of the maps that leave out each fold; None to use the weights alone.
    weights : (N, G) float32, optional
        Instead of those that follow from the scores.
    hard : bool
        Give all weight to the best unit.
    """
    images, n_units = residuals.images, len(operators)
    scores = np.zeros((len(images.poses), n_units), np.float32)

    def work(backend: Backend, disk: FrequencyDisk, tile: Tile) -> tuple[Float32, Cubes]:
        weighted = residuals.weighted(backend, disk, tile)
        poses = images.poses.matrices[tile.index]
        matrices = (poses[:, None] @ operators).reshape(-1, 3, 3)  # (B·G, 3, 3)
        matrices = backend.to_device(np.ascontiguousarray(matrices))
        found = np.zeros((len(tile.index), n_units), np.float32)
        if differences is not None:
            cube = differences[int(tile.index[0] % FOLDS)]
            slices = _project(images, backend, disk, cube, matrices)  # (B·G, P)
            found = backend.to_host(_scores(slices, weighted, n_units))
        share = _weights(found, hard=hard) if weights is None else weights[tile.index]
        rows = _weighted_rows(backend.to_device(share), weighted)
        return found, _backproject(images, backend, disk, *rows, matrices)

    sums = FoldSums.zeros(images.cube_shape, images.radius)
    for result in images.map_tiles(work, n_units):
        scores[result.index] = result.value[0]
        _add(sums, result.fold, result.value[1])
    return UnitScores(scores, sums.completed())


def compare_rotations(images: PosedImages, rotations: Float32, cubes: Complex64) -> Float32:
    """Compare every particle with the map of the other folds, in poses A R.

    Parameters
    ----------
    images : PosedImages
    rotations : (R, 3, 3) float32
        Of the map.
    cubes : (FOLDS, cube) complex64
        Of the maps that leave out each fold.

    Returns
    -------
    (N, R) float32
        Log likelihood over that of noise alone.
    """
    scores = np.zeros((len(images.poses), len(rotations)), np.float32)

    def work(backend: Backend, disk: FrequencyDisk, tile: Tile) -> Float32:
        weighted = WeightedImages.of(tile, disk, backend)
        matrices = (images.poses.matrices[tile.index][:, None] @ rotations).reshape(-1, 3, 3)
        matrices = backend.to_device(np.ascontiguousarray(matrices))
        slices = _project(images, backend, disk, cubes[int(tile.index[0] % FOLDS)], matrices)
        found: Float32 = backend.to_host(_scores(slices, weighted, len(rotations)))
        return found

    for result in images.map_tiles(work, len(rotations)):
        scores[result.index] = result.value
    return scores


def log_likelihood(scores: Float32) -> Float64:
    """Return the log of the mean likelihood over the units, (N,), of scores (N, G)."""
    scores = scores.astype(np.float64)
    most = scores.max(axis=1)
    mean = np.exp(scores - most[:, None]).mean(axis=1)
    return np.asarray(most + np.log(mean))


def unit_weights(scores: Float32) -> Float32:
    """Return the posterior (N, G) of the units."""
    return _weights(scores, hard=False)


def _weights(scores: Float32, *, hard: bool) -> Float32:
    if hard:
        best = scores == scores.max(axis=1, keepdims=True)
        return np.asarray(best / best.sum(axis=1, keepdims=True), dtype=np.float32)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _scores(slices: Complex64, weighted: WeightedImages, n_units: int) -> Float32:
    """Return Re(R* CTF·D) / σ² - CTF² |D|² / 2 σ² of each image and unit, (B, G)."""
    n_images, n_components = weighted.images.shape
    power = (slices.real**2 + slices.imag**2).reshape(n_images, n_units, n_components)
    pairs = real_pairs(slices).reshape(n_images, n_units, 2 * n_components)
    product = pairs @ real_pairs(weighted.images)[:, :, None]  # (B, G, 1)
    own = power @ weighted.ctf2[:, :, None]  # (B, G, 1)
    scores: Float32 = (product - _HALF * own)[:, :, 0].astype(np.float32, copy=False)
    return scores


def _weighted_rows(share: Float32, weighted: WeightedImages) -> tuple[Complex64, Float32]:
    """Return the images and CTF² (B·G, P) times the weight of each unit, less the mean weight."""
    n_images, n_units = share.shape
    uneven = share - np.float32(1 / n_units)  # (B, G)
    numerator = uneven[:, :, None] * weighted.images[:, None]  # (B, G, P)
    denominator = share[:, :, None] * weighted.ctf2[:, None]
    shape = (n_images * n_units, -1)
    return numerator.reshape(shape), denominator.reshape(shape)


def with_noise(images: PosedImages, cube: Complex64) -> PosedImages:
    """Return the images with the noise variance of what a map leaves of them."""
    run, n_shells = images.run, images.sigma2.shape[1]

    def work(backend: Backend, disk: FrequencyDisk, tile: Tile) -> tuple[int, Float64]:
        matrices = backend.to_device(images.poses.matrices[tile.index])
        projected = tile.ctf * _project(images, backend, disk, cube, matrices)  # (B, P)
        cross = tile.images.real * projected.real + tile.images.imag * projected.imag
        explained = 2 * cross - (projected.real**2 + projected.imag**2)
        total = explained.sum(0, dtype=np.float64)  # (P,)
        of_shells = sum_shells(backend, disk.shell, total, n_shells)
        left = tile.image_power.sum(0, dtype=np.float64) - of_shells
        return tile.group, backend.to_host(left)

    residual = np.zeros_like(images.sigma2)
    count = np.bincount(images.disk.shell, minlength=n_shells)
    for found in images.map_tiles(work, 1):
        group, left = found.value
        residual[group] += left / (2 * np.maximum(count, 1))
    members = np.bincount(run.particles.optics_index, minlength=len(residual))
    sigma2 = residual / np.maximum(members, 1)[:, None]
    premultiplied = np.array([optics.ctf_premultiplied for optics in run.particles.optics])
    known = (count > 0) & (sigma2 > 0) & ~premultiplied[:, None]
    return replace(images, sigma2=np.where(known, sigma2, images.sigma2))


def _project(
    images: PosedImages, backend: Backend, disk: FrequencyDisk, cube: Complex64, matrices: Float32
) -> Complex64:
    padding = np.float32(images.run.settings.padding_factor)
    out: Complex64 = backend.xp.empty((len(matrices), len(disk)), np.complex64)
    kx, ky = disk.kx * padding, disk.ky * padding
    backend.kernels.project(backend.to_device(cube), matrices, kx, ky, out)
    return out


def _backproject(
    images: PosedImages,
    backend: Backend,
    disk: FrequencyDisk,
    numerator: Complex64,
    denominator: Float32,
    matrices: Float32,
) -> Cubes:
    padding = np.float32(images.run.settings.padding_factor)
    cubes = (
        backend.xp.zeros(images.cube_shape, np.complex64),
        backend.xp.zeros(images.cube_shape, np.float32),
    )
    kx, ky = disk.kx * padding, disk.ky * padding
    backend.kernels.backproject(numerator, denominator, matrices, kx, ky, *cubes)
    return backend.to_host(cubes[0]), backend.to_host(cubes[1])


def _add(sums: FoldSums, fold: int, cubes: Cubes) -> None:
    sums.numerator[fold] += cubes[0]
    sums.denominator[fold] += cubes[1]
