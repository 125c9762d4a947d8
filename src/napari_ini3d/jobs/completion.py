"""Completion of a run whose iterations are done: its result, and what is missing from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_ini3d.engine import ClosingStep, EngineState, ignore_step
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import read_map, write_map
from napari_ini3d.jobs.preparation import Job
from napari_ini3d.preflight import particle_grid
from napari_ini3d.runs import (
    RunFolder,
    SymmetryFiles,
    ValidationFiles,
    describe_result,
    read_summaries,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """The last iteration of a run, as far as its result depends on it.

    Attributes
    ----------
    iteration : int
    best : int
        The largest class, from 0.
    box_size : int
        Of its map.
    """

    iteration: int
    best: int
    box_size: int

    @classmethod
    def of(cls, folder: RunFolder, state: EngineState) -> Ending:
        """Return the ending of a run; from its state, if the line of progress is lost."""
        for summary in read_summaries(folder):
            if summary.iteration == state.iteration:
                best = int(np.argmax(summary.class_shares))
                return cls(state.iteration, best, summary.box_size)
        model = state.models[0]
        best = int(np.argmax(model.class_shares))
        return cls(state.iteration, best, model.maps.shape[-1])


def find_missing(
    folder: RunFolder, settings: InitialModelSettings, *, validated: bool
) -> list[str]:
    """Return what a run whose iterations are done still lacks; empty if it is complete.

    Parameters
    ----------
    folder : RunFolder
    settings : InitialModelSettings
    validated : bool
        Whether the run is to be validated.
    """
    missing = []
    if not folder.map_path.is_file():
        missing.append("the result")
    if validated and needs_validation(folder):
        missing.append("the validation")
    if settings.symmetry_follows and SymmetryFiles(folder).read_facts() is None:
        missing.append("the symmetry")
    if not folder.report_path.is_file():
        missing.append("the report")
    return missing


def needs_validation(folder: RunFolder) -> bool:
    """Return whether a run that is to be validated lacks its verdict."""
    return ValidationFiles(folder).read_facts() is None


def write_ending(
    job: Job, ending: Ending, on_step: Callable[[ClosingStep], None] = ignore_step
) -> None:
    """Write the result of a run in the box of its particles, and analyse its symmetry."""
    _write_result(job, ending)
    if not needs_validation(job.folder):  # killed after the verdict, before they were deleted
        ValidationFiles(job.folder).remove_half_sets()
    if job.settings.symmetry_follows and SymmetryFiles(job.folder).read_facts() is None:
        from napari_ini3d.jobs.symmetry import apply_symmetry

        on_step(ClosingStep("symmetry"))
        logger.info("testing the symmetry of the map")
        apply_symmetry(job.folder, job.settings, ending.iteration, working_box=ending.box_size)


def _write_result(job: Job, ending: Ending) -> None:
    """Write the map of the largest class as the result."""
    folder, own = job.folder, particle_grid(job.particles)
    path = folder.class_map_path(ending.iteration, ending.best)
    found = read_map(path, allow_empty=True)
    folder.claim(folder.map_path)
    write_map(folder.map_path, resize_map(found.data, own.box_size), own.pixel_size)
    for summary in read_summaries(folder):
        if summary.iteration == ending.iteration:
            for sentence in describe_result(folder.map_path.name, summary):
                logger.info("%s", sentence)
