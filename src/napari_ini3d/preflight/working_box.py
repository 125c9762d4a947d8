"""Box and pixel size: those of the particles, and those in which a run works on them.

An initial model stops at a resolution that large boxes of small pixels exceed by far. Images whose
Fourier transform is cut to what the run can use hold the same information in fewer pixels, and
the map in far fewer voxels. The field of view stays as it is, so that shells, CTF and shifts in Å
stay as they are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from napari_ini3d.engine import ImageGeometry, finest_resolution
from napari_ini3d.errors import StackError
from napari_ini3d.io import common_grid
from napari_ini3d.particles import Particles
from napari_ini3d.settings import InitialModelSettings

_SAMPLES_PER_SHELL = 2.5  # pixels per finest detail: Nyquist at 0.8 of the finest resolution
_WORTH_IT = 0.5  # share of the voxels under which images are worked on in a smaller box


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """A box of pixels.

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
        """Å, of the field of view."""
        return self.box_size * self.pixel_size

    def __str__(self) -> str:
        return f"{self.box_size} pixels of {self.pixel_size:.4g} Å"


def particle_grid(particles: Particles) -> PixelGrid:
    """Return the grid of particles: that of their optics groups where these agree.

    Otherwise the coarsest pixel size, and the box that covers the largest field of view.

    Raises
    ------
    StackError
        If there are no particles.
    """
    used = [particles.optics[i] for i in np.unique(particles.optics_index)]
    if not used:
        raise StackError("no particles were given; expected at least one")
    return PixelGrid(*common_grid([(group.box_size, group.pixel_size) for group in used]))


def choose_working_grid(own: PixelGrid, settings: InitialModelSettings) -> PixelGrid:
    """Return the grid in which a run works: coarser than the particles' where that pays.

    It holds what the schedule of the run may use with 2.5 pixels to the finest detail (the ratio
    by which the schedule itself keeps away from Nyquist), over the same field of view. Particles
    whose map would keep more than half of its voxels stay as they are.

    Parameters
    ----------
    own : PixelGrid
        Of the particles.
    settings : InitialModelSettings
        Where the mask diameter is not known yet, the grid is at least as fine as with it.
    """
    radius = _finest_radius(own, settings)
    half = int(np.ceil(_SAMPLES_PER_SHELL * radius / 2))
    while True:
        half = scipy.fft.next_fast_len(half)
        found = PixelGrid(2 * half, own.width / (2 * half))
        if found.box_size**3 > _WORTH_IT * own.box_size**3:
            return own
        if _finest_radius(found, settings) == radius:
            return found
        half += 1


def _finest_radius(grid: PixelGrid, settings: InitialModelSettings) -> int:
    """Return the Fourier radius that the run may reach on a grid."""
    diameter = settings.mask_diameter or 0.0
    finest = finest_resolution(settings, pixel_size=grid.pixel_size, mask_diameter=diameter)
    return ImageGeometry(grid.box_size, grid.pixel_size, diameter, 1).radius_of(finest)
