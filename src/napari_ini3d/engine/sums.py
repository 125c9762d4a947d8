"""Sums that add over images, tiles and devices: the result of the expectation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ini3d._types import AnyArray, Complex64, Float32, Float64, FloatArray, IntArray
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.reference_set import PoseGrid
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


class ChunkSums:
    """Sums over the tiles of a chunk, or of several, for one model, added in their order.

    Parameters
    ----------
    first : TileSums
        The first tile; its arrays become those of the chunk.

    Attributes
    ----------
    half : int
        The half-set of all tiles.
    numerator : (K, cube) complex64
    denominator : (K, cube) float32
    class_weight : (K,) float64
    residual : dict of (n_shells,) float64
        By optics group: the power that the references do not explain.
    shell_weight : dict of (n_shells,) float64
        By optics group: images, as they count.
    n_images : dict of int
        By optics group.
    tiles : list of TilePoses
        Of the tiles, as long as the sums are on their device.
    poses : list of BestPoses
        Of all tiles as one record, once the sums have been on the host.
    """

    def __init__(self, first: TileSums) -> None:
        tile = first.tile
        self.half = tile.half
        self.numerator, self.denominator = first.numerator, first.denominator
        self.class_weight = first.class_weight
        self.residual: dict[int, Float64] = {}
        if not tile.premultiplied:  # their residual is not that of the noise alone
            power = (tile.shell_weight * tile.image_power).sum(0, dtype=np.float64)
            self.residual[tile.group] = power - first.explained
        self.shell_weight = {tile.group: tile.shell_weight.sum(0, dtype=np.float64)}
        self.n_images = Counter({tile.group: len(tile.index)})
        self.tiles = [first.poses]
        self.poses: list[BestPoses] = []

    def add(self, sums: TileSums) -> None:
        """Add one tile."""
        self.add_chunk(ChunkSums(sums))

    def add_chunk(self, other: ChunkSums) -> None:
        """Add the sums of another chunk of the same half-set."""
        self.numerator += other.numerator
        self.denominator += other.denominator
        self.class_weight += other.class_weight
        for group, values in other.residual.items():
            _add_to(self.residual, group, values)
        for group, values in other.shell_weight.items():
            _add_to(self.shell_weight, group, values)
        self.n_images += other.n_images
        self.tiles += other.tiles
        self.poses += other.poses

    def move_to_host(self, backend: Backend) -> None:
        """Move the sums from a device to the host, the poses of all tiles as one record."""
        self._move(backend.to_host)
        if self.tiles:
            self.poses, self.tiles = [*self.poses, best_poses(self.tiles, backend)], []

    def move_to_device(self, backend: Backend) -> None:
        """Move the sums from the host to a device; the poses, which are not added, stay."""
        self._move(backend.to_device)

    def _move(self, move: Callable[[AnyArray], AnyArray]) -> None:
        for name in ("numerator", "denominator", "class_weight"):
            setattr(self, name, move(getattr(self, name)))
        for name in ("residual", "shell_weight"):
            of_groups = getattr(self, name)
            setattr(self, name, {group: move(values) for group, values in of_groups.items()})


def _add_to(sums: dict[int, Float64], group: int, values: Float64) -> None:
    """Add values to those of a group, which become them if there are none."""
    if group in sums:
        sums[group] += values
    else:
        sums[group] = values


class IterationSums:
    """Sums over all groups of chunks of an iteration, for one model, added in their order.

    Parameters
    ----------
    cubes : (K, cube)
        Of any group, for their shape.
    n_groups, n_shells : int
    xp : module
        The array module of the chunks.
    """

    def __init__(self, cubes: AnyArray, n_groups: int, n_shells: int, xp: Any = np) -> None:
        shape = (len(cubes), 2, *cubes.shape[1:])  # (K, half-set, cube)
        self.numerator: Complex64 = xp.zeros(shape, np.complex64)
        self.denominator: Float32 = xp.zeros(shape, np.float32)
        self.residual: Float64 = xp.zeros((n_groups, n_shells))  # power not explained
        self.shell_weight: Float64 = xp.zeros((n_groups, n_shells))  # images, as they count
        self.class_weight: Float64 = xp.zeros(len(cubes))  # (K,), images
        self.n_images = np.zeros(n_groups, np.int64)
        self.poses: list[BestPoses] = []
        self._tiles: list[TilePoses] = []  # poses still on the device

    def add(self, chunk: ChunkSums) -> None:
        """Add the sums of one group."""
        self.numerator[:, chunk.half] += chunk.numerator
        self.denominator[:, chunk.half] += chunk.denominator
        self.class_weight += chunk.class_weight
        for name in ("residual", "shell_weight", "n_images"):
            total = getattr(self, name)
            for group, values in getattr(chunk, name).items():
                total[group] += values
        self.poses += chunk.poses
        self._tiles += chunk.tiles

    def move_to_host(self, backend: Backend) -> None:
        """Move the sums to the host, the poses of all tiles as one record."""
        for name in _SUMMED:
            setattr(self, name, backend.to_host(getattr(self, name)))
        if self._tiles:
            self.poses, self._tiles = [*self.poses, best_poses(self._tiles, backend)], []

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
