"""Folds: disjoint parts of the particles, so that no particle is compared with a map of itself.

A particle that helped to make a map agrees with it by its own noise alone. Here every particle is
compared with a map of the particles of the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from napari_ini3d._types import Float32, Float64, IntArray
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.noise import initial_noise
from napari_ini3d.engine.references import shift_phase
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import finest_radius
from napari_ini3d.fourier import FrequencyDisk, frequency_disk
from napari_ini3d.kernels import Backend, available_threads, blas_threads, choose_backend
from napari_ini3d.particles import ImageBatch, ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

FOLDS = 4
"""Number of folds; the even and the odd ones are the half-sets."""

_TILE_BYTES = 48e6  # of the slices that a tile is compared with
_MOST_IMAGES = 256  # in a tile

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class FixedPoses:
    """Poses of N particles that are not searched for.

    Attributes
    ----------
    matrices : (N, 3, 3) float32
        See `geometry.euler`.
    origins : (N, 2) float32
        Å, RELION's sign.
    """

    matrices: Float32
    origins: Float32

    def __len__(self) -> int:
        return len(self.matrices)

    def rotated(self, operators: Float64) -> FixedPoses:
        """Return the poses A R, with one rotation R (N, 3, 3) of the map for each particle."""
        matrices = (self.matrices.astype(np.float64) @ operators).astype(np.float32)
        return replace(self, matrices=matrices)


@dataclass(frozen=True, slots=True)
class FoldValue(Generic[Value]):
    """What was computed for some particles of one fold."""

    index: IntArray
    fold: int
    value: Value


@dataclass(frozen=True, slots=True)
class PosedImages:
    """Images of a run whose poses are known, up to a Fourier radius.

    Attributes
    ----------
    run : RunContext
    poses : FixedPoses
    sigma2 : (G, n_shells) float64
        Noise variance of a real or imaginary part, per optics group and shell.
    typical_power : (G, n_shells) float64
        Of each shell of a masked image.
    radius : int
        Fourier radius up to which images and maps are compared.
    """

    run: RunContext
    poses: FixedPoses
    sigma2: Float64
    typical_power: Float64
    radius: int

    @property
    def disk(self) -> FrequencyDisk:
        """The P components of an image up to the radius."""
        return frequency_disk(self.run.geometry.box_size, self.radius)

    @property
    def cube_shape(self) -> tuple[int, int, int]:
        """Shape of a half cube up to the radius."""
        m = self.radius * self.run.settings.padding_factor + 1
        return 2 * m + 1, 2 * m + 1, m + 2

    def map_tiles(
        self, work: Callable[[Backend, FrequencyDisk, Tile], Value], n_slices: int
    ) -> Iterator[FoldValue[Value]]:
        """Yield the value of a function for tiles of one fold and one optics group, in order.

        Parameters
        ----------
        work : callable
            From a device, the components up to the radius and a tile, whose images are shifted
            by their origins.
        n_slices : int
            With which each image is compared: the more, the smaller the tiles.
        """
        run, devices = self.run, self.run.executor.backend.devices
        size = int(_TILE_BYTES / (8 * len(self.disk) * n_slices))
        tiles = self._tiles(min(max(size, 4), _MOST_IMAGES))
        jobs = [partial(self._on_tile, one, work) for one in devices]
        for _, value in run.executor.map_tiles(jobs, run.source.batches(tiles)):
            yield value

    def _tiles(self, size: int) -> list[IntArray]:
        groups, tiles = self.run.particles.optics_index, []
        for fold in range(FOLDS):
            members = np.arange(fold, len(self.poses), FOLDS)
            for group in np.unique(groups[members]):
                mine = members[groups[members] == group]
                tiles += np.array_split(mine, -(-len(mine) // size))
        return tiles

    def _on_tile(
        self,
        backend: Backend,
        work: Callable[[Backend, FrequencyDisk, Tile], Value],
        batch: ImageBatch,
    ) -> FoldValue[Value]:
        run, origins = self.run, self.poses.origins[batch.index]
        preparation = run.preparation.on(backend)
        disk = preparation.disk(run.geometry.box_size, self.radius)
        no_bias = np.zeros((len(batch.index), 1), np.float32)
        no_scale = np.ones(len(batch.index), np.float32)
        tile = preparation.tile(
            batch, disk, origins, self.sigma2, self.typical_power, no_bias, no_scale
        )
        # the preparation shifts by whole pixels; this by the rest
        rest = backend.to_device(origins / np.float32(run.geometry.pixel_size) - tile.centre)
        images = tile.images * shift_phase(rest, disk, run.geometry.box_size, xp=backend.xp)
        value = work(backend, disk, replace(tile, images=images))
        return FoldValue(batch.index, int(batch.index[0] % FOLDS), value)


@contextmanager
def posed_images(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    poses: FixedPoses,
    backend: Backend | None,
) -> Iterator[PosedImages]:
    """Open the images of a run up to its finest resolution, with a first estimate of their noise.

    Parameters
    ----------
    source : ImageSource
        The images, all of one box and pixel size, in the order of `particles`.
    particles : Particles
    settings : InitialModelSettings
        With its mask diameter set. No symmetry is imposed, and density may be negative.
    poses : FixedPoses
    backend : Backend or None
        None for the one that ``settings.device`` names.

    Yields
    ------
    PosedImages
    """
    # errors of interpolation depend on the pose, and may be larger than what poses differ by
    free = settings.with_changes(
        non_negative=False, symmetry="C1", symmetry_during_run=False, padding_factor=2
    )
    resolved = resolve_settings(free, pixel_size=source.pixel_size)
    backend = backend or choose_backend(
        settings.device, precision=settings.precision, deterministic=settings.deterministic
    )
    with (
        closing(TileExecutor(backend, available_threads(settings.threads))) as executor,
        blas_threads(1),
    ):
        run = RunContext.of(source, particles, resolved, executor)
        noise, geometry = initial_noise(run), run.geometry
        radius = finest_radius(resolved, geometry)
        yield PosedImages(run, poses, noise.sigma2, noise.typical_power, radius)
