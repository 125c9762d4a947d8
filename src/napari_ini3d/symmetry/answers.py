"""From a fit in the working map to what users are told, in the map's own terms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_ini3d.geometry.symmetry import PointGroup, symmetry_axes
from napari_ini3d.symmetry.evidence import Evidence
from napari_ini3d.symmetry.records import FoundAxis, Vector
from napari_ini3d.symmetry.refinement import Fit
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.working_map import WorkingMap

Float64 = npt.NDArray[np.float64]

LEAST_AGREEMENT = 0.85  # of the correlation that a symmetric map with this noise would have
LEAST_EVENNESS = 0.9  # of what the best class of operators reaches
CLOSE_AGREEMENT = 0.6
_COARSE_FSC = 0.97
_FLAT_AGREEMENT = 0.6
_SLACK = 0.1  # by which the copies of a real map may agree less than noise alone explains
_DEVIATIONS = 3.0
_LEAST_FSC = 0.143
_NO_NOISE = 0.99  # mean share of signal in the shells of a map whose solvent is flat


def holds(evidence: Evidence) -> bool:
    """Tell whether the map has the group: all operators agree as the noise lets them."""
    least = least_agreement(evidence.expected, evidence.coarse)
    return evidence.agreement >= least and evidence.evenness >= LEAST_EVENNESS


def least_agreement(expected: Float64, coarse: float) -> float:
    """Return the agreement from which on a group holds.

    A map whose solvent was made flat, as reconstructions have it, does not tell how much of it is
    noise, and its fine shells may disagree for that alone. Where the coarse ones agree very well,
    less is asked of the others.

    Parameters
    ----------
    expected : (S + 1,) float64
        FSC of a symmetric map with as much noise.
    coarse : float
        FSC with the copies, mean over the coarse shells.
    """
    flat = noise_unknown(expected) and coarse >= _COARSE_FSC
    return _FLAT_AGREEMENT if flat else LEAST_AGREEMENT


def noise_unknown(expected: Float64) -> bool:
    """Tell whether the solvent shows next to no noise where the map has power."""
    return bool(expected[expected > 0].mean() > _NO_NOISE)


def centre_in_map(working: WorkingMap, group: PointGroup, fit: Fit) -> Float64:
    """Return where the axes meet, voxels (x, y, z) from voxel n // 2.

    On a single axis, of Cn, the point nearest to the middle of the box.
    """
    centre = fit.centre * working.side + working.offset
    axes = symmetry_axes(group)
    if len(axes) == 1:
        along = fit.frame @ np.array(axes[0].direction)
        centre = centre - along * float(along @ centre)
    return np.asarray(centre)


def found_axes(search: Search, group: PointGroup, fit: Fit) -> tuple[FoundAxis, ...]:
    """Return the axes of a group in the map, with their correlations."""
    return tuple(
        FoundAxis(axis.order, _vector(direction), score)
        for axis, direction, score in search.axis_scores(group, fit)
    )


def curve_of_map(working: WorkingMap, curve: Float64, box_size: int) -> Float64:
    """Return a curve by shells of the working box as one by shells of the map, (n // 2 + 1,).

    It is 0 beyond the last shell.
    """
    shells = np.arange(box_size // 2 + 1) * working.side / box_size
    return np.interp(shells, np.arange(len(curve)), curve, right=0.0)


def lasting_shell(working: WorkingMap, curve: Float64, expected: Float64) -> tuple[int, bool]:
    """Return the last shell to which copies agree, and whether it is the noise that ends it.

    They no longer agree where the FSC lies below what the noise explains in two shells on end,
    by more than a tenth and three standard deviations of a correlation r of N components,
    (1 - r²) / sqrt(N) with N those of the particle in the shell; where it falls below 0.143; or
    where the map ends in noise.
    """
    filled = np.pi / 6 * working.diameter**3  # share of the working box the particle takes
    count = np.bincount(working.shell, minlength=len(curve))[: len(curve)] * filled
    expected = expected[: len(curve)]
    deviation = _DEVIATIONS * (1 - expected**2) / np.sqrt(np.maximum(count, 1.0))
    worse = curve < expected - np.maximum(_SLACK, deviation)
    for shell in range(2, len(curve)):
        if expected[shell] < 2 * _LEAST_FSC:
            return shell - 1, True
        if curve[shell] < _LEAST_FSC:
            return shell - 1, False
        if worse[shell : shell + 2].all():
            return shell - 1, False
    return len(curve) - 1, True


def verdict_of(
    working: WorkingMap, name: str, evidence: Evidence, curve: Float64, voxel_size: float
) -> str:
    """Say how well a group fits, in words."""
    expected = working.share[: len(curve)]
    shell, by_noise = lasting_shell(working, curve, expected)
    resolution = working.side * voxel_size / shell
    if holds(evidence):
        text = f"{name} holds to {resolution:.1f} Å"
        return text if by_noise else f"{text}; beyond, {difference_in_words(expected[2:])}"
    if evidence.agreement >= CLOSE_AGREEMENT:
        return (
            f"close to {name} (pseudo-symmetry): the copies reach {evidence.agreement:.0%} of the "
            f"correlation that noise allows, and differ from {resolution:.1f} Å on"
        )
    return (
        f"{name} does not hold: the worst of its axes reaches {max(evidence.agreement, 0):.0%} of "
        "the correlation that noise allows"
    )


def difference_in_words(expected: Float64) -> str:
    """Say that copies differ; without noise in the solvent nobody can say whether noise does it.

    Parameters
    ----------
    expected : (S,) float64
        FSC of a symmetric map with as much noise, where the map has power.
    """
    if noise_unknown(expected):
        return "the copies differ (the solvent is flat and does not tell how much is noise)"
    return "the copies differ more than noise"


def _vector(values: Float64) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
