"""Files of simulated particles, with the true map and poses."""

from __future__ import annotations

from pathlib import Path

import mrcfile

from napari_ini3d._types import Float32
from napari_ini3d.io import atomic_path, write_error, write_simulated_particles
from napari_ini3d.simulation.particles import SimulatedParticles
from napari_ini3d.simulation.phantom import Phantom


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
    write_simulated_particles(target / "particles.star", particles)
    write_simulated_particles(target / "truth.star", particles, simulated.truth)
    return target / "particles.star"


def _write_mrc(path: Path, data: Float32, pixel_size: float, *, is_stack: bool) -> None:
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(data)
        if is_stack:
            mrc.set_image_stack()
        mrc.voxel_size = pixel_size
