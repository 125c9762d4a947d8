"""Files of an iteration, written before its report is passed on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.engine import IterationReport
from napari_ini3d.errors import RunFolderError
from napari_ini3d.jobs.preparation import Job
from napari_ini3d.runs import (
    IterationSummary,
    format_line,
    make_pictures,
    write_history,
    write_newest_maps,
    write_results,
    write_start_maps,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)


def write_iteration(job: Job, report: IterationReport) -> None:
    """Write all files of an iteration; the checkpoint last, because it completes the iteration.

    Raises
    ------
    RunFolderError
        If a file cannot be written, or values of the state are not finite.
    """
    folder = job.folder
    job.lock.check()
    summary = IterationSummary.from_report(report)
    due = is_due(report, job.settings)
    arrays = report.state.to_arrays()
    _refuse_not_finite(arrays, report.iteration)
    if due:
        write_results(folder, report, job.particles, job.table, job.settings)
    folder.write_pictures(report.iteration, make_pictures(report))
    write_history(folder, report.iteration, report.volumes, report.voxel_size)
    write_start_maps(folder, report)
    write_newest_maps(folder, report.iteration, report.volumes, report.voxel_size)
    folder.append_progress(summary.to_json())
    folder.write_checkpoint(arrays, report.iteration, keep=due)
    logger.info("%s", format_line(summary))


def is_due(report: IterationReport, settings: InitialModelSettings) -> bool:
    """Return whether maps and STAR files are written at this iteration."""
    last = report.converged or report.iteration >= report.n_iterations
    return last or report.iteration % settings.write_every == 0


def _refuse_not_finite(arrays: Mapping[str, AnyArray], iteration: int) -> None:
    """Raise `RunFolderError` if the models of a state are not finite, before it is written."""
    for name, array in arrays.items():
        if name.startswith("models.") and not np.isfinite(array).all():
            raise RunFolderError(
                f"iteration {iteration} gave values of {name} that are not finite; expected finite "
                "ones; the checkpoint of the iteration before is kept: check the device and the "
                "images, then resume the run"
            )
