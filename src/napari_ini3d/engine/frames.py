"""Build the frame of an iteration: grids, slices and phases from a plan and a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from napari_ini3d.engine.schedule import Geometry, Plan
from napari_ini3d.engine.tiles import Frame, Pruning
from napari_ini3d.fourier.transforms import Complex64, Float32, FrequencyDisk, frequency_disk
from napari_ini3d.geometry.sampling import RotationGrid, rotation_grid, shift_grid
from napari_ini3d.kernels.backend import Backend

_TABLE_BYTES = 600e6  # most that a table of all fine slices may take
_SLICE_BLOCK = 256


def build_frame(
    cubes: Complex64,
    plan: Plan,
    turn: npt.NDArray[np.float64],
    *,
    geometry: Geometry,
    padding: int,
    sigma_offset: float,
    offset_limit: float,
    class_shares: npt.NDArray[np.float64],
    backend: Backend,
    pool: ThreadPoolExecutor,
) -> Frame:
    """Return the frame of an iteration.

    Parameters
    ----------
    cubes : (K, cube) complex64
        The references, at the plan's radius.
    plan : Plan
    turn : (3, 3) float64
        By which the rotation grids are turned as a whole.
    geometry : Geometry
    padding : int
    sigma_offset, offset_limit : float
        Å.
    class_shares : (K,)
    backend, pool
        The slices are shared out over the pool's threads.
    """
    box_size, pixel_size = geometry.box_size, geometry.pixel_size
    disk = frequency_disk(box_size, plan.radius)
    n_coarse = disk.size_within(plan.coarse_radius)
    grid = rotation_grid(plan.order).turned(turn)
    fine = rotation_grid(plan.order + 1).turned(turn) if plan.two_pass else None
    slicer = _Slicer(disk, padding, backend, pool)
    slices = slicer.slices(cubes, grid, n_coarse)
    shifts = shift_grid(plan.offset_range / pixel_size, plan.offset_step / pixel_size)
    fine_step = plan.finest_offset_step / pixel_size
    fine_shifts = shift_grid(2 * fine_step, fine_step)
    table = None
    if fine is not None and len(cubes) * len(fine.matrices) * len(disk) * 8 <= _TABLE_BYTES:
        table = slicer.slices(cubes, fine, len(disk))
    return Frame(
        disk=disk,
        n_coarse=n_coarse,
        padding=padding,
        grid=grid,
        fine_grid=fine,
        cubes=cubes,
        slices=slices,
        slice_power=slices.real**2 + slices.imag**2,
        fine_slices=table,
        shifts=shifts,
        fine_shifts=fine_shifts,
        shift_phase=shift_phase(shifts, disk, box_size),
        fine_phase=shift_phase(fine_shifts, disk, box_size),
        log_class_share=np.log(class_shares).astype(np.float32),
        sigma_offset=sigma_offset / pixel_size,
        offset_limit=offset_limit / pixel_size,
        pruning=Pruning(),
        backend=backend,
    )


def shift_phase(shifts: Float32, disk: FrequencyDisk, box_size: int) -> Complex64:
    """Return exp(-2πi k·t / n), (S, P): what moves an image by each shift (pixels)."""
    turns = (shifts[:, :1] * disk.kx + shifts[:, 1:] * disk.ky) / box_size
    phase: Complex64 = np.exp(-2j * np.pi * turns).astype(np.complex64)
    return phase


class _Slicer:
    """Takes central sections of all references on all rotations of a grid."""

    def __init__(
        self, disk: FrequencyDisk, padding: int, backend: Backend, pool: ThreadPoolExecutor
    ) -> None:
        self._kx = disk.kx * np.float32(padding)
        self._ky = disk.ky * np.float32(padding)
        self._backend = backend
        self._pool = pool

    def slices(self, cubes: Complex64, grid: RotationGrid, n_components: int) -> Complex64:
        """Return (K·R, n_components) complex64."""
        n_rotations = len(grid.matrices)
        out = np.empty((len(cubes), n_rotations, n_components), np.complex64)
        kx, ky = self._kx[:n_components], self._ky[:n_components]

        def block(job: tuple[int, int]) -> None:
            k, low = job
            rows = slice(low, low + _SLICE_BLOCK)
            self._backend.project(cubes[k], grid.matrices[rows], kx, ky, out[k, rows])

        jobs = [(k, low) for k in range(len(cubes)) for low in range(0, n_rotations, _SLICE_BLOCK)]
        list(self._pool.map(block, jobs))
        return out.reshape(-1, n_components)
