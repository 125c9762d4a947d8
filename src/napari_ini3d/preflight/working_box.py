"""Box and pixel size of the particles, and those to which a run downsamples them.

The resolution of an initial model is limited, so large boxes of small pixels are oversampled.
Fourier-cropped images contain all frequencies that the run can use, in fewer pixels, and the map
has far fewer voxels. The field of view does not change, so shells, CTF and shifts in Å stay the
same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft

from napari_ini3d.engine import ImageGeometry, finest_resolution
from napari_ini3d.errors import StackError
from napari_ini3d.fourier import MIN_BOX_SIZE
from napari_ini3d.io import common_grid
from napari_ini3d.particles import Particles
from napari_ini3d.settings import InitialModelSettings

_SAMPLES_PER_SHELL = 2.5  # pixels per finest detail: Nyquist at 0.8 of the finest resolution
_MAX_VOXEL_FRACTION = 0.5  # of a downsampled map; with more, particles are not downsampled


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """Box size and pixel size.

    Attributes
    ----------
    box_size : int
        Pixels per side.
    pixel_size : float
        Å.
    """

    box_size: int
    pixel_size: float

    @property
    def width(self) -> float:
        """Field of view, Å."""
        return self.box_size * self.pixel_size

    def __str__(self) -> str:
        return f"{self.box_size} pixels of {self.pixel_size:.4g} Å"


def particle_grid(particles: Particles) -> PixelGrid:
    """Return the grid of particles: that of their optics groups if they agree.

    Otherwise it has the coarsest pixel size, and a box that covers the largest field of view.

    Raises
    ------
    StackError
        If there are no particles.
    """
    used = [particles.optics[i] for i in np.unique(particles.optics_index)]
    if not used:
        raise StackError("no particles were given; expected at least one")
    return PixelGrid(*common_grid([(group.box_size, group.pixel_size) for group in used]))


def check_box(path: Path, particles: Particles) -> None:
    """Refuse particles in a box that is smaller than maps may be.

    Parameters
    ----------
    path : Path
        Their file, for messages.
    particles : Particles

    Raises
    ------
    StackError
        If the box is smaller.
    """
    own = particle_grid(particles)
    if own.box_size < MIN_BOX_SIZE:
        raise StackError(
            f"{path}: a box of {own}; expected at least {MIN_BOX_SIZE} pixels; extract the "
            "particles again in a larger box, or with smaller pixels"
        )


def choose_working_grid(own: PixelGrid, settings: InitialModelSettings) -> PixelGrid:
    """Return the grid on which a run processes particles, coarser than their own if that pays.

    It samples the highest resolution of the run with 2.5 pixels (the same distance from Nyquist
    that the schedule keeps), over the same field of view. If the map would keep more than half of
    its voxels, the particles are not downsampled. Its box is never smaller than maps may be.

    Parameters
    ----------
    own : PixelGrid
        Grid of the particles.
    settings : InitialModelSettings
        Without a mask diameter, the grid is at least as fine as with any.
    """
    radius = _finest_radius(own, settings)
    half = max(int(np.ceil(_SAMPLES_PER_SHELL * radius / 2)), MIN_BOX_SIZE // 2)
    while True:
        half = scipy.fft.next_fast_len(half)
        found = PixelGrid(2 * half, own.width / (2 * half))
        if found.box_size**3 > _MAX_VOXEL_FRACTION * own.box_size**3:
            return own
        if _finest_radius(found, settings) == radius:
            return found
        half += 1


def _finest_radius(grid: PixelGrid, settings: InitialModelSettings) -> int:
    """Return the largest Fourier radius of the run on a grid."""
    diameter = settings.mask_diameter or 0.0
    finest = finest_resolution(settings, pixel_size=grid.pixel_size, mask_diameter=diameter)
    return ImageGeometry(grid.box_size, grid.pixel_size, diameter, 1).radius_of(finest)
