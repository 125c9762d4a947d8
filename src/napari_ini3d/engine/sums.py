"""Sums that add over images, tiles and devices: the result of the expectation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, IntArray
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.references import PoseGrid
from napari_ini3d.kernels import Backend, BestColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPoses:
    """The best pose of each image of a tile.

    Attributes
    ----------
    index : (B,) int64
        Position in the particles.
    class_index : (B,) int64
    matrix : (B, 3, 3) float32
    shift : (B, 2) float32
        Pixels, of the image as read.
    max_probability : (B,) float32
    n_significant : (B,) int64
    log_evidence : (B,) float64
        Log of the sum of exp(score) over all poses.
    junk_probability : (B,) float32
    overlap : (B,) float32
        Re(X* CTF·A) / σ² at this pose, summed over the components; 0 where the scale of the images
        is not learned.
    reference_power : (B,) float32
        CTF² |A|² / σ², likewise.
    """

    index: IntArray
    class_index: IntArray
    matrix: Float32
    shift: Float32
    max_probability: Float32
    n_significant: IntArray
    log_evidence: FloatArray
    junk_probability: Float32
    overlap: Float32
    reference_power: Float32


@dataclass(frozen=True, slots=True)
class TilePoses:
    """The best pose of each image of a tile, as places in the grids.

    Attributes
    ----------
    index : (B,) int64
        Position in the particles; on the host.
    centre : (B, 2) float32
        Pixels by which each image was shifted before; on the host.
    best : (B, 10) float64
        Records, see `BestColumn`; on the device.
    grid : PoseGrid
    """

    index: IntArray
    centre: Float32
    best: Float64
    grid: PoseGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSums:
    """Sums over the images of a tile, for one model.

    Attributes
    ----------
    tile : Tile
    numerator : (K, cube) complex64
    denominator : (K, cube) float32
    explained : (n_shells,) float64
        Power of the tile that the references explain, per shell.
    class_weight : (K,) float64
    poses : TilePoses
    """

    tile: Tile
    numerator: Complex64
    denominator: Float32
    explained: Float64
    class_weight: Float64
    poses: TilePoses


class IterationSums:
    """Sums over all tiles of an iteration, for one model; tiles are added in a fixed order.

    Parameters
    ----------
    cubes : (K, cube) complex64
        Of the references, for their shape.
    n_groups, n_shells : int
    xp : module
        The array module of the tiles.
    """

    def __init__(self, cubes: Complex64, n_groups: int, n_shells: int, xp: Any = np) -> None:
        shape = (len(cubes), 2, *cubes.shape[1:])  # (K, half-set, cube)
        self.numerator: Complex64 = xp.zeros(shape, np.complex64)
        self.denominator: Float32 = xp.zeros(shape, np.float32)
        self.residual: Float64 = xp.zeros((n_groups, n_shells))  # power not explained
        self.shell_weight: Float64 = xp.zeros((n_groups, n_shells))  # images, as they count
        self.class_weight: Float64 = xp.zeros(len(cubes))  # (K,), images
        self.n_images = np.zeros(n_groups, np.int64)
        self.poses: list[BestPoses] = []
        self._tiles: list[TilePoses] = []  # poses still on the device

    def add(self, sums: TileSums) -> None:
        """Add one tile."""
        tile = sums.tile
        self.numerator[:, tile.half] += sums.numerator
        self.denominator[:, tile.half] += sums.denominator
        if not tile.premultiplied:  # their residual is not that of the noise alone
            power = (tile.shell_weight * tile.image_power).sum(0, dtype=np.float64)
            self.residual[tile.group] += power - sums.explained
        self.shell_weight[tile.group] += tile.shell_weight.sum(0, dtype=np.float64)
        self.n_images[tile.group] += len(tile.index)
        self.class_weight += sums.class_weight
        self._tiles.append(sums.poses)

    def to_host(self, backend: Backend) -> IterationSums:
        """Return the sums of a device on the host, the poses of all tiles as one record."""
        found = IterationSums(np.zeros((0, 0, 0, 0), np.complex64), 0, 0)
        for name in _SUMMED:
            setattr(found, name, backend.to_host(getattr(self, name)))
        found.n_images = self.n_images
        found.poses = [best_poses(self._tiles, backend)] if self._tiles else []
        return found

    def add_device(self, other: IterationSums) -> None:
        """Add the sums of another device; both are on the host."""
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


_SUMMED = ("numerator", "denominator", "residual", "shell_weight", "class_weight")


def best_poses(tiles: list[TilePoses], backend: Backend) -> BestPoses:
    """Return the poses of some tiles of one iteration and model, on the host."""
    best = backend.to_host(backend.xp.concatenate([tile.best for tile in tiles]))
    grid = tiles[0].grid

    def places(column: BestColumn) -> IntArray:
        return best[:, column].astype(np.int64)

    shifts = grid.shifts[places(BestColumn.BEST_SHIFT)]
    fine_shifts = grid.fine_shifts[places(BestColumn.BEST_FINE_SHIFT)]
    return BestPoses(
        index=np.concatenate([tile.index for tile in tiles]),
        class_index=places(BestColumn.BEST_CLASS),
        matrix=grid.matrices[places(BestColumn.BEST_ROTATION)],
        shift=np.concatenate([tile.centre for tile in tiles]) + (shifts + fine_shifts),
        max_probability=best[:, BestColumn.BEST_PROBABILITY].astype(np.float32),
        n_significant=places(BestColumn.N_SIGNIFICANT),
        log_evidence=best[:, BestColumn.LOG_EVIDENCE],
        junk_probability=best[:, BestColumn.JUNK_PROBABILITY].astype(np.float32),
        overlap=best[:, BestColumn.OVERLAP].astype(np.float32),
        reference_power=best[:, BestColumn.REFERENCE_POWER].astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that an expectation step found.

    Attributes
    ----------
    sums : list of IterationSums
        On the host; one per model: for each random start, or a single one.
    seconds : mapping
        By part, what the threads spent on it over their number.
    """

    sums: list[IterationSums]
    seconds: Mapping[str, float]


def reduce_devices(
    sums: list[list[IterationSums]], devices: tuple[Backend, ...]
) -> list[IterationSums]:
    """Return the sums over all devices, for each model, on the host.

    Parameters
    ----------
    sums : list of list of IterationSums
        Per device, per model; used up.
    devices : tuple of Backend
    """
    on_host = []
    for backend, of_device in zip(devices, sums, strict=True):
        with backend.device.enter():
            on_host.append([of_model.to_host(backend) for of_model in of_device])
    total, *others = on_host
    for of_device in others:
        for of_model, more in zip(total, of_device, strict=True):
            of_model.add_device(more)
    return total
