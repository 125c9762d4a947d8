"""Checks of defoci: underfocus, likely units, units that differ between particles and axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_ini3d._types import BoolArray, FloatArray
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.findings import Finding, rows_of

_DEFOCUS_UNITS = (  # largest median of numbers that cannot be Å, the unit, Å per unit
    (1e-4, "m", 1e10),
    (0.05, "mm", 1e7),
    (100.0, "µm", 1e4),
    (2500.0, "nm", 10.0),
)
_WITH_PHASE_PLATE = 1000.0  # Å, the least median defocus: phase plates are used near focus
_CLOSE_TO_FOCUS = 4500.0  # Å, of the median: possible, but rather nm
_FAR_FROM_FOCUS = 1e5  # Å: 10 µm
_TOO_FAR = 1e6
_LEAST_DEFOCUS = 100.0  # Å, of one particle
_ASTIGMATIC = 5.0  # ratio of both defoci of a particle, not by astigmatism
_GAP = 2.0  # ratio of defoci between those in nm and the others
_SPREAD = 1.5  # by which defoci in nm may lie beyond the range of the others
_MANY_ODD = 0.02  # of the particles of a group: they would harm the map


def without_underfocus(particles: Particles) -> BoolArray:
    """Return which particles have a defocus that is not a number above 0, (N,)."""
    good = np.ones(len(particles), dtype=bool)
    for values in (particles.defocus_u, particles.defocus_v):
        good &= np.isfinite(values) & (values > 0)
    for values in (particles.defocus_angle, particles.phase_shift):
        good &= np.isfinite(values)
    return ~good


def inspect_defocus(particles: Particles) -> Iterator[Finding]:
    """Yield what is wrong with the defoci of particles, by optics group."""
    good = ~without_underfocus(particles)
    for position, group in enumerate(particles.optics):
        concerned = good & (particles.optics_index == position)
        if concerned.any():  # particles without underfocus are reported as excluded
            of_group = f" of optics group {group.number}" if len(particles.optics) > 1 else ""
            yield from _defocus_of_group(particles, concerned, of_group)


def _defocus_of_group(
    particles: Particles, concerned: BoolArray, of_group: str
) -> Iterator[Finding]:
    """Yield what is wrong with the defoci of the particles (N,) of a group."""
    defocus = particles.defocus_u.astype(np.float64)
    middle = float(np.median(defocus[concerned]))
    phase_plate = bool(np.median(particles.phase_shift[concerned]) > 0)
    where, count = f"the median defocus{of_group} is {middle:g}", int(concerned.sum())
    for largest, unit, factor in _DEFOCUS_UNITS:
        if middle < (min(largest, _WITH_PHASE_PLATE) if phase_plate else largest):
            yield Finding(
                code="defocus-unit",
                level="error",
                message=f"{where}, expected Å, 5000 to 40000 as a rule; it looks like {unit}",
                advice=f"multiply both defoci by {factor:g}",
                count=count,
            )
            return
    if middle < _CLOSE_TO_FOCUS and not phase_plate:
        yield Finding(
            code="defocus-small",
            level="warning",
            message=f"{where} Å, unusually close to focus",
            advice="check that it is not in nm",
            count=count,
        )
    if middle > _FAR_FROM_FOCUS:
        yield Finding(
            code="defocus-unit",
            level="error" if middle > _TOO_FAR else "warning",
            message=f"{where} Å, unusually far from focus",
            advice="check that it is not in pm" if middle > _TOO_FAR else "check its unit",
            count=count,
        )
        return
    both = np.stack([particles.defocus_u, particles.defocus_v])  # (2, N)
    good_both = np.where(concerned, both, middle)
    odd = ((good_both < _LEAST_DEFOCUS) | (good_both > _TOO_FAR)).any(0)
    odd |= good_both.max(0) > _ASTIGMATIC * good_both.min(0)
    if odd.any():
        yield _odd_defocus(both, odd, middle, count, rows_of(particles, odd))
    rest = concerned & ~odd
    in_nm = np.zeros_like(rest)
    in_nm[rest] = False if phase_plate else _in_nm(both.mean(0)[rest])
    if in_nm.any():
        yield Finding(
            code="defocus-mixed",
            level="warning",
            message=f"{int(in_nm.sum())} of {count} particles have a defocus such as "
            f"{defocus[in_nm][0]:g} Å, about a tenth of the others', with none between; it looks "
            "like nm",
            advice="correct its unit, if they are no focal pairs",
            count=int(in_nm.sum()),
            rows=rows_of(particles, in_nm),
        )


def _in_nm(defocus: FloatArray) -> BoolArray:
    """Return which defoci (N,) are likely in nm, if others are in Å."""
    ordered = np.sort(defocus)
    below = int(np.searchsorted(ordered, _CLOSE_TO_FOCUS))
    ratios = ordered[1 : below + 1] / ordered[: len(ordered[1 : below + 1])]
    if not ratios.size or ratios.max() < _GAP:
        return np.zeros(len(defocus), dtype=bool)
    n_low = int(np.argmax(ratios)) + 1
    low, high = ordered[:n_low], ordered[n_low:]
    ten_times = np.median(low) * 10
    if not high[0] / _SPREAD <= ten_times <= high[-1] * _SPREAD:
        return np.zeros(len(defocus), dtype=bool)
    in_nm: BoolArray = defocus <= low[-1]
    return in_nm


def _odd_defocus(
    both: FloatArray, odd: BoolArray, middle: float, count: int, rows: tuple[int, ...]
) -> Finding:
    """Return the finding on particles whose defocus differs from the others' in its unit.

    Parameters
    ----------
    both : (2, N) float32
        Defoci U and V.
    odd : (N,) bool
    middle : float
        Median of the group.
    count : int
        Particles of the group.
    rows : tuple of int
        First odd rows of the file.
    """
    first = both[:, np.flatnonzero(odd)[0]]
    example = float(first[np.argmax(np.abs(np.log(first / middle)))])
    n_odd = int(odd.sum())
    return Finding(
        code="defocus-mixed",
        level="error" if n_odd > _MANY_ODD * count else "warning",
        message=f"{n_odd} of {count} particles have a defocus such as {example:g}, expected Å, "
        f"{_LEAST_DEFOCUS:g} to {_TOO_FAR:g} and nearly the same along both axes, as the others",
        advice="correct its unit, or remove the rows",
        count=n_odd,
        rows=rows,
    )
