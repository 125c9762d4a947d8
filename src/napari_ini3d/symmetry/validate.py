"""Validate a point group: compare a map on its axes with its symmetry copies.

The map is not compared with the imposed map, which contains the map itself, but with the mean of
its other copies, ``(G · imposed - map) / (G - 1)`` for a group of G operators. With a share s of
signal in the power of the map and noise that differs between the copies, their FSC is
``s / sqrt(s + (1 - s) / (G - 1))`` for true symmetry; a lower FSC shows a difference between the
subunits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.fourier import (
    FineMap,
    background_level,
    compute_fsc,
    resize_map,
    shell_sum,
    soft_mask,
)
from napari_ini3d.geometry import (
    Axis,
    PointGroup,
    RigidTransform,
    symmetry_axes,
    symmetry_operators,
)
from napari_ini3d.kernels import blas_threads
from napari_ini3d.symmetry.breaks import find_break
from napari_ini3d.symmetry.checks import check_volume, unit_factor
from napari_ini3d.symmetry.cylinder import RoundAxis, subunits_around
from napari_ini3d.symmetry.featureless import featureless_verdict
from napari_ini3d.symmetry.impose import impose_symmetry
from napari_ini3d.symmetry.local_correlation import correlate_locally
from napari_ini3d.symmetry.noise import (
    HalfMaps,
    check_halves,
    share_from_halves,
    signal_share,
)
from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.records import FoundAxis, SymmetryValidation
from napari_ini3d.symmetry.refinement import GroupAxes
from napari_ini3d.symmetry.scores import (
    COARSE_WAVES,
    LEAST_EXPECTED,
    agreement_deviation,
    deciding_waves,
    shell_weight,
)
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.search_map import FIRST_SHELL
from napari_ini3d.symmetry.verdict import (
    CLOSE_AGREEMENT,
    Finding,
    is_contradicted,
    lasting_shell,
    least_agreement,
    least_of_operators,
    noise_unknown,
)

_EDGE = 3.0  # voxels, of the mask
_MARGIN = 1.05  # of the particle's radius, if no diameter is given
_FIRST_WAVES = 2.0  # across the particle: coarser detail shows the outline only
_LEAST_WAVES = 4.0  # to which the copies must agree, unless noise hides more


def validate_symmetry(
    volume: FloatArray,
    group: str | PointGroup,
    *,
    voxel_size: float,
    diameter: float | None = None,
    half_maps: HalfMaps | None = None,
    threads: int = 0,
) -> SymmetryValidation:
    """Impose a point group on a map, and measure how well the map fits it.

    A group holds if the copies reach 85 % of the correlation expected with this noise, for every
    rotation about every axis, and differ by no more than noise up to 4 waves across the particle;
    unless the copies differ in density somewhere by more than noise and by more than 6 to 10 %,
    or a subgroup on the same axes holds much better. From 60 % on the group is then
    pseudo-symmetry, and `pseudo` says where it breaks. It holds up to the resolution at which the
    FSC of the copies is below the expected one in two consecutive shells, by more than a tenth and
    three standard deviations, or at which it falls below 0.143. A standard deviation is
    (1 - FSC²) / sqrt(M), with M half the components of the shell times the share of the box that
    the sphere fills.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x), on RELION's axes of the group about voxel n // 2.
    group : str or PointGroup
    voxel_size : float
        Å.
    diameter : float, optional
        Å, of a sphere about voxel n // 2 around the particle. Default: automatic.
    half_maps : two (n, n, n), optional
        Independent halves of the map on the same axes, from which the noise is measured. Default:
        from the solvent.
    threads : int
        0 means as many as the process may use. The result is the same for any number.

    Returns
    -------
    SymmetryValidation

    Raises
    ------
    MapError
        Where a map is not a finite cube of an even number of at least 16 voxels, or constant;
        where the half-maps have another box.
    SettingsError
        Where the voxel size is not positive, or the diameter not within the box.
    SymmetryError
        For an unknown point group.
    """
    check_volume(volume, voxel_size)
    check_halves(volume, half_maps)
    point_group = group if isinstance(group, PointGroup) else PointGroup.parse(group)
    radius = _mask_radius(volume, voxel_size, diameter)
    mask = soft_mask(len(volume), radius, _EDGE, 3)
    before, unit, level = _in_units(volume)
    after = impose_symmetry(before, point_group, threads=threads)
    share = _share(before, half_maps, radius, mask)
    copies = _Copies.of(before, after, point_group.order, share, mask)
    axes, agreements, deviation = _compare_rotations(before, point_group, share, radius, threads)
    agreement = float(agreements.min())
    waves = len(volume) / (2 * radius)  # shells to a wave across the particle
    first = int(np.clip(round(_FIRST_WAVES * waves), FIRST_SHELL, len(volume) // 4))
    last, by_noise = lasting_shell(copies.curve, copies.expected, copies.components, first)
    resolution = len(volume) * voxel_size / last
    fine_enough = by_noise or last >= _LEAST_WAVES * waves
    holds = fine_enough and agreement >= least_agreement(copies.expected, copies.coarse(waves))
    featureless, pseudo = "", None
    if agreement >= CLOSE_AGREEMENT and point_group.order > 1:
        with blas_threads(1):  # the same sums on any number of cores
            search = Search.of(before, half_maps=half_maps, threads=threads)
            in_middle = GroupAxes(np.eye(3), -search.search_map.offset / search.search_map.side)
            around = RoundAxis.of(search)
            featureless = featureless_verdict(search, around, point_group, in_middle, voxel_size)
        extent = find_particle_extent(before).radius if diameter is None else radius / _MARGIN
        pseudo = find_break(
            before,
            point_group,
            RigidTransform.identity(),
            extent,
            voxel_size=voxel_size,
            agreeing=agreements >= least_of_operators(copies.expected),
            known=not holds or is_contradicted(point_group, agreements, deviation),
            subunits_around=subunits_around(around),
            threads=threads,
        )
    inside = mask > 0.5
    validation = SymmetryValidation(
        group=point_group.name,
        voxel_size=voxel_size,
        diameter=2 * radius * voxel_size,
        imposed=after / unit + level,
        difference=(before - after) / unit,
        local_correlation=correlate_locally(before, after, min(len(volume) / last, radius / 2))
        * inside,
        fsc=compute_fsc(before * mask, after * mask),
        copies_fsc=copies.curve,
        expected_fsc=copies.expected,
        axes=axes,
        correlation=_correlation(before[inside], after[inside]),
        agreement=agreement,
        resolution=resolution,
        limited_by_noise=by_noise,
        holds=holds and pseudo is None and not featureless,
        verdict="",
        pseudo=None if featureless else pseudo,
        featureless=bool(featureless),
    )
    return replace(validation, verdict=featureless or _put_in_words(validation))


@dataclass(frozen=True, slots=True)
class _Copies:
    """FSC of a map with the mean of its other copies.

    Attributes
    ----------
    curve, expected : (n // 2 + 1,) float64
        Measured, and expected for true symmetry with the same noise.
    components : (n // 2 + 1,) float64
        Independent ones in each shell.
    """

    curve: Float64
    expected: Float64
    components: Float64

    @classmethod
    def of(
        cls, before: Float32, after: Float32, order: int, share: Float64, mask: Float32
    ) -> _Copies:
        independent = _independent_components(mask)
        if order == 1:
            return cls(np.ones_like(share), np.ones_like(share), independent)
        others = (order * after - before) / np.float32(order - 1)
        return cls(
            compute_fsc(before * mask, others * mask), expected_of_mean(share, order), independent
        )

    def coarse(self, waves: float) -> float:
        """Return the mean FSC of the coarse shells; `waves` is the number of shells per wave."""
        last = max(FIRST_SHELL, min(round(COARSE_WAVES * waves), len(self.curve) - 1))
        return float(self.curve[FIRST_SHELL : last + 1].mean())


def expected_of_mean(share: Float64, order: int) -> Float64:
    """Return the FSC of one copy with the mean of the others of a truly symmetric map.

    Parameters
    ----------
    share : (S,) float64
        Of signal in the power of one copy.
    order : int
        Number of copies, 2 or more.
    """
    others = share + (1 - share) / (order - 1)  # power of their mean, of one copy's
    return np.divide(share, np.sqrt(others), out=np.zeros_like(share), where=others > 0)


def _compare_rotations(
    volume: Float32, group: PointGroup, share: Float64, radius: float, threads: int
) -> tuple[tuple[FoundAxis, ...], Float64, float]:
    """Return the axes with their correlations, the agreement of each operator, and its deviation.

    Only coarse shells are compared, so the map is resampled to larger voxels first.
    """
    n = len(volume)
    last = min(n // 2 - 2, max(FIRST_SHELL + 1, round(deciding_waves(group) * n / (2 * radius))))
    small = resize_map(volume, min(n, 2 * last + 4))
    reach = radius * len(small) / n + _EDGE
    mask = soft_mask(len(small), reach - _EDGE, _EDGE, 3)
    small = small - small[mask < 0.5].mean()  # solvent at 0, or the mask's edge would correlate
    fine, masked = FineMap.of(small, threads=threads), small * mask
    share = share[: last + 1]
    weight = _normalised_weight(masked, share)
    expected = max(float(weight @ share), LEAST_EXPECTED)
    operators = symmetry_operators(group)
    axes, agreements = [], np.ones(group.order)
    for axis in symmetry_axes(group):
        rotations = rotations_to_half_circle(axis)
        rotated = [
            fine.mean_of_rotated(rotation, radius=reach, threads=threads) * mask
            for rotation in rotations
        ]
        found = [float(weight @ compute_fsc(masked, copy)[: last + 1]) for copy in rotated]
        back = [1 if 2 * i == axis.order else 2 for i in range(1, len(found) + 1)]
        axes.append(FoundAxis(axis.order, axis.direction, float(np.average(found, weights=back))))
        for rotation, value in zip(rotations, found, strict=True):
            for same in (rotation, rotation.T):
                index = np.abs(operators - same).max(axis=(1, 2)).argmin()
                agreements[index] = min(value / expected, 1.0)
    components = _independent_components(mask)[: last + 1]
    return tuple(axes), agreements, agreement_deviation(share, weight, components)


def _independent_components(mask: Float32) -> Float64:
    """Return the number of independent components in each shell of a masked map, (n // 2 + 1,)."""
    count = shell_sum(np.ones((len(mask), len(mask), len(mask) // 2 + 1)))
    return np.asarray(count / 2 * float((mask**2).mean()), dtype=np.float64)


def rotations_to_half_circle(axis: Axis) -> Float64:
    """Return the rotations about an axis up to 180°: the others are their inverses.

    Returns
    -------
    (order // 2, 3, 3) float64
    """
    angles = 2 * np.pi / axis.order * np.arange(1, axis.order // 2 + 1)
    return Rotation.from_rotvec(angles[:, None] * np.array(axis.direction)).as_matrix()


def _normalised_weight(masked: Float32, share: Float64) -> Float64:
    """Return the weight of each shell's FSC, with a sum of 1."""
    power = shell_sum(np.abs(np.fft.rfftn(masked)) ** 2)[: len(share)]
    count = np.arange(len(share), dtype=np.float64) ** 2
    weight = shell_weight(power / np.maximum(count, 1), share)
    return np.asarray(weight / max(float(weight.sum()), 1e-30))


def _share(volume: Float32, half_maps: HalfMaps | None, radius: float, mask: Float32) -> Float64:
    if half_maps is None:
        return signal_share(volume, radius)
    return share_from_halves(compute_fsc(half_maps[0] * mask, half_maps[1] * mask))


def _in_units(volume: FloatArray) -> tuple[Float32, np.float32, np.float32]:
    """Return a map without its background, times a factor; that factor, and the background."""
    level = np.float32(background_level(volume))  # a constant would agree with itself
    before = np.asarray(volume, dtype=np.float32) - level
    unit = unit_factor(before)
    return before * unit, unit, level


def _mask_radius(volume: FloatArray, voxel_size: float, diameter: float | None) -> float:
    """Return the radius, in voxels, of a sphere about voxel n // 2 around the particle."""
    n = len(volume)
    if diameter is None:
        extent = find_particle_extent(volume)
        radius = _MARGIN * (extent.radius + float(np.linalg.norm(extent.centre)))
        return min(radius, n / 2 - _EDGE)
    if not 0 < diameter <= n * voxel_size:
        raise SettingsError(
            f"the diameter is {diameter:g} Å; it must lie between 0 and the box "
            f"({n * voxel_size:g} Å)"
        )
    return diameter / voxel_size / 2


def _correlation(first: Float32, second: Float32) -> float:
    """Return the correlation of two samples, 0 where one of them does not vary."""
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (first, second))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _put_in_words(validation: SymmetryValidation) -> str:
    if not validation.axes:
        return f"{validation.group}: nothing to validate"
    return Finding(
        name=validation.group,
        holds=validation.holds,
        agreement=validation.agreement,
        resolution=validation.resolution,
        limited_by_noise=validation.limited_by_noise,
        noise_unknown=noise_unknown(validation.expected_fsc[FIRST_SHELL:]),
        pseudo=validation.pseudo,
    ).in_words()
