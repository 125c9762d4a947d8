"""Maps of which no point group can be told: detection, alignment and validation say so alike.

Any rotation brings a ball or a shell onto itself, and any rotation about one axis a rod, a disc or
a ring. Where such a map was sampled on coarse voxels, its finest detail shows the grid instead,
with its axes: the corners of the voxels on the surface of a ball have the octahedral group, those
of a ring D4. What is finer than two voxels is folded into coarser detail by the sampling. It is
weaker than the detail of two voxels, as the power of a map falls with the frequency. Therefore axes
of the grid need evidence in detail that is stronger than that. Where the map was smoothed after its
sampling, they need evidence in surfaces that are out of place by more than the sampling explains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d.geometry import PointGroup, symmetry_axes, symmetry_operators
from napari_ini3d.symmetry.cylinder import (
    RoundAxis,
    cylinder_verdict,
    find_cylinder,
    is_round_up_to,
)
from napari_ini3d.symmetry.refinement import GroupAxes
from napari_ini3d.symmetry.scores import agreement_of_any_rotation, deciding_shell
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.search_map import FIRST_SHELL, SearchMap
from napari_ini3d.symmetry.surface import Surface
from napari_ini3d.symmetry.verdict import LEAST_AGREEMENT, centre_in_map

_NYQUIST = 0.85  # of Nyquist's frequency, from which on the power is that of what is folded in
_NO_FOLDING = 0.01  # of the power of a shell
_NEAR = 0.05  # element of a rotation, from that of an operator of the grid
_AXES = 3  # of a group, those of the highest order, whose surfaces are looked at
_ALONG = 0.9  # cosine between two axes that are one
_OFF = 0.25  # voxel, of the place to which an operator brings a voxel


def featureless_verdict(
    search: Search,
    around: RoundAxis | None,
    group: PointGroup,
    axes: GroupAxes,
    voxel_size: float,
) -> str:
    """Return why a group cannot be told, in words; empty if it can.

    Parameters
    ----------
    search : Search
    around : RoundAxis or None
        Of the search.
    group : PointGroup
    axes : GroupAxes
        Where the group fits best.
    voxel_size : float
        Å.
    """
    if is_round(search, axes):
        return _verdict("any rotation fits")
    cylinder = find_cylinder(search, around)
    if cylinder is not None and not cylinder.shows(group, axes):
        return cylinder_verdict(search.search_map, voxel_size)
    return surface_verdict(search, around, group, axes) or grid_verdict(
        search, group, axes, voxel_size
    )


def is_round(search: Search, axes: GroupAxes) -> bool:
    """Return whether any rotation about a centre brings a map onto itself."""
    found = agreement_of_any_rotation(search.search_map, axes, threads=search.threads)
    return found >= LEAST_AGREEMENT


def grid_verdict(search: Search, group: PointGroup, axes: GroupAxes, voxel_size: float) -> str:
    """Return why a group cannot be told from that of the grid of voxels; empty if it can.

    Parameters
    ----------
    search : Search
    group : PointGroup
    axes : GroupAxes
        Where the group fits.
    voxel_size : float
        Å.
    """
    search_map, last = search.search_map, deciding_shell(search.search_map, group)
    power, finest = search_map.ft.power, int(_NYQUIST * search_map.side / 2)
    if finest > search_map.max_shell or not is_of_grid(search_map, group, axes):
        return ""
    folded = np.clip(power[finest:].mean() / np.maximum(power, 1e-30), 0, 1)  # (S + 1,)
    if folded[FIRST_SHELL : last + 1].max() < _NO_FOLDING:
        return ""
    coarse = replace(search_map, share=search_map.share * (1 - folded))
    if agreement_of_any_rotation(coarse, axes, threads=search.threads) >= LEAST_AGREEMENT:
        fits = "any rotation fits"
    elif is_round_up_to(replace(search, search_map=coarse), last):
        fits = "any rotation about one axis fits"
    else:
        return ""
    return _verdict(
        f"{fits}, but for detail as weak as that of two voxels ({2 * voxel_size:.0f} Å), whose "
        "axes are those of the grid of voxels and may come from the sampling"
    )


def surface_verdict(
    search: Search, around: RoundAxis | None, group: PointGroup, axes: GroupAxes
) -> str:
    """Return why a group of the grid cannot be told from surfaces of whole voxels; empty if it can.

    Parameters
    ----------
    search : Search
    around : RoundAxis or None
        Of the search.
    group : PointGroup
    axes : GroupAxes
        Where the group fits.
    """
    search_map = search.search_map
    if not is_of_grid(search_map, group, axes):
        return ""
    places = [
        (axes.frame @ np.array(axis.direction), axis.order, axes.centre)
        for axis in symmetry_axes(group)[:_AXES]
    ]
    if around is not None:
        places.append((around.axes.frame[:, 2], 2, around.axes.centre))
    surfaces = [Surface.about(search_map, *place) for place in places]
    round_about = [
        place[0] for place, one in zip(places, surfaces, strict=True) if one.is_of_voxels
    ]
    if not round_about:
        return ""
    cosines = np.abs(np.array(round_about) @ round_about[0])  # 1 along the first axis
    fits = "any rotation fits" if cosines.min() < _ALONG else "any rotation about one axis fits"
    shift = min(one.shift for one in surfaces)
    return _verdict(
        f"{fits}, but for surfaces that are out of place by {shift:.1f} voxels and have the mirror "
        "planes of the grid, as those of a body of whole voxels"
    )


def is_of_grid(search_map: SearchMap, group: PointGroup, axes: GroupAxes) -> bool:
    """Return whether a group about some axes brings voxels of the map onto voxels."""
    operators = axes.frame @ symmetry_operators(group) @ axes.frame.T  # (G, 3, 3)
    of_grid = np.rint(operators)
    centre = centre_in_map(search_map, group, axes)
    first = centre - of_grid @ centre  # (G, 3), where the voxel in the middle of the box goes
    near = np.abs(operators - of_grid).max() <= _NEAR
    return bool(near and np.abs(first - np.rint(first)).max() <= _OFF)


def _verdict(reason: str) -> str:
    return f"no point group can be told: {reason}"
