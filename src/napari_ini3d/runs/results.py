"""Results of an iteration in RELION's formats: maps, particles and model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.fourier import radial_average
from napari_ini3d.io import (
    ModelTables,
    ParticleTable,
    replace_class_fsc,
    write_data_star,
    write_map,
    write_model_star,
)
from napari_ini3d.particles import Particles
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.settings import InitialModelSettings

if TYPE_CHECKING:
    from napari_ini3d.comparison import HalfMapFSC
    from napari_ini3d.engine import IterationReport

_LEAST_SSNR = 1e-6
_FSC_RANGE = 0.001, 0.999


def write_results(
    folder: RunFolder,
    report: IterationReport,
    particles: Particles,
    table: ParticleTable,
    settings: InitialModelSettings,
) -> None:
    """Write `run_itNNN_classMMM.mrc`, `_data.star` and `_model.star`.

    Parameters
    ----------
    folder : RunFolder
    report : IterationReport
    particles : Particles
        Particles of the run, in the engine's order.
    table : ParticleTable
        Table from which they were read.
    settings : InitialModelSettings
        Settings of the run.

    Raises
    ------
    RunFolderError
        If a file cannot be written.
    """
    iteration = report.iteration
    maps = [folder.class_map_path(iteration, k) for k in range(len(report.volumes))]
    tables = (folder.iteration_path(iteration, name) for name in ("data.star", "model.star"))
    folder.claim(*maps, *tables)
    for k, volume in enumerate(report.volumes):
        write_map(maps[k], volume, report.voxel_size)
    write_data_star(
        folder.iteration_path(iteration, "data.star"),
        table,
        particles,
        report.assignments,
        class_count=len(report.volumes),
    )
    model = model_tables(folder, report, particles, settings)
    write_model_star(folder.iteration_path(iteration, "model.star"), model)


def write_validated_model(
    folder: RunFolder, iteration: int, class_index: int, fsc: HalfMapFSC
) -> None:
    """Put the FSC of independent half-sets into `_model.star`, for the largest class.

    Parameters
    ----------
    folder : RunFolder
    iteration : int
        The last one, which was written.
    class_index : int
        From 0.
    fsc : HalfMapFSC
        Its resolution at 0.143 is written.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    StarError
        If the file is not that of the run.
    """
    clipped = np.clip(fsc.corrected, *_FSC_RANGE)
    replace_class_fsc(
        folder.iteration_path(iteration, "model.star"),
        class_index,
        resolution=fsc.resolution_0143,
        fsc=fsc.corrected,
        ssnr=2 * clipped / (1 - clipped),
    )


def model_tables(
    folder: RunFolder,
    report: IterationReport,
    particles: Particles,
    settings: InitialModelSettings,
) -> ModelTables:
    """Return the contents of the model file of an iteration.

    `tau2` is the power spectrum of each map, and `sigma2`, the noise of the map, is that divided
    by the SSNR.
    """
    power = np.stack([_power_spectrum(volume) for volume in report.volumes])
    maps = [folder.class_map_path(report.iteration, k) for k in range(len(power))]
    return ModelTables(
        map_names=[str(path) for path in maps],
        box_size=report.volumes.shape[-1],
        voxel_size=report.voxel_size,
        current_size=report.current_size,
        padding_factor=settings.padding_factor,
        tau2_fudge=settings.tau2_fudge,
        sigma_offset=report.sigma_offset,
        log_likelihood=float(np.sum(report.assignments.log_likelihood, dtype=np.float64)),
        mean_max_probability=report.mean_max_probability,
        class_shares=report.class_shares,
        resolution=report.resolution,
        ssnr=report.ssnr,
        fsc=report.fsc,
        tau2=power,
        sigma2=power / np.maximum(report.ssnr, _LEAST_SSNR),
        sigma2_noise=report.sigma2_noise,
        group_names=[group.name for group in particles.optics],
        group_counts=np.bincount(particles.optics_index, minlength=len(particles.optics)),
    )


def _power_spectrum(volume: FloatArray) -> FloatArray:
    """Return the mean power per shell of a map, its transform divided by the voxel count."""
    volume_ft = np.fft.rfftn(volume) / volume.size
    return radial_average(np.abs(volume_ft) ** 2)
