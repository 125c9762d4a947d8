"""Verdict on a point group: does it hold, to which resolution, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from napari_ini3d._types import Float64, FloatArray, Vector
from napari_ini3d.fourier import fsc_resolution
from napari_ini3d.geometry import PointGroup, RigidTransform, symmetry_axes, symmetry_operators
from napari_ini3d.symmetry.breaks import find_break
from napari_ini3d.symmetry.records import FoundAxis, GroupCandidate, SymmetryBreak
from napari_ini3d.symmetry.refinement import Fit, GroupAxes
from napari_ini3d.symmetry.scores import GroupScore, operator_agreements, score_group
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.search_map import FIRST_SHELL, SearchMap
from napari_ini3d.symmetry.standard_setting import nearest_rotation
from napari_ini3d.symmetry.subgroup import subgroups

LEAST_AGREEMENT = 0.85  # of the correlation that a symmetric map with this noise would have
LEAST_EVENNESS = 0.9  # agreement of the worst class of operators over the best
COPIES_CRITERION = "FSC of the symmetry copies"
"""Of the resolution to which a group holds, which is not that of the map."""
CLOSE_AGREEMENT = 0.6
"""Of the copies with the expected correlation, from which a map is close to a group."""

_FULL_AGREEMENT = 0.97  # of the copies of a subgroup
_CLEARLY_BETTER = 0.06
_COARSE_FSC = 0.97
_FLAT_AGREEMENT = 0.6
_SLACK = 0.1  # the copies of a real map may agree less than noise alone explains, by this
_DEVIATIONS = 3.0
_LEAST_FSC = 0.143
_NO_NOISE = 0.99  # mean share of signal in the shells of a map whose solvent is flat


@dataclass(frozen=True, slots=True)
class ScoredFit:
    """The best fit of a group, and how well the copies of the map agree there.

    Attributes
    ----------
    group : PointGroup
    fit : Fit
    scores : GroupScore
    contradicted : bool
        Whether a subgroup of it holds so much better that this is a pseudo-symmetry.
    pseudo : SymmetryBreak or None
        Where the group breaks, if it does.
    refined : bool
        Whether the fit is as fine as the map allows.
    """

    group: PointGroup
    fit: Fit
    scores: GroupScore
    contradicted: bool = False
    pseudo: SymmetryBreak | None = None
    refined: bool = False

    @property
    def holds(self) -> bool:
        """Whether the map has the group: its scores say so, and it does not break."""
        return not self.contradicted and self.pseudo is None and holds(self.scores)

    @property
    def is_close(self) -> bool:
        """Whether the map has the group at coarse detail at least."""
        return self.scores.agreement >= CLOSE_AGREEMENT

    def with_break(
        self, search: Search, volume: FloatArray, voxel_size: float, subunits_around: int = 0
    ) -> ScoredFit:
        """Return the fit with the break of a group that does not hold, or whose copies differ.

        Parameters
        ----------
        search : Search
        volume : (n, n, n)
            From which the search was made.
        voxel_size : float
            Å.
        subunits_around : int
            Of a ring.
        """
        if not self.is_close:
            return self
        group, search_map = self.group, search.search_map
        agreements = operator_agreements(search_map, group, self.fit, threads=search.threads)
        contradicted = self.contradicted or is_contradicted(
            group, agreements, self.scores.deviation
        )
        rotation = nearest_rotation(group, self.fit.frame)
        pseudo = find_break(
            volume,
            group,
            RigidTransform(rotation, centre_in_map(search_map, group, self.fit)),
            search.extent.radius,
            voxel_size=voxel_size,
            agreeing=_in_setting(group, self.fit.frame, rotation, agreements)
            >= least_of_operators(self.scores.expected),
            known=contradicted or not self.holds,
            subunits_around=subunits_around,
            threads=search.threads,
        )
        return replace(self, contradicted=contradicted, pseudo=pseudo)

    def is_pseudo_beside(self, other: ScoredFit) -> bool:
        """Return whether only a subgroup holds: its copies agree fully, and those of this do not.

        With noise or an uneven map both agree less than fully.
        """
        least = _clearly_better(self.scores.deviation)
        return (
            self.group.order > other.group.order
            and self.group.order % other.group.order == 0
            and holds(other.scores)
            and other.scores.agreement >= _FULL_AGREEMENT
            and other.scores.agreement >= self.scores.mean_agreement(self.group) + least
        )

    @classmethod
    def of(cls, search: Search, group: PointGroup, fit: Fit) -> Self:
        """Score a fit."""
        return cls(group, fit, score_group(search.search_map, group, fit, threads=search.threads))


def describe_fit(
    search: Search, scored: ScoredFit, curve: Float64, voxel_size: float, *, upright: bool = False
) -> GroupCandidate:
    """Return a fit in the terms of the map.

    Parameters
    ----------
    search : Search
    scored : ScoredFit
    curve : (S + 1,) float64
        FSC of the search map with its copies, mean over the operators.
    voxel_size : float
        Å.
    upright : bool
        Rotate about Z only.
    """
    search_map, group, fit, scores = search.search_map, scored.group, scored.fit, scored.scores
    in_map = curve_of_map(search_map, curve)  # (n // 2 + 1,)
    return GroupCandidate(
        group=group.name,
        score=float(np.clip(scores.agreement, -1, 1)),
        axes=found_axes(search, group, fit),
        rotation=nearest_rotation(group, fit.frame, upright=upright),
        centre=_vector(centre_in_map(search_map, group, fit) * voxel_size),
        fsc=in_map,
        fsc05=fsc_resolution(in_map, search_map.box_size, voxel_size, 0.5),
        holds=scored.holds,
        pseudo=scored.pseudo,
        verdict=verdict_of(search_map, scored, curve, voxel_size),
    )


def is_contradicted(group: PointGroup, agreements: Float64, deviation: float) -> bool:
    """Return whether a subgroup on the same axes agrees fully, and the group clearly less.

    Parameters
    ----------
    group : PointGroup
    agreements : (G,) float64
        Of each operator, the identity first.
    deviation : float
        Standard deviation that noise gives an agreement.
    """
    worst = float(agreements[1:].min())
    best = max(
        (float(agreements[members[1:]].min()) for members in subgroups(group) if len(members) > 1),
        default=worst,
    )
    # of many subgroups the best agrees by more than fully, for noise alone
    return best >= _FULL_AGREEMENT and min(best, 1.0) >= worst + _clearly_better(deviation)


def _clearly_better(deviation: float) -> float:
    """Return the difference of two agreements that is more than noise."""
    return max(_CLEARLY_BETTER, _DEVIATIONS * math.sqrt(2) * deviation)  # of twice the variance


def _in_setting(
    group: PointGroup, frame: Float64, rotation: Float64, agreements: Float64
) -> Float64:
    """Return the agreements of operators about other axes of the same group: those of a setting.

    Parameters
    ----------
    group : PointGroup
    frame : (3, 3)
        Takes the setting to the axes in the map; the agreements are those of its operators.
    rotation : (3, 3)
        Aligns the map to the setting, perhaps by other axes that are alike.
    agreements : (G,) float64
    """
    operators = symmetry_operators(group)
    change = rotation @ frame  # maps the group onto itself
    moved = change @ operators @ change.T
    apart = np.abs(moved[:, None] - operators).max(axis=(2, 3))  # (G, G)
    found = np.empty_like(agreements)
    found[apart.argmin(axis=1)] = agreements
    return found


def holds(scores: GroupScore) -> bool:
    """Return whether the map has the group: all operators agree as well as noise allows."""
    least = least_agreement(scores.expected, scores.coarse)
    return scores.agreement >= least and scores.evenness >= LEAST_EVENNESS


def least_agreement(expected: Float64, coarse: float) -> float:
    """Return the least agreement with which a group holds.

    The noise of a map with a flattened solvent, as reconstructions have it, is unknown, and its
    fine shells may disagree for that alone. If the coarse ones agree very well, the others need
    to agree less.

    Parameters
    ----------
    expected : (S + 1,) float64
        FSC of a symmetric map with the same noise.
    coarse : float
        FSC with the copies, mean over the coarse shells.
    """
    flat = noise_unknown(expected) and coarse >= _COARSE_FSC
    return _FLAT_AGREEMENT if flat else LEAST_AGREEMENT


def least_of_operators(expected: Float64) -> float:
    """Return the least agreement of an operator that belongs to a subgroup that may hold."""
    return _FLAT_AGREEMENT if noise_unknown(expected) else LEAST_AGREEMENT


def noise_unknown(expected: Float64) -> bool:
    """Return whether the solvent has next to no noise in the shells where the map has power."""
    return bool(expected[expected > 0].mean() > _NO_NOISE)


def centre_in_map(search_map: SearchMap, group: PointGroup, fit: GroupAxes) -> Float64:
    """Return the point at which the axes meet, voxels (x, y, z) from voxel n // 2.

    For the single axis of Cn, its point nearest to the middle of the box.
    """
    centre = fit.centre * search_map.side + search_map.offset
    axes = symmetry_axes(group)
    if len(axes) == 1:
        along = fit.frame @ np.array(axes[0].direction)
        centre = centre - along * float(along @ centre)
    return np.asarray(centre)


def found_axes(search: Search, group: PointGroup, fit: Fit) -> tuple[FoundAxis, ...]:
    """Return the axes of a group in the map, with their correlations."""
    axes = symmetry_axes(group)
    return tuple(
        FoundAxis(axis.order, _vector(fit.frame @ np.array(axis.direction)), float(score))
        for axis, score in zip(axes, search.axis_scores(group, fit), strict=True)
    )


def curve_of_map(search_map: SearchMap, curve: Float64) -> Float64:
    """Return a curve over shells of the search box as one over shells of the map, (n // 2 + 1,).

    It is 0 beyond the last shell.
    """
    box_size = search_map.box_size
    shells = np.arange(box_size // 2 + 1) * search_map.side / box_size
    return np.interp(shells, np.arange(len(curve)), curve, right=0.0)


def lasting_shell(
    curve: Float64, expected: Float64, components: Float64, first: int
) -> tuple[int, bool]:
    """Return the last shell to which copies agree, and whether noise limits it.

    They no longer agree where the FSC is below the expected one in two consecutive shells, by
    more than a tenth and three standard deviations of a correlation r of N components,
    (1 - r²) / sqrt(N). Noise is the limit where the FSC falls below 0.143, or 0 is expected.

    Parameters
    ----------
    curve, expected : (S,) float64
        FSC of the map with its copies, and that of a symmetric map with the same noise.
    components : (S,) float64
        Number of independent ones in each shell.
    first : int
        Shells before it are ignored.
    """
    deviation = (1 - expected**2) / np.sqrt(np.maximum(components, 1.0))
    worse = curve < expected - _SLACK - _DEVIATIONS * deviation  # (S,)
    for shell in range(first, len(curve)):
        if worse[shell : shell + 2].all():
            return shell - 1, False
        if curve[shell] < _LEAST_FSC or not expected[shell : shell + 2].any():
            return shell - 1, True
    return len(curve) - 1, True


def verdict_of(search_map: SearchMap, scored: ScoredFit, curve: Float64, voxel_size: float) -> str:
    """Return how well a group fits a search map, in words."""
    expected = search_map.share[: len(curve)]
    components = search_map.components(len(curve) - 1)
    shell, by_noise = lasting_shell(curve, expected, components, FIRST_SHELL)
    return Finding(
        name=scored.group.name,
        holds=scored.holds,
        agreement=scored.scores.agreement,
        resolution=search_map.side * voxel_size / shell,
        limited_by_noise=by_noise,
        noise_unknown=noise_unknown(expected[FIRST_SHELL:]),
        pseudo=scored.pseudo,
    ).in_words()


@dataclass(frozen=True, slots=True)
class Finding:
    """Facts about a group for its verdict.

    Attributes
    ----------
    name : str
    holds : bool
    agreement : float
        Correlation of the worst operators, over that expected with this noise.
    resolution : float
        Å, to which they agree.
    limited_by_noise : bool
        True where noise is the limit, not a difference between copies.
    noise_unknown : bool
        True where the noise of the map cannot be measured.
    pseudo : SymmetryBreak or None
        Where and how the group breaks, if the map is only close to it.
    """

    name: str
    holds: bool
    agreement: float
    resolution: float
    limited_by_noise: bool
    noise_unknown: bool
    pseudo: SymmetryBreak | None = None

    def in_words(self) -> str:
        """Return the verdict."""
        if self.holds:
            text = f"{self.name} holds to {self.resolution:.1f} Å ({COPIES_CRITERION})"
            return (
                text if self.limited_by_noise else f"{text}; at finer detail {self._difference()}"
            )
        if self.pseudo is None:
            share = np.clip(self.agreement, 0, 1)
            return (
                f"{self.name} does not hold: the worst operators reach {share:.0%} of the "
                "correlation expected for true symmetry with this noise"
            )
        return f"{self.name} is pseudo-symmetry ({_remaining(self.pseudo)}): {_broken(self.pseudo)}"

    def _difference(self) -> str:
        if self.noise_unknown:
            return "the copies differ (the solvent is flat, so the noise is unknown)"
        return "the copies differ by more than noise"


def _remaining(found: SymmetryBreak) -> str:
    return "no subgroup holds" if found.subgroup == "C1" else f"only {found.subgroup} holds"


def _broken(found: SymmetryBreak) -> str:
    return (
        f"it breaks at {found.resolution:.0f} Å, where copies rotated by {found.angle:.0f}° about "
        f"a {found.axis_order}-fold axis differ in density, by up to {found.difference:.0%}"
    )


def _vector(values: Float64) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
