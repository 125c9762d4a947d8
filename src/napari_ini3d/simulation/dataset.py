"""Files of simulated particles, with the true map and poses."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.io import atomic_path, write_error, write_simulated_particles
from napari_ini3d.simulation.molecule import Molecule
from napari_ini3d.simulation.particles import SimulatedParticles


def write_dataset(
    folder: Path | str,
    simulated: SimulatedParticles,
    phantom: Molecule,
    resolution: float | None = None,
    other: Molecule | None = None,
) -> Path:
    """Write particles.star with its stacks, truth.star (with the poses) and truth.mrc.

    truth.star also has the kind of junk, the state, the factor of the signal and the relative error
    of the defocus of each image.

    Parameters
    ----------
    folder : Path or str
        Created if it does not exist.
    simulated : SimulatedParticles
    phantom : Phantom or MapMolecule
        Molecule of the particles; its map is written in the box of the first optics group.
    resolution : float, optional
        Å, of truth.mrc. Default: Nyquist.
    other : Phantom or MapMolecule, optional
        The molecule in its second state; its map is written as truth_state2.mrc.

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
    for name, molecule in (("truth.mrc", phantom), ("truth_state2.mrc", other)):
        if molecule is not None:
            density = molecule.density(first.box_size, first.pixel_size, resolution)
            _write_mrc(target / name, density, first.pixel_size, is_stack=False)
    write_simulated_particles(target / "particles.star", particles)
    faults = simulated.faults
    write_simulated_particles(
        target / "truth.star",
        particles,
        simulated.truth,
        faults={
            "junk_kind": np.array(faults.junk_name, dtype=object),
            "state": faults.state + 1,
            "scale": faults.scale,
            "defocus_error": faults.defocus_error,
        },
    )
    return target / "particles.star"


def _write_mrc(path: Path, data: Float32, pixel_size: float, *, is_stack: bool) -> None:
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(data)
        if is_stack:
            mrc.set_image_stack()
        mrc.voxel_size = pixel_size
