"""Validation after a run: independent half-sets, their FSC, and the verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_ini3d.comparison import HalfMapFSC, half_map_fsc
from napari_ini3d.engine import (
    ChunkExecutor,
    ClosingStep,
    EngineState,
    HalfSetMaps,
    Verdict,
    can_repeat_search,
    fourier_coverage,
    ignore_step,
    judge_run,
    refine_half_sets,
    repeat_search,
)
from napari_ini3d.errors import StarError
from napari_ini3d.fourier import resize_map, solvent_mask
from napari_ini3d.io import write_map
from napari_ini3d.jobs.validation_steps import write_steps
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.preflight import particle_grid
from napari_ini3d.runs import (
    RunFolder,
    ValidationFiles,
    describe_verdict,
    write_validated_model,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_LEAST_PARTICLES = 4  # two in each half-set, which has halves of its own


def wants_validation(settings: InitialModelSettings, particles: Particles) -> bool:
    """Return whether a run is validated: if it was asked for and there are enough particles."""
    return settings.independent_half_sets and len(particles) >= _LEAST_PARTICLES


def validate_run(
    folder: RunFolder,
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    *,
    stop: Callable[[], bool],
    chunks: ChunkExecutor | None = None,
    on_step: Callable[[ClosingStep], None] = ignore_step,
) -> bool:
    """Refine two half-sets of a finished run, repeat its search, and write the verdict on it.

    The half-maps are written in the box of the particles. The FSC replaces that of the largest
    class in the model file of the last iteration.

    Parameters
    ----------
    folder : RunFolder
    source : ImageSource
        The images, in the working box.
    particles : Particles
    settings : InitialModelSettings
    stop : callable
        When it returns True, only the refined half-sets may have been written, for a run that is
        resumed.
    chunks : ChunkExecutor, optional
        That of the run.
    on_step : callable
        Called when a stage begins, and after each of its iterations.

    Returns
    -------
    bool
        False if it was stopped.
    """
    files, grid = ValidationFiles(folder), particle_grid(particles)
    on_step = write_steps(folder, settings, on_step)
    iteration, arrays = folder.read_checkpoint(None)
    state = EngineState.from_arrays(arrays)
    found = _half_sets(files, source, particles, settings, state, stop, chunks, on_step)
    if found is None:
        logger.info("stopped; the map was not validated")
        return False
    best = int(np.argmax(state.models[0].class_shares))
    agreement = None
    if can_repeat_search(settings):
        logger.info("repeating the search from other random maps")
        volume = state.models[0].maps[best]
        agreement = repeat_search(
            source,
            particles,
            settings,
            volume,
            stop=stop,
            group=state.models[0].point_group,
            chunks=chunks,
            on_step=on_step,
        )
        if agreement is None:
            logger.info("stopped; the map was not validated")
            return False
        logger.info("the map of the repeated search agrees with a mean FSC of %.2f", agreement)
    fsc = _fsc(found, best, state, settings, source.pixel_size)
    folder.claim(*files.paths())
    for path, half_map in zip(files.half_map_paths, found.maps[:, best], strict=True):
        write_map(path, resize_map(half_map, grid.box_size), grid.pixel_size)
    verdict = _judge(fsc, state, best, settings, agreement)
    facts = _facts(fsc, verdict, agreement)
    try:
        write_validated_model(folder, iteration, best, fsc)
    except StarError as error:
        logger.warning(
            "the FSC of the half-sets is not in the model file (%s); see validation.json", error
        )
    files.write_facts(facts)  # they say that the validation is complete
    files.remove_half_sets()
    logger.info("%s", describe_verdict(facts))
    return True


def _half_sets(
    files: ValidationFiles,
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    state: EngineState,
    stop: Callable[[], bool],
    chunks: ChunkExecutor | None,
    on_step: Callable[[ClosingStep], None],
) -> HalfSetMaps | None:
    """Return the refined half-sets: stored ones of a run that is resumed, or new ones."""
    volumes = state.models[0].maps
    if (stored := files.read_half_sets(volumes)) is not None:
        logger.info("the half-sets are refined already")
        return stored
    files.clear()
    logger.info("refining two independent half-sets")
    found = refine_half_sets(
        source, particles, settings, state, stop=stop, chunks=chunks, on_step=on_step
    )
    if found is not None:
        files.write_half_sets(found, volumes)
    return found


def _fsc(
    found: HalfSetMaps,
    best: int,
    state: EngineState,
    settings: InitialModelSettings,
    voxel_size: float,
) -> HalfMapFSC:
    """Return the FSC of the half-maps within a mask that is grown from the map of the run."""
    mask = solvent_mask(state.models[0].maps[best], voxel_size, diameter=settings.mask_diameter)
    first, second = found.maps[:, best]
    return half_map_fsc(first, second, voxel_size, mask, seed=settings.seed).cut_at(found.radius)


def _judge(
    fsc: HalfMapFSC,
    state: EngineState,
    best: int,
    settings: InitialModelSettings,
    repeat_agreement: float | None,
) -> Verdict:
    radius = max(2, int(fsc.box_size * fsc.voxel_size / max(fsc.resolution_half, 1e-3)))
    denominator = state.models[0].denominator[best].sum(0)  # (cube)
    visited = state.assignments.class_index >= 0
    return judge_run(
        resolution=fsc.resolution_half,
        finest=fsc.resolution_0143,
        start_resolution=fsc.box_size * fsc.voxel_size / state.start_radius,
        junk=float(state.assignments.junk_probability[visited].mean()),
        start_agreement=state.start_agreement,
        repeat_agreement=repeat_agreement,
        coverage=fourier_coverage(denominator, radius, settings.padding_factor),
    )


def _facts(fsc: HalfMapFSC, verdict: Verdict, repeat_agreement: float | None) -> dict[str, Any]:
    curves = {
        name: np.round(getattr(fsc, name), 4).tolist()
        for name in ("unmasked", "masked", "randomised", "corrected")
    }
    return {
        "verdict": verdict.level,
        "reasons": list(verdict.reasons),
        "resolution_0143": round(fsc.resolution_0143, 2),
        "resolution_05": round(fsc.resolution_half, 2),
        "box_size": fsc.box_size,
        "voxel_size": fsc.voxel_size,
        "repeat_agreement": repeat_agreement and round(repeat_agreement, 4),
        "fsc": curves,
    }
