"""Settings with every automatic value decided, as the engine needs them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from napari_ini3d.errors import SettingsError
from napari_ini3d.settings import InitialModelSettings

_FINEST_DEFAULT = 8.0  # Å; an initial model needs no more
_PIXELS_PER_DETAIL = 2.5  # Nyquist would be 2
_DETAILS_ACROSS = 22  # finest default detail across the particle: what a grid of 7.5° resolves


@dataclass(frozen=True, kw_only=True)
class ResolvedSettings(InitialModelSettings):
    """Settings of a run whose mask and finest resolution are known.

    What still follows the run itself stays None: `offset_step` follows the resolution, and
    `tile_size` the free memory.

    Attributes
    ----------
    mask_diameter : float
        Å.
    invert_contrast : {"yes", "no"}
        "no" where it is "auto": `napari_ini3d.preflight` measures the contrast before a run.
    finest_resolution : float
        Å, the finest that the run may use: `max_resolution`, or its default; not beyond Nyquist.
    """

    mask_diameter: float
    finest_resolution: float

    def __post_init__(self) -> None:
        """Check nothing: the settings that are resolved have been checked."""


def resolve_settings(
    settings: InitialModelSettings, *, pixel_size: float, mask_diameter: float | None = None
) -> ResolvedSettings:
    """Return settings with their automatic values decided.

    Parameters
    ----------
    settings : InitialModelSettings
    pixel_size : float
        Å, of the images as the engine gets them.
    mask_diameter : float, optional
        Å. Default: that of the settings.

    Raises
    ------
    SettingsError
        If there is no mask diameter.
    """
    diameter = mask_diameter or settings.mask_diameter
    if diameter is None:
        raise SettingsError(
            "mask_diameter is not set; the engine needs a number in Å: give it, or estimate it "
            "from the images with napari_ini3d.preflight.estimate_mask_diameter"
        )
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(InitialModelSettings)}
    finest = finest_resolution(settings, pixel_size=pixel_size, mask_diameter=diameter)
    decided = {
        "mask_diameter": diameter,
        "finest_resolution": finest,
        "invert_contrast": "yes" if settings.invert_contrast == "yes" else "no",
    }
    return ResolvedSettings(**values | decided)


def finest_resolution(
    settings: InitialModelSettings, *, pixel_size: float, mask_diameter: float
) -> float:
    """Return the finest resolution (Å) that a run may use.

    Unless `max_resolution` is given: 8 Å, 2.5 pixels, or 1/22 of the mask diameter, whichever is
    the coarsest.

    Parameters
    ----------
    settings : InitialModelSettings
    pixel_size : float
        Å.
    mask_diameter : float
        Å; 0 where it is not known yet.
    """
    limit = settings.max_resolution
    if limit is None:
        by_pixels, by_grid = _PIXELS_PER_DETAIL * pixel_size, mask_diameter / _DETAILS_ACROSS
        limit = max(_FINEST_DEFAULT, by_pixels, by_grid)
    return max(limit, 2 * pixel_size)
