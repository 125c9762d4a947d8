"""Align the symmetry axes of a map to RELION's setting of a point group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry import PointGroup, RigidTransform, symmetry_operators
from napari_ini3d.kernels import blas_threads
from napari_ini3d.symmetry.checks import check_volume
from napari_ini3d.symmetry.cylinder import RoundAxis, subunits_around
from napari_ini3d.symmetry.featureless import featureless_verdict
from napari_ini3d.symmetry.noise import HalfMaps, check_halves
from napari_ini3d.symmetry.records import SymmetryAlignment
from napari_ini3d.symmetry.refinement import Freedom, essential_operators, refine_upwards
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.verdict import ScoredFit, describe_fit

_FINAL_OPERATORS = 36  # all pairs of I


def align_symmetry(
    volume: FloatArray,
    group: str,
    *,
    voxel_size: float,
    keep_centre: bool = False,
    only_rot: bool = False,
    resolution: float | None = None,
    half_maps: HalfMaps | None = None,
    threads: int = 0,
) -> SymmetryAlignment:
    """Find the rotation and shift that align a map's symmetry axes to RELION's setting.

    The axes are first searched for over all orientations at low resolution, then refined with
    finer and finer shells for as long as the copies agree.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    group : str
        Point group, such as "d2" or "C12".
    voxel_size : float
        Å.
    keep_centre : bool
        Do not shift: the axes already meet in the middle of the box (voxel n // 2).
    only_rot : bool
        Rotate about Z only: the main axis already lies along Z.
    resolution : float, optional
        Å; finer detail is ignored. Default: all that agrees, up to Nyquist.
    half_maps : two (n, n, n), optional
        Independent halves of the map, from which the noise is measured, as in `detect_symmetry`.
    threads : int
        0 means as many as the process may use.

    Returns
    -------
    SymmetryAlignment
        Of the equivalent rotations the one with the smallest angle; the same for the same map,
        on any number of threads.

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant;
        where the half-maps have another box.
    SettingsError
        Where the voxel size or the resolution is not positive.
    SymmetryError
        Where the group is unknown, or C1, which has no axes, or of an order that the voxels of
        the map cannot show.
    """
    check_volume(volume, voxel_size, resolution)
    check_halves(volume, half_maps)
    parsed = PointGroup.parse(group)
    if parsed.order == 1:
        raise SymmetryError(f"{parsed.name} has no axes to align; give another group, such as D2")
    with blas_threads(1):  # the same sums on any number of cores
        finest = (resolution or 0.0) / voxel_size
        search = Search.of(volume, finest, half_maps=half_maps, threads=threads)
        freedom = Freedom(centre=not keep_centre, rotation="around z" if only_rot else "all")
        fit = search.best_fit(parsed, freedom)
        operators = essential_operators(symmetry_operators(parsed), _FINAL_OPERATORS)
        fit = refine_upwards(search.search_map, operators, fit, freedom=freedom, threads=threads)
        scored = ScoredFit.of(search, parsed, fit)
        around = RoundAxis.of(search)
        scored = scored.with_break(search, volume, voxel_size, subunits_around(around))
        found = describe_fit(search, scored, fit.curve, voxel_size, upright=only_rot)
        featureless = featureless_verdict(search, around, parsed, fit, voxel_size)
        if featureless:
            found = replace(found, holds=False, pseudo=None, verdict=featureless)
    return SymmetryAlignment(
        group=found.group,
        transform=RigidTransform(found.rotation, np.array(found.centre)),
        score=found.score,
        axes=found.axes,
        fsc=found.fsc,
        fsc05=found.fsc05,
        voxel_size=voxel_size,
        holds=found.holds,
        pseudo=found.pseudo,
        verdict=found.verdict,
        warnings=search.extent.warnings,
    )
