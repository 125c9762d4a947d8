"""References of an iteration: slices of every model on one grid of rotations.

All images of an iteration share the grid, which is rotated at random as a whole, so that the
comparison is a matrix product of all images and all slices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import excess_limits, independent_components
from napari_ini3d.engine.memory import chunk_rows, table_bytes
from napari_ini3d.engine.reference_set import (
    FineReferences,
    NullModel,
    PoseGrid,
    Pruning,
    ReferenceSet,
)
from napari_ini3d.engine.resolved_settings import ResolvedSettings
from napari_ini3d.engine.schedule import OFFSET_RANGES, Plan
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.fourier import FrequencyDisk, frequency_disk
from napari_ini3d.geometry import RotationGrid, grids_of_unit, random_rotation, shift_grid
from napari_ini3d.kernels import Backend

logger = logging.getLogger(__name__)

_SLICE_BLOCK = 256
RunJobs = Callable[[Callable[[Any], None], Iterable[Any]], Any]
"""Calls a function on each of some jobs, like `map`, and returns when all are done."""


def prepare_references(run: RunContext, state: EngineState, plan: Plan) -> list[list[ReferenceSet]]:
    """Return the references of an iteration, for each device and each model.

    Parameters
    ----------
    run : RunContext
    state : EngineState
    plan : Plan
    """
    rng = np.random.default_rng([run.settings.seed, random_streams.ROTATION, state.iteration])
    turn = random_rotation(rng)  # the same for every start

    def grids(model: ModelState) -> tuple[RotationGrid, RotationGrid]:
        # slices of a map with a point group repeat themselves outside its asymmetric unit
        return grids_of_unit(plan.order, turn, run.imposed_group(model, plan.phase))

    def to_cubes(model: ModelState) -> Complex64:
        cubes = [run.constraints.to_cube(volume, plan.radius) for volume in model.maps]
        return np.stack(cubes)  # (K, cube)

    cubes_of_models = run.executor.map_on_cpu(to_cubes, state.models)
    prepared = []
    for backend in run.executor.backend.devices:
        tables = len(cubes_of_models)
        limit = table_bytes(backend.device.free_bytes(), is_gpu=backend.is_gpu, tables=tables)
        with backend.device.enter():
            prepared.append(
                [
                    build_references(
                        run,
                        plan,
                        grids(model),
                        cubes,
                        model,
                        backend,
                        table_limit=limit,
                    )
                    for model, cubes in zip(state.models, cubes_of_models, strict=True)
                ]
            )
    return prepared


def build_references(
    run: RunContext,
    plan: Plan,
    grids: tuple[RotationGrid, RotationGrid],
    cubes: Complex64,
    model: ModelState,
    backend: Backend,
    *,
    table_limit: float,
) -> ReferenceSet:
    """Return the references of one model on one device.

    Parameters
    ----------
    run : RunContext
    plan : Plan
    grids : tuple of RotationGrid
        R rotations and their 8 R children, on the host (`grids_of_unit`).
    cubes : (K, cube) complex64
        Half cubes of the classes at the plan's radius, on the host.
    model : ModelState
    backend : Backend
    table_limit : float
        Bytes that a table of all fine slices may take; a larger one is not made, and the slices
        are computed when they are needed.
    """
    box_size, pixel_size = run.geometry.box_size, run.geometry.pixel_size
    padding, to_device = run.settings.padding_factor, backend.to_device
    n_coarse = frequency_disk(box_size, plan.radius).size_within(plan.coarse_radius)
    disk, cubes = run.preparation.on(backend).disk(box_size, plan.radius), to_device(cubes)
    grid = _on_device(grids[0], backend)
    run_jobs = _one_by_one if backend.is_gpu else run.executor.map_on_cpu
    slicer = _Slicer(disk, padding, backend, run_jobs)
    slices = slicer.slices(cubes, grid, n_coarse)  # (K·R, C)
    shifts = shift_grid(plan.offset_range / pixel_size, plan.offset_step / pixel_size)
    fine_step = plan.finest_offset_step / pixel_size
    fine_shifts = shift_grid(2 * fine_step, fine_step)  # (T, 2), about a coarse shift
    small = backend.to_device_together(
        {
            "shifts": shifts,
            "fine_shifts": fine_shifts,
            "log_class_share": np.log(model.class_shares).astype(np.float32),
            **_null_limits(run, plan.radius),
        }
    )
    fine, pose_grid = None, PoseGrid(grids[0].matrices, shifts, np.zeros((1, 2), np.float32))
    if plan.two_pass:
        fine_grid = _on_device(grids[1], backend)
        pose_grid = PoseGrid(grids[1].matrices, shifts, fine_shifts)
        fine = FineReferences(
            grid=fine_grid,
            slices=_table(slicer, cubes, fine_grid, table_limit, backend),
            shifts=small["fine_shifts"],
            step_px=fine_step,
            phase=shift_phase(small["fine_shifts"], disk, box_size, xp=backend.xp),
        )
    ball = _ball(slices, len(model.maps), disk.shell[:n_coarse], plan.coarse_radius, backend)
    return ReferenceSet(
        disk=disk,
        n_coarse=n_coarse,
        padding=padding,
        grid=grid,
        cubes=cubes,
        slices=slices,
        slice_power=slices.real**2 + slices.imag**2,  # (K·R, C)
        shifts=small["shifts"],
        shift_phase=shift_phase(small["shifts"], disk, box_size, xp=backend.xp),
        shift_step_px=plan.offset_step / pixel_size,
        null=NullModel.of(ball, small["null_count"], small["null_limit"]),
        log_class_share=small["log_class_share"],
        sigma_offset_px=float(model.sigma_offset) / pixel_size,
        offset_limit_px=offset_limit(run.settings, plan) / pixel_size,
        pruning=Pruning(),
        backend=backend,
        pose_grid=pose_grid,
        fine=fine,
        chunk_rows=chunk_rows(backend.device.free_bytes(), len(disk), is_gpu=backend.is_gpu),
    )


def offset_limit(settings: ResolvedSettings, plan: Plan) -> float:
    """Return the largest shift (Å) from the one in the STAR file.

    An iteration searches within the range about the last shift of each particle, so that an
    off-centre particle gets there in several; the prior restrains it.
    """
    return settings.offset_range * (1.0 if plan.phase == "starts" else OFFSET_RANGES)


def _one_by_one(function: Callable[[Any], None], jobs: Iterable[Any]) -> None:
    """Call a function on each job in this thread, which has entered the device."""
    for job in jobs:
        function(job)


def _on_device(grid: RotationGrid, backend: Backend) -> RotationGrid:
    return RotationGrid(grid.order, backend.to_device(grid.matrices))


def _null_limits(run: RunContext, radius: int) -> dict[str, Float64]:
    """Return count and limit of the null model, (n_shells,) each."""
    box_size = run.geometry.box_size
    diameter = run.settings.mask_diameter / run.geometry.pixel_size
    count = independent_components(box_size, diameter)
    count[radius + 1 :] = 0
    return {
        "null_count": count,
        "null_limit": excess_limits(box_size, diameter).shell.astype(np.float64),
    }


def _ball(
    slices: Complex64, n_classes: int, shell: Int32, radius: int, backend: Backend
) -> Float32:
    """Return the mean of each shell over all slices of a class, for every component, (K, C)."""
    xp = backend.xp
    mean = slices.real.reshape(n_classes, -1, slices.shape[1]).mean(1)  # (K, C)
    member = (shell == xp.arange(radius + 1)[:, None]).astype(np.float32)  # (S, C)
    of_shell = (mean @ member.T) / xp.maximum(member.sum(1), 1)  # (K, S)
    ball: Float32 = xp.ascontiguousarray(of_shell[:, shell])  # else Fortran-ordered, if K > 1
    return ball


def _table(
    slicer: _Slicer, cubes: Complex64, fine: RotationGrid, limit: float, backend: Backend
) -> Complex64 | None:
    """Return all fine slices, or None where they take too much memory."""
    n_components = len(slicer.kx)
    if len(cubes) * len(fine.matrices) * n_components * 8 > limit:  # K·Q·P of 8 bytes
        return None
    try:
        with backend.device.enter():  # lack of memory becomes a MemoryError
            return slicer.slices(cubes, fine, n_components)
    except MemoryError as error:
        logger.warning(
            "no table of fine slices (%s); they are computed when they are needed", error
        )
        return None


def shift_phase(shifts: Float32, disk: FrequencyDisk, box_size: int, *, xp: Any = np) -> Complex64:
    """Return exp(-2πi k·t / n), (S, P), which shifts an image by each t (pixels).

    Parameters
    ----------
    shifts : (S, 2) float32
    disk : FrequencyDisk
    box_size : int
    xp : module
        Whose arrays `shifts` and those of the disk are.
    """
    cycles = (shifts[:, :1] * disk.kx + shifts[:, 1:] * disk.ky) / box_size  # (S, P)
    phase: Complex64 = xp.exp(-2j * np.pi * cycles).astype(np.complex64)
    return phase


class _Slicer:
    """Computes central slices of all classes on all rotations of a grid."""

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
        # the threads of a CPU share the rotations; a GPU takes them all at once
        step = n_rotations if backend.is_gpu else _SLICE_BLOCK

        def block(job: tuple[int, int]) -> None:
            k, low = job
            rows = slice(low, low + step)
            backend.kernels.project(cubes[k], grid.matrices[rows], kx, ky, out[k, rows])

        jobs = [(k, low) for k in range(len(cubes)) for low in range(0, n_rotations, step)]
        self._run_jobs(block, jobs)
        return out.reshape(-1, n_components)  # (K·R, C)
