"""Bring the axes of a map onto RELION's setting of a point group."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import SymmetryError
from napari_ini3d.fourier import fsc_resolution
from napari_ini3d.geometry import PointGroup, RigidTransform, symmetry_operators
from napari_ini3d.symmetry.checks import check_volume
from napari_ini3d.symmetry.records import SymmetryAlignment
from napari_ini3d.symmetry.refinement import (
    Fit,
    Freedom,
    essential_operators,
    refine_upwards,
)
from napari_ini3d.symmetry.scores import score_group
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.standard_setting import nearest_rotation
from napari_ini3d.symmetry.verdict import (
    centre_in_map,
    curve_of_map,
    found_axes,
    holds,
    verdict_of,
)

_FINAL_OPERATORS = 36  # all pairs of I


def align_symmetry(
    volume: FloatArray,
    group: str,
    *,
    voxel_size: float,
    keep_centre: bool = False,
    only_rot: bool = False,
    resolution: float | None = None,
) -> SymmetryAlignment:
    """Find the rotation and shift that bring a map's symmetry axes onto RELION's setting.

    The axes are first looked for over all orientations at low resolution, then refined with
    finer and finer shells for as long as the copies agree.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    group : str
        Point group, as people write it.
    voxel_size : float
        Å.
    keep_centre : bool
        The axes meet in the middle of the box (voxel n // 2) already; do not shift.
    only_rot : bool
        The axis Z of the setting lies on Z already; only turn about it.
    resolution : float, optional
        Å; nothing finer is looked at. All that agrees, up to Nyquist, where left out.

    Returns
    -------
    SymmetryAlignment
        Of the equivalent rotations the one with the smallest angle; the same for the same map,
        on any number of threads.

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant.
    SettingsError
        Where the voxel size or the resolution is not positive.
    SymmetryError
        Where the group is unknown, or C1, which has no axes.
    """
    check_volume(volume, voxel_size, resolution)
    parsed = PointGroup.parse(group)
    if parsed.order == 1:
        raise SymmetryError(f"{parsed.name} has no axes to align; give another group, such as D2")
    search = Search.of(volume, (resolution or 0.0) / voxel_size)
    freedom = Freedom(centre=not keep_centre, turn="around z" if only_rot else "all")
    fit = search.best_fit(parsed, freedom)
    operators = essential_operators(symmetry_operators(parsed), _FINAL_OPERATORS)
    fit = refine_upwards(search.working, operators, fit, freedom=freedom)
    return _describe(search, parsed, fit, len(volume), voxel_size, upright=only_rot)


def _describe(
    search: Search, group: PointGroup, fit: Fit, box_size: int, voxel_size: float, *, upright: bool
) -> SymmetryAlignment:
    working = search.working
    evidence = score_group(working, group, fit)
    curve = curve_of_map(working, fit.curve, box_size)
    rotation = nearest_rotation(group, fit.frame, upright=upright)
    centre = centre_in_map(working, group, fit)  # voxels
    return SymmetryAlignment(
        group=group.name,
        transform=RigidTransform(rotation, centre).in_angstrom(voxel_size),
        score=float(np.clip(evidence.agreement, -1, 1)),
        axes=found_axes(search, group, fit),
        fsc=curve,
        fsc05=fsc_resolution(curve, box_size, voxel_size, 0.5),
        voxel_size=voxel_size,
        holds=holds(evidence),
        verdict=verdict_of(working, group.name, evidence, fit.curve, voxel_size),
        warnings=search.extent.warnings,
    )
