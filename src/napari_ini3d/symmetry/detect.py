"""Which point group a map has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.fourier import fsc_resolution
from napari_ini3d.geometry import PointGroup, symmetry_operators
from napari_ini3d.symmetry.checks import check_volume
from napari_ini3d.symmetry.records import GroupCandidate, SelfRotation, SymmetryReport
from napari_ini3d.symmetry.refinement import (
    Fit,
    curve_at,
    essential_operators,
    refine_upwards,
)
from napari_ini3d.symmetry.scores import GroupScore, score_group
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.self_rotation import MAX_ORDER
from napari_ini3d.symmetry.standard_setting import nearest_rotation
from napari_ini3d.symmetry.verdict import (
    CLOSE_AGREEMENT,
    centre_in_map,
    curve_of_map,
    found_axes,
    holds,
    verdict_of,
)

_LEAST_PEAK = 0.2  # of the self-rotation function, for an order to be looked into
_REPORTED = 6
_SHOWN_ORDERS = tuple(range(2, 15))


@dataclass(frozen=True, slots=True)
class _Trial:
    """A group where it fits best."""

    group: PointGroup
    fit: Fit
    evidence: GroupScore

    @property
    def rank(self) -> tuple[bool, int, float]:
        """What holds comes first, the larger group before its subgroups."""
        held = holds(self.evidence)
        return (held, self.group.order if held else 0, self.evidence.agreement)


def detect_symmetry(
    volume: FloatArray, *, voxel_size: float, resolution: float | None = None
) -> SymmetryReport:
    """Find the point group of a map.

    Cn and Dn up to n = 24, T, O and I are tried, each where it fits best. A group holds where
    each kind of its operators gives copies that agree with the map as well as the noise lets
    them, and all kinds about equally well; the largest group that holds is what the map has.
    How much noise there is tells the solvent.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    voxel_size : float
        Å.
    resolution : float, optional
        Å; nothing finer is looked at. All that agrees, up to Nyquist, where left out.

    Returns
    -------
    SymmetryReport
        The same for the same map, on any number of threads.

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant.
    SettingsError
        Where the voxel size or the resolution is not positive.
    """
    check_volume(volume, voxel_size, resolution)
    search = Search.of(volume, (resolution or 0.0) / voxel_size)
    trials = sorted(_try_groups(search), key=lambda trial: trial.rank, reverse=True)[:_REPORTED]
    candidates = tuple(
        _describe(search, trial, len(volume), voxel_size, refined=trial is trials[0])
        for trial in trials
    )
    group = candidates[0].group if candidates[0].holds else "C1"
    return SymmetryReport(
        group=group,
        candidates=candidates,
        verdict=_sum_up(group, candidates),
        self_rotation=_self_rotation(search),
        diameter=2 * search.extent.radius * voxel_size,
        voxel_size=voxel_size,
        warnings=search.extent.warnings,
    )


def _try_groups(search: Search) -> list[_Trial]:
    """Fit every group whose main axis leaves a trace in the self-rotation function."""
    peak = search.table.correlation.max(axis=1)
    orders = [order for order in range(2, MAX_ORDER + 1) if peak[order] > _LEAST_PEAK]
    names = [f"{family}{order}" for order in orders for family in "CD"] + ["T", "O", "I"]
    trials = []
    for group in map(PointGroup.parse, names):
        fit = search.best_fit(group)
        trials.append(_Trial(group, fit, score_group(search.working, group, fit)))
    return trials


def _describe(
    search: Search, trial: _Trial, box_size: int, voxel_size: float, *, refined: bool
) -> GroupCandidate:
    """Put a group into the terms of the map, after refining the best and what nearly holds."""
    working, group, fit, evidence = search.working, trial.group, trial.fit, trial.evidence
    operators = essential_operators(symmetry_operators(group))
    if evidence.agreement >= CLOSE_AGREEMENT and (refined or not holds(evidence)):
        fit = refine_upwards(working, operators, fit)
        evidence = score_group(working, group, fit)
    curve = curve_at(working, operators, fit, working.max_shell)
    in_map = curve_of_map(working, curve, box_size)
    x, y, z = centre_in_map(working, group, fit) * voxel_size
    return GroupCandidate(
        group=group.name,
        score=float(np.clip(evidence.agreement, -1, 1)),
        axes=found_axes(search, group, fit),
        rotation=nearest_rotation(group, fit.frame),
        centre=(float(x), float(y), float(z)),
        fsc=in_map,
        fsc05=fsc_resolution(in_map, box_size, voxel_size, 0.5),
        holds=holds(evidence),
        verdict=verdict_of(working, group.name, evidence, curve, voxel_size),
    )


def _sum_up(group: str, candidates: tuple[GroupCandidate, ...]) -> str:
    """Say what was found, and what the map is close to beyond that."""
    order = PointGroup.parse(group).order
    close = [
        candidate
        for candidate in candidates
        if not candidate.holds
        and candidate.score >= CLOSE_AGREEMENT
        and PointGroup.parse(candidate.group).order > order
    ]
    first = "No symmetry found: C1." if group == "C1" else candidates[0].verdict + "."
    if not close:
        return first
    nearest = max(close, key=lambda candidate: PointGroup.parse(candidate.group).order)
    return f"{first} The map is {nearest.verdict}."


def _self_rotation(search: Search) -> SelfRotation:
    table = search.table
    values = table.correlation[list(_SHOWN_ORDERS)].astype(np.float32)
    return SelfRotation(table.directions, _SHOWN_ORDERS, values)
