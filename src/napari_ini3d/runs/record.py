"""Record of a run: its particles, settings, and what was decided before it began."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ini3d.settings import InitialModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Contents of `settings.json`.

    Attributes
    ----------
    version : str
        Version of the package that started the run.
    command : str
        Command line that started the run; empty if it was started from Python.
    started : str
        ISO 8601, local time with its offset.
    particles : str
        Absolute path of the STAR file.
    particles_sha256 : str
        Hash of the STAR file; a run is resumed only if it has not changed.
    n_particles : int
        Rows of the STAR file.
    excluded : tuple of int
        Rows of excluded particles, from 0.
    mask_estimated : bool
        True if the mask diameter was estimated from the images.
    contrast : str
        Of the particles, as measured, such as "black on white"; empty if it was not measured.
    inversion_measured : bool
        True if the contrast decided whether the images are inverted (`settings.invert_contrast`).
    n_mended, n_replaced_pixels : int
        Images with outlier pixels, which were replaced, and the number of these pixels.
    working_pixel_size : float or None
        Å, to which the images are resampled; None if they are not.
    settings : InitialModelSettings
        With the mask diameter and the inversion of the contrast resolved.
    """

    version: str
    command: str
    started: str
    particles: str
    particles_sha256: str
    n_particles: int
    excluded: tuple[int, ...] = ()
    mask_estimated: bool = False
    contrast: str = ""
    inversion_measured: bool = False
    n_mended: int = 0
    n_replaced_pixels: int = 0
    working_pixel_size: float | None = None
    settings: InitialModelSettings
