"""Detect the point group of a map."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.geometry import PointGroup, symmetry_operators
from napari_ini3d.kernels import blas_threads
from napari_ini3d.symmetry.checks import check_volume
from napari_ini3d.symmetry.cylinder import Cylinder, RoundAxis, find_cylinder, subunits_around
from napari_ini3d.symmetry.featureless import featureless_verdict
from napari_ini3d.symmetry.noise import HalfMaps, check_halves
from napari_ini3d.symmetry.records import GroupCandidate, SelfRotation, SymmetryReport
from napari_ini3d.symmetry.refinement import (
    Fit,
    curve_at,
    essential_operators,
    refine_upwards,
)
from napari_ini3d.symmetry.rings import fit_ring
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.self_rotation import MAX_ORDER
from napari_ini3d.symmetry.standard_setting import nearest_rotation
from napari_ini3d.symmetry.subgroup import rotation_to_setting
from napari_ini3d.symmetry.verdict import ScoredFit, describe_fit

_LEAST_PEAK = 0.2  # of the self-rotation function, for an order to be tried
_REPORTED = 6
_AS_CLOSE = 0.05  # of the score: groups that are as close as the closest
_SHOWN_ORDERS = tuple(range(2, 15))


def detect_symmetry(
    volume: FloatArray,
    *,
    voxel_size: float,
    resolution: float | None = None,
    half_maps: HalfMaps | None = None,
    threads: int = 0,
) -> SymmetryReport:
    """Detect the point group of a map.

    Cn and Dn up to n = 24, T, O and I are tried, each where it fits best; where the map varies
    around one axis only at fine detail, Cn and Dn of any n. A group holds where the copies under
    each kind of its operators agree with the map as well as the noise allows, and about equally
    well for all kinds; the largest group that holds is that of the map, unless a subgroup holds
    much better, or any rotation does, about one axis or all. The noise is measured in the solvent.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    voxel_size : float
        Å.
    resolution : float, optional
        Å; finer detail is ignored. Default: all that agrees, up to Nyquist.
    half_maps : two (n, n, n), optional
        Independent halves of the map, from which the noise is measured. Default: from the solvent,
        which shows nothing where it is flat.
    threads : int
        0 means as many as the process may use.

    Returns
    -------
    SymmetryReport
        The same for the same map, on any number of threads.

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant;
        where the half-maps have another box.
    SettingsError
        Where the voxel size or the resolution is not positive.
    """
    check_volume(volume, voxel_size, resolution)
    check_halves(volume, half_maps)
    with blas_threads(1):  # the same sums on any number of cores
        finest = (resolution or 0.0) / voxel_size
        search = Search.of(volume, finest, half_maps=half_maps, threads=threads)
        axis = RoundAxis.of(search)
        cylinder, around = find_cylinder(search, axis), subunits_around(axis)
        ring = cylinder is not None and bool(cylinder.waves)
        found = _try_ring(search, cylinder) if cylinder and ring else _try_groups(search, around)
        ranked = _without_pseudo(found)[:_REPORTED]
        trials = _without_breaks(search, volume, ranked, voxel_size, around)
        candidates = tuple(_describe(search, trial, voxel_size) for trial in trials)
        first = trials[0]
        featureless = featureless_verdict(search, axis, first.group, first.fit, voxel_size)
    if featureless:
        candidates = tuple(
            replace(one, holds=False, pseudo=None, verdict=featureless) for one in candidates
        )
    group = candidates[0].group if candidates[0].holds else "C1"
    return SymmetryReport(
        group=group,
        candidates=candidates,
        verdict=_sentence(featureless) if featureless else _sum_up(group, candidates),
        self_rotation=_self_rotation(search),
        diameter=2 * search.extent.radius * voxel_size,
        voxel_size=voxel_size,
        warnings=search.extent.warnings,
        featureless=bool(featureless),
    )


def _try_groups(search: Search, around: int) -> list[ScoredFit]:
    """Fit every group whose main axis leaves a trace in the self-rotation function.

    Also those of a ring with so many subunits around its axis, one of which may differ.
    """
    peak = search.table.correlation.max(axis=1)  # (MAX_ORDER + 1,)
    highest = min(MAX_ORDER, search.highest_order)
    orders = [order for order in range(2, highest + 1) if peak[order] > _LEAST_PEAK]
    orders += [  # of rings in which every other subunit differs
        2 * order for order in orders if MAX_ORDER < 2 * order <= search.highest_order
    ]
    if around > MAX_ORDER and around not in orders:
        orders.append(around)
    trials = []
    for order in orders:
        rings = search.fit_rings(order)
        for family in "CD":
            group = PointGroup.parse(f"{family}{order}")
            trials.append(ScoredFit.of(search, group, search.best_fit(group, rings=rings)))
    polyhedral = map(PointGroup.parse, ("T", "O", "I"))
    return trials + [ScoredFit.of(search, group, search.best_fit(group)) for group in polyhedral]


def _try_ring(search: Search, cylinder: Cylinder) -> list[ScoredFit]:
    """Fit the groups about an axis around which some waves show, and the largest subgroups."""
    strongest = cylinder.waves[0]
    orders = {strongest, math.gcd(*cylinder.waves)}
    orders |= {strongest // k for k in range(2, strongest) if strongest % k == 0}
    trials: list[ScoredFit] = []
    cyclic: Fit | None = None
    for family in "CD":
        whole = PointGroup.parse(f"{family}{strongest}")
        fit = fit_ring(
            search.search_map, whole, cylinder.axes, cyclic=cyclic, threads=search.threads
        )
        cyclic = cyclic or fit
        groups = [PointGroup.parse(f"{family}{order}") for order in sorted(orders - {1})]
        trials += [ScoredFit.of(search, group, fit) for group in groups]
    return trials


def _without_pseudo(trials: list[ScoredFit]) -> list[ScoredFit]:
    """Return groups by rank, those of which only a subgroup holds marked as pseudo-symmetries."""
    marked = [
        replace(trial, contradicted=any(trial.is_pseudo_beside(other) for other in trials))
        for trial in trials
    ]
    return sorted(marked, key=_rank, reverse=True)


def _without_breaks(
    search: Search, volume: FloatArray, trials: list[ScoredFit], voxel_size: float, around: int
) -> list[ScoredFit]:
    """Return groups by rank, those that break in the map itself marked as pseudo-symmetries.

    The largest group that holds is refined and looked at; if it breaks, the next one, and so on.
    What is left of a group that breaks is looked at on its axes: of several axes alike, such as
    the seven 2-fold ones of D7, the search for the subgroup itself may have found a wrong one.
    """

    def looked_at(trial: ScoredFit) -> ScoredFit:
        return _refined(search, trial).with_break(search, volume, voxel_size, around)

    found, added = trials, set[str]()  # groups whose subgroups have been added
    while True:
        while not found[0].refined and found[0].holds:
            found = sorted([looked_at(found[0]), *found[1:]], key=_rank, reverse=True)
        group = found[0].group if found[0].holds else PointGroup.parse("C1")
        found = [
            looked_at(trial)
            if not trial.holds and trial.pseudo is None and trial.group.order > group.order
            else trial
            for trial in found
        ]
        larger = [t for t in found if _order_left(t) > group.order and t.group.name not in added]
        if not larger:
            return [_within(trial, group) for trial in found]
        broken = max(larger, key=_order_left)
        added.add(broken.group.name)
        part = _what_is_left(search, broken)
        others = [trial for trial in found if trial.group != part.group]
        found = sorted([part, *others], key=_rank, reverse=True)


def _order_left(trial: ScoredFit) -> int:
    """Return the order of the subgroup that is left of a group that breaks; 0 if it does not."""
    return len(trial.pseudo.members) if trial.pseudo else 0


def _what_is_left(search: Search, broken: ScoredFit) -> ScoredFit:
    """Return the fit of the subgroup that is left of a group, on its axes."""
    assert broken.pseudo is not None
    setting = nearest_rotation(broken.group, broken.fit.frame)  # in which `members` are given
    members = symmetry_operators(broken.group)[list(broken.pseudo.members)]
    group, rotation = rotation_to_setting(members)
    fit = replace(broken.fit, frame=(rotation @ setting).T)
    operators = essential_operators(symmetry_operators(group))
    fit = refine_upwards(search.search_map, operators, fit, threads=search.threads)
    return ScoredFit.of(search, group, fit)


def _within(trial: ScoredFit, group: PointGroup) -> ScoredFit:
    """Return a fit of whose subgroups none larger than the group of the map is said to hold."""
    if trial.pseudo is None or _order_left(trial) <= group.order:
        return trial
    # its members are unknown: the group of the map may have other axes
    return replace(trial, pseudo=replace(trial.pseudo, subgroup=group.name, members=()))


def _refined(search: Search, trial: ScoredFit) -> ScoredFit:
    """Return a fit as fine as the map allows; what is known of its group stays."""
    if trial.refined or not trial.is_close:
        return trial
    operators = essential_operators(symmetry_operators(trial.group))
    fit = refine_upwards(search.search_map, operators, trial.fit, threads=search.threads)
    scored = ScoredFit.of(search, trial.group, fit)
    return replace(scored, contradicted=trial.contradicted, refined=True)


def _rank(trial: ScoredFit) -> tuple[bool, int, float]:
    """Return the sort key of a group: those that hold first, larger groups before subgroups."""
    held = trial.holds
    return (held, trial.group.order if held else 0, trial.scores.agreement)


def _describe(search: Search, trial: ScoredFit, voxel_size: float) -> GroupCandidate:
    search_map, threads = search.search_map, search.threads
    operators = essential_operators(symmetry_operators(trial.group))
    curve = curve_at(search_map, operators, trial.fit, search_map.max_shell, threads)
    return describe_fit(search, trial, curve, voxel_size)


def _sum_up(group: str, candidates: tuple[GroupCandidate, ...]) -> str:
    """Return the verdict on the group, and on the larger groups that the map is close to."""
    first = "No symmetry found: C1." if group == "C1" else candidates[0].verdict + "."
    order = PointGroup.parse(group).order
    close = [c for c in candidates if c.pseudo and PointGroup.parse(c.group).order > order]
    if not close:
        return first
    best = max(candidate.score for candidate in close)
    nearest = max(
        (candidate for candidate in close if candidate.score >= best - _AS_CLOSE),
        key=lambda candidate: PointGroup.parse(candidate.group).order,
    )
    others = [c.group for c in close if c is not nearest]
    rest = f" So {'is' if len(others) == 1 else 'are'} {' and '.join(others)}." if others else ""
    return f"{first} {nearest.verdict}.{rest}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _self_rotation(search: Search) -> SelfRotation:
    table = search.table
    values = table.correlation[list(_SHOWN_ORDERS)].astype(np.float32)  # (orders, N)
    return SelfRotation(table.directions, _SHOWN_ORDERS, values)
