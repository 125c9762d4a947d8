"""Maps that any rotation about one axis brings onto themselves: rods, discs and rings.

They have the point group C∞ or D∞. Every Cn fits about that axis, and every 2-fold axis across it,
so that no point group can be told.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d.symmetry.refinement import GroupAxes, refine
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.self_rotation import axis_power

_ODD_ANGLES = (37.3, 101.7, 151.9)  # degrees, of no axis of a point group
_CANDIDATE = 0.2  # share of power that varies about the axis, before its place is refined
_VARYING = 0.02  # the same, after it; noise comes on top


def is_cylinder(search: Search) -> bool:
    """Return whether nothing but noise varies around one axis of a map.

    At the resolution of the search, at which noise is weak.
    """
    operators = Rotation.from_euler("z", np.array(_ODD_ANGLES)[:, None], degrees=True).as_matrix()
    frame = Rotation.align_vectors(search.roundest[None], [[0.0, 0.0, 1.0]])[0].as_matrix()
    start = GroupAxes(frame, search.centre)
    noise = _noise_share(search)
    if _varying(search, start) > _CANDIDATE + noise:
        return False
    axes = refine(search.search_map, operators, start, search.weight, threads=search.threads)
    return _varying(search, axes) <= _VARYING + noise


def _varying(search: Search, axes: GroupAxes) -> float:
    """Return the share of the power that varies around the axis Z of a frame."""
    last = len(search.weight) - 1
    power = axis_power(
        search.search_map, axes.frame[:, 2][None], axes.centre, last, threads=search.threads
    )
    return float(power.varying(search.weight[1:])[0])


def _noise_share(search: Search) -> float:
    """Return the share of noise in the weighted power of the search."""
    power = search.search_map.ft.power[: len(search.weight)] * search.weight
    share = search.search_map.share[: len(search.weight)]
    return float((power * (1 - share)).sum() / max(power.sum(), 1e-30))
