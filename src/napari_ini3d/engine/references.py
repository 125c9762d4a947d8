"""Build the frame of an iteration: grids, slices and phases from a plan and a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.memory import chunk_rows
from napari_ini3d.engine.schedule import ImageGeometry, Plan
from napari_ini3d.engine.tiles import Frame, Pruning
from napari_ini3d.fourier import FrequencyDisk, frequency_disk
from napari_ini3d.geometry import RotationGrid, rotation_grid, shift_grid
from napari_ini3d.kernels import Backend

logger = logging.getLogger(__name__)

_SLICE_BLOCK = 256
RunJobs = Callable[[Callable[[Any], None], Iterable[Any]], Any]
"""Calls a function on each of some jobs, like `map`, and returns when all are done."""


def build_frame(
    cubes: Complex64,
    plan: Plan,
    turn: Float64,
    *,
    geometry: ImageGeometry,
    padding: int,
    sigma_offset: float,
    offset_limit: float,
    class_shares: Float64,
    backend: Backend,
    run_jobs: RunJobs,
    table_bytes: float,
) -> Frame:
    """Return the frame of an iteration, on the backend's device.

    Parameters
    ----------
    cubes : (K, cube) complex64
        The references, at the plan's radius, on the host.
    plan : Plan
    turn : (3, 3) float64
        By which the rotation grids are turned as a whole.
    geometry : ImageGeometry
    padding : int
    sigma_offset, offset_limit : float
        Å.
    class_shares : (K,)
    backend : Backend
    run_jobs : callable
        Shares the slices out over the threads of a CPU.
    table_bytes : float
        Most that a table of all fine slices may take; with more they are made as needed.
    """
    box_size, pixel_size = geometry.box_size, geometry.pixel_size
    host_disk, to_device = frequency_disk(box_size, plan.radius), backend.to_device
    n_coarse = host_disk.size_within(plan.coarse_radius)
    disk, cubes = host_disk.on(to_device), to_device(cubes)
    grid = _grid_on(plan.order, turn, backend)
    fine = _grid_on(plan.order + 1, turn, backend) if plan.two_pass else None
    slicer = _Slicer(disk, padding, backend, run_jobs)
    slices = slicer.slices(cubes, grid, n_coarse)
    shifts = shift_grid(plan.offset_range / pixel_size, plan.offset_step / pixel_size)
    fine_step = plan.finest_offset_step / pixel_size
    fine_shifts = shift_grid(2 * fine_step, fine_step)
    return Frame(
        disk=disk,
        n_coarse=n_coarse,
        padding=padding,
        grid=grid,
        fine_grid=fine,
        cubes=cubes,
        slices=slices,
        slice_power=slices.real**2 + slices.imag**2,
        fine_slices=_table(slicer, cubes, fine, table_bytes, backend) if fine else None,
        shifts=to_device(shifts),
        fine_shifts=to_device(fine_shifts),
        shift_phase=to_device(shift_phase(shifts, host_disk, box_size)),
        fine_phase=to_device(shift_phase(fine_shifts, host_disk, box_size)),
        log_class_share=to_device(np.log(class_shares).astype(np.float32)),
        sigma_offset=sigma_offset / pixel_size,
        offset_limit=offset_limit / pixel_size,
        pruning=Pruning(),
        backend=backend,
        chunk_rows=chunk_rows(backend.device.free_bytes(), len(disk), is_gpu=backend.is_gpu),
    )


def _grid_on(order: int, turn: Float64, backend: Backend) -> RotationGrid:
    grid = rotation_grid(order).turned(turn)
    return RotationGrid(order, backend.to_device(grid.matrices))


def _table(
    slicer: _Slicer, cubes: Complex64, fine: RotationGrid, table_bytes: float, backend: Backend
) -> Complex64 | None:
    """Return all fine slices, or None where they take too much memory."""
    n_components = len(slicer.kx)
    if len(cubes) * len(fine.matrices) * n_components * 8 > table_bytes:
        return None
    try:
        with backend.device.enter():  # where want of memory becomes a MemoryError
            return slicer.slices(cubes, fine, n_components)
    except MemoryError as error:
        logger.warning("no table of fine slices: %s; they are made as they are needed", error)
        return None


def shift_phase(shifts: Float32, disk: FrequencyDisk, box_size: int) -> Complex64:
    """Return exp(-2πi k·t / n), (S, P): what moves an image by each shift (pixels)."""
    turns = (shifts[:, :1] * disk.kx + shifts[:, 1:] * disk.ky) / box_size
    phase: Complex64 = np.exp(-2j * np.pi * turns).astype(np.complex64)
    return phase


class _Slicer:
    """Takes central sections of all references on all rotations of a grid."""

    def __init__(
        self, disk: FrequencyDisk, padding: int, backend: Backend, run_jobs: RunJobs
    ) -> None:
        self.kx = disk.kx * np.float32(padding)
        self.ky = disk.ky * np.float32(padding)
        self._backend = backend
        self._run_jobs = run_jobs

    def slices(self, cubes: Complex64, grid: RotationGrid, n_components: int) -> Complex64:
        """Return (K·R, n_components) complex64."""
        n_rotations, backend = len(grid.matrices), self._backend
        out: Complex64 = backend.xp.empty((len(cubes), n_rotations, n_components), np.complex64)
        kx, ky = self.kx[:n_components], self.ky[:n_components]
        # the threads of a CPU share the rotations; a card takes them all at once
        step = n_rotations if backend.is_gpu else _SLICE_BLOCK

        def block(job: tuple[int, int]) -> None:
            k, low = job
            rows = slice(low, low + step)
            backend.kernels.project(cubes[k], grid.matrices[rows], kx, ky, out[k, rows])

        jobs = [(k, low) for k in range(len(cubes)) for low in range(0, n_rotations, step)]
        self._run_jobs(block, jobs)
        return out.reshape(-1, n_components)
