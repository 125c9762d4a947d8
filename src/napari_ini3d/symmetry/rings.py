"""Fit Cn and Dn of many subunits about an axis that is known roughly."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64
from napari_ini3d.geometry import PointGroup, symmetry_operators
from napari_ini3d.symmetry.refinement import (
    Fit,
    Freedom,
    GroupAxes,
    essential_operators,
    refine,
)
from napari_ini3d.symmetry.scores import deciding_shell
from napari_ini3d.symmetry.search_map import SearchMap, search_weight

_PHASES = 8  # of the 2-fold axes of Dn, which repeat after 180° / n
_REFINED = 2  # of these


def fit_ring(
    search_map: SearchMap,
    group: PointGroup,
    start: GroupAxes,
    *,
    freedom: Freedom | None = None,
    cyclic: Fit | None = None,
    steps: int = 8,
    threads: int = 0,
) -> Fit:
    """Climb to the best fit of Cn or Dn about an axis, at the detail that shows the subunits.

    Parameters
    ----------
    search_map : SearchMap
    group : PointGroup
    start : GroupAxes
        The main axis is Z of the frame; the 2-fold axes are found.
    freedom : Freedom, optional
        Default: everything may move.
    cyclic : Fit, optional
        What this returns for Cn, if that is known. Default: it is found first.
    steps : int
    threads : int
    """
    weight = search_weight(search_map, deciding_shell(search_map, group))

    def climb(name: str | PointGroup, axes: GroupAxes, most_steps: int) -> Fit:
        operators = essential_operators(symmetry_operators(name))
        return refine(search_map, operators, axes, weight,
                      freedom=freedom, most_steps=most_steps, threads=threads)  # fmt: skip

    fit = cyclic or climb(f"C{group.fold}", start, steps)
    if group.family == "C":
        return fit
    frames = [fit.frame @ _about_z(i * 180 / group.fold / _PHASES) for i in range(_PHASES)]
    starts = [climb(group, GroupAxes(frame, fit.centre), 0) for frame in frames]
    starts.sort(key=lambda start: -start.score)
    return max((climb(group, one, steps) for one in starts[:_REFINED]), key=lambda fit: fit.score)


def _about_z(degrees: float) -> Float64:
    return np.asarray(Rotation.from_euler("z", degrees, degrees=True).as_matrix())
