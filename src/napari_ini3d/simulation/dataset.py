"""Files of simulated particles, with the true map and poses."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import numpy.typing as npt

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.io import atomic_path, write_error, write_tables
from napari_ini3d.particles import Particles
from napari_ini3d.simulation.particles import SimulatedParticles
from napari_ini3d.simulation.phantom import Phantom

Column = npt.NDArray[np.generic]


def write_dataset(
    folder: Path | str,
    simulated: SimulatedParticles,
    phantom: Phantom,
    resolution: float | None = None,
) -> Path:
    """Write particles.star with its stacks, truth.star (with the poses) and truth.mrc.

    Parameters
    ----------
    folder : Path or str
        Created if it does not exist.
    simulated : SimulatedParticles
    phantom : Phantom
        Phantom of the particles; its map is written in the box of the first optics group.
    resolution : float, optional
        Å, of truth.mrc. Default: Nyquist.

    Returns
    -------
    Path
        particles.star.

    Raises
    ------
    RunFolderError
        If a file cannot be written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(target, error) from error
    particles = simulated.particles
    for path, stack, optics in zip(
        particles.stack_paths, simulated.stacks, particles.optics, strict=True
    ):
        _write_mrc(target / path.name, stack, optics.pixel_size, is_stack=True)
    first = particles.optics[0]
    density = phantom.density(first.box_size, first.pixel_size, resolution)
    _write_mrc(target / "truth.mrc", density, first.pixel_size, is_stack=False)
    tables = {"optics": _optics_columns(particles), "particles": _particle_columns(particles)}
    write_tables(target / "particles.star", tables)
    tables["particles"] |= _truth_columns(simulated)
    write_tables(target / "truth.star", tables)
    return target / "particles.star"


def _write_mrc(path: Path, data: Float32, pixel_size: float, *, is_stack: bool) -> None:
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(data)
        if is_stack:
            mrc.set_image_stack()
        mrc.voxel_size = pixel_size


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
    micrographs = [f"micrograph{i // 50 + 1:05d}.mrc" for i in range(len(particles))]
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


def _truth_columns(simulated: SimulatedParticles) -> dict[str, Column]:
    truth = simulated.truth
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
