"""Alignment of the classes: their maps, and the poses of their particles, in one orientation.

Classes that begin from random maps of their own, or that drift apart, end in different
orientations, and some of them mirrored; their maps could not be laid over each other, nor their
particles be refined together.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.comparison import Registration, register_maps
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.fourier import compute_fsc
from napari_ini3d.geometry import flip_angles, rotate_poses
from napari_ini3d.particles import Assignments

_LEAST_GAIN = 0.02  # of the mean FSC; a map that agrees as well where it is stays there


def align_classes(
    run: RunContext, outcome: IterationOutcome, assignments: Assignments
) -> tuple[IterationOutcome, Assignments]:
    """Align every class to that with the most images; return outcome and poses.

    Nothing in the images says which hand a map has, so that a class of the other hand is mirrored.
    The running sums are dropped where a map has moved: they would have to be interpolated, and the
    first iteration of the next phase replaces them.

    Parameters
    ----------
    run : RunContext
    outcome : IterationOutcome
        Of the last iteration of the search.
    assignments : Assignments
        After it.
    """
    model, threads = outcome.update.model, run.settings.threads
    largest, radius = int(outcome.sums.class_weight.argmax()), outcome.plan.radius
    reference = model.maps[largest]
    maps, alignments = model.maps.copy(), {}
    for k, volume in enumerate(model.maps):
        if k != largest and (found := _align(reference, volume, radius, threads=threads)):
            alignments[k], maps[k] = found
    if not alignments:
        return outcome, assignments
    update = replace(outcome.update, model=replace(model.without_sums(), maps=maps))
    poses = aligned_poses(assignments, alignments, run.geometry.pixel_size)
    return replace(outcome, update=update), poses


def aligned_poses(
    assignments: Assignments, alignments: dict[int, Registration], pixel_size: float
) -> Assignments:
    """Return the poses in which the particles show the aligned maps.

    Parameters
    ----------
    assignments : Assignments
    alignments : dict of int to Registration
        Of the classes that have moved, in voxels.
    pixel_size : float
        Å.
    """
    angles = np.stack([assignments.rot, assignments.tilt, assignments.psi], -1).astype(np.float64)
    origins = np.stack([assignments.origin_x, assignments.origin_y], -1).astype(np.float64)
    for k, alignment in alignments.items():
        mine = assignments.class_index == k
        seen = flip_angles(angles[mine]) if alignment.mirrored else angles[mine]
        transform = alignment.transform.in_angstrom(pixel_size)
        angles[mine], origins[mine] = rotate_poses(seen, origins[mine], transform)
    columns = np.concatenate([angles, origins], 1).astype(np.float32).T  # (5, N)
    names = ("rot", "tilt", "psi", "origin_x", "origin_y")
    return replace(assignments, **dict(zip(names, columns, strict=True)))


def _align(
    reference: Float32, volume: Float32, radius: int, *, threads: int
) -> tuple[Registration, Float32] | None:
    """Return the alignment of a map to a reference, and the map; None if it gains nothing."""
    if not volume.any() or not reference.any():  # a class without images
        return None
    found = register_maps(reference, volume, threads=threads)
    shells = slice(1, radius + 1)
    before = compute_fsc(reference, volume)[shells].mean()
    aligned = found.apply(volume, threads=threads)
    after = compute_fsc(reference, aligned)[shells].mean()
    return (found, aligned) if after > before + _LEAST_GAIN else None
