"""Particle STAR files of simulated images, with or without their true poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.io.star.columns import Column, Columns
from napari_ini3d.io.star.format import write_tables
from napari_ini3d.io.star.particles import SIGNAL_SCALE
from napari_ini3d.particles import Assignments, Particles

_PER_MICROGRAPH = 50
_FAULT_COLUMNS = {
    "junk_kind": "ini3dJunkKind",
    "state": "ini3dState",
    "scale": SIGNAL_SCALE,
    "defocus_error": "ini3dDefocusError",
}


def write_simulated_particles(
    path: Path | str,
    particles: Particles,
    truth: Assignments | None = None,
    *,
    faults: Columns | None = None,
) -> None:
    """Write particles to a STAR file in the layout of RELION 3.1 and later.

    Parameters
    ----------
    path : Path or str
    particles : Particles
        Their stacks are expected in the folder of the file.
    truth : Assignments, optional
        True poses, one per particle: angles, origins and class are written too.
    faults : mapping of str to (N,) array, optional
        Any of "junk_kind", "state", "scale" and "defocus_error", written to the columns
        ini3dJunkKind, ini3dState, ini3dSignalScale and ini3dDefocusError.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    columns = _particle_columns(particles)
    if truth is not None:
        columns |= _truth_columns(truth)
    for name, values in (faults or {}).items():
        columns[_FAULT_COLUMNS[name]] = _decimals(values, 6) if values.dtype.kind == "f" else values
    write_tables(path, {"optics": _optics_columns(particles), "particles": columns})


def _optics_columns(particles: Particles) -> dict[str, Column]:
    groups = particles.optics
    names = np.array([group.name for group in groups], dtype=object)
    return {
        "rlnOpticsGroup": np.array([group.number for group in groups]),
        "rlnOpticsGroupName": names,
        "rlnVoltage": np.array([group.voltage for group in groups]),
        "rlnSphericalAberration": np.array([group.spherical_aberration for group in groups]),
        "rlnAmplitudeContrast": np.array([group.amplitude_contrast for group in groups]),
        "rlnImagePixelSize": np.array([group.pixel_size for group in groups]),
        "rlnImageSize": np.array([group.box_size for group in groups]),
        "rlnImageDimensionality": np.full(len(groups), 2),
        "rlnCtfDataAreCtfPremultiplied": np.zeros(len(groups), dtype=np.int64),
    }


def _particle_columns(particles: Particles) -> dict[str, Column]:
    stacks = [path.name for path in particles.stack_paths]
    images = zip(particles.image_index, particles.stack_index, strict=True)
    numbers = np.array([group.number for group in particles.optics])
    micrographs = [f"micrograph{i // _PER_MICROGRAPH + 1:05d}.mrc" for i in range(len(particles))]
    columns: dict[str, Column] = {
        "rlnImageName": np.array([f"{i + 1:06d}@{stacks[s]}" for i, s in images], dtype=object),
        "rlnMicrographName": np.array(micrographs, dtype=object),
        "rlnOpticsGroup": numbers[particles.optics_index],
        "rlnDefocusU": _decimals(particles.defocus_u, 2),
        "rlnDefocusV": _decimals(particles.defocus_v, 2),
        "rlnDefocusAngle": _decimals(particles.defocus_angle, 2),
    }
    if particles.phase_shift.any():
        columns["rlnPhaseShift"] = _decimals(particles.phase_shift, 2)
    return columns


def _truth_columns(truth: Assignments) -> dict[str, Column]:
    return {
        "rlnAngleRot": _decimals(truth.rot, 4),
        "rlnAngleTilt": _decimals(truth.tilt, 4),
        "rlnAnglePsi": _decimals(truth.psi, 4),
        "rlnOriginXAngst": _decimals(truth.origin_x, 4),
        "rlnOriginYAngst": _decimals(truth.origin_y, 4),
        "rlnClassNumber": (truth.class_index + 1).astype(np.int64),
    }


def _decimals(values: FloatArray, decimals: int) -> Float64:
    return np.asarray(np.round(values.astype(np.float64), decimals), dtype=np.float64)
