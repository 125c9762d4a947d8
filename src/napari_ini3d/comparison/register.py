"""Register two maps: find the rotation, shift and hand that align one to the other.

Shells are scaled to equal power first, so that a round particle does not hide the details that
orient it. A grid of rotations is compared at low resolution with a grid of shifts (all shifts in
one matrix product); the best of both hands are refined continuously at rising resolution, at last
with each shell weighted by its signal-to-noise ratio. The components are interpolated in Fourier
space, but for the last steps, which resample the map itself.

Both maps are seen about the voxel next to their centre of mass. The map after x -> R (x - s) has
the component F(Rᵀ k) exp(2πi (Rᵀ k)·s) at frequency k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import scipy

from napari_ini3d._types import (
    Complex64,
    Complex128,
    ComplexArray,
    Float32,
    Float64,
    FloatArray,
    Int64,
)
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import (
    FourierMap,
    components_at,
    cut_at_nyquist,
    cut_out,
    map_in_threads,
    mirror_map,
    resize_map,
    rotate_map,
    soft_mask,
)
from napari_ini3d.geometry import RigidTransform, climb, uniform_rotations
from napari_ini3d.kernels import blas_threads

_GRID_SIZE = 7000  # rotations, about 13° apart
_GRID_DETAIL = 0.22  # finest detail in the grid search, as a share of the particle's diameter
_GRID_SHELL = 9  # the highest shell of the grid search
_GRID_REACH = 2  # steps of the shift, of a quarter of that detail, to each side
_KEPT = 12  # candidates of each hand that are refined
_APART = 20.0  # degrees between them
_CLIMBERS = 5  # of each hand, that are refined further after the first steps
_FINALISTS = 2  # of each hand, refined at twice the resolution
_MAX_SHELL = 32
_LEAST_FSC = 0.15  # the first shell below this and those beyond are ignored in the end
_FIRST_STEPS, _FEW_STEPS, _MOST_STEPS = 2, 5, 12  # of the climb
_SMALL_STEP, _SMALL_GAIN = 1e-4, 1e-9  # voxels, and of the score
_SLOPE_STEP = 0.02  # voxels, of difference quotients
_LEAST_SCORE = 0.2  # the target is scaled as if the maps agreed at least this well
_RESAMPLED_STEPS = 2  # of the climb, in the end
_CHUNK = 256  # rotations at a time
_EDGE = 3.0  # voxels, of the mask
_SOLID = 2 * np.sqrt(5 / 3)  # diameter of a ball over its radius of gyration


@dataclass(frozen=True, slots=True)
class Registration:
    """Alignment of a map to another: mirrored or not, then shifted, then rotated.

    Attributes
    ----------
    transform : RigidTransform
        Voxels.
    mirrored : bool
        True where z becomes -z first: the map had the other hand.
    score : float
        Correlation of the Fourier components that were compared, at most 1.
    """

    transform: RigidTransform
    mirrored: bool
    score: float

    def apply(self, volume: FloatArray, *, threads: int = 0) -> Float32:
        """Return the map aligned to the reference, (n, n, n) float32."""
        hand = mirror_map(volume) if self.mirrored else volume
        return rotate_map(hand, self.transform.rotation, self.transform.shift, threads=threads)


@dataclass(frozen=True, slots=True)
class _Particle:
    """A masked map in Fourier space, about the voxel next to its centre of mass."""

    volume: Float32  # (n, n, n), masked, without the corners of its transform
    middle: Int64  # (3,), that voxel, (x, y, z) from voxel n // 2
    diameter: float  # voxels, of a ball with the particle's radius of gyration
    ft: FourierMap  # about the middle

    @classmethod
    def of(cls, volume: FloatArray, mask_radius: float, box_size: int) -> Self:
        n = len(volume)
        masked = np.asarray(volume, dtype=np.float32) * soft_mask(n, mask_radius, _EDGE, 3)
        masked = resize_map(masked, box_size)
        centre, diameter = _mass(masked)
        middle = np.rint(centre).astype(np.int64)
        ft = FourierMap.of(cut_out(masked, middle, box_size), box_size // 2 - 2)
        diameter = min(diameter, 2 * mask_radius * box_size / n)
        return cls(cut_at_nyquist(masked, threads=1), middle, diameter, ft)

    def components(self, volume: Float32, points: Float32) -> Complex64:
        """Return the exact components of a map in the same place, (K,)."""
        ramp = np.exp(2j * np.pi / len(volume) * (points @ self.middle))  # (K,)
        return np.asarray(components_at(volume, points) * ramp, dtype=np.complex64)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two maps on the frequencies up to one shell, whitened and weighted."""

    target: _Particle
    moving: _Particle
    points: Float32  # (K, 3), frequencies in shells
    fixed: Complex128  # (K,), the target's components, of total length 1
    gain: Float64  # (K,), whitens and weights the moving map
    resample: bool = False  # the map for each pose, instead of interpolating its components
    threads: int = 0

    @classmethod
    def of(
        cls, target: _Particle, moving: _Particle, last: int, weight: Float64 | None = None
    ) -> Self:
        """Whiten two maps up to a shell; the weight (last,) of shell s is 1 / s by default."""
        weight = 1 / np.arange(1, last + 1) if weight is None else weight
        count = target.ft.count_within(last)
        points, shell = target.ft.points[:count], target.ft.shell[:count]  # (K, 3), (K,)
        target_gain, gain = (
            np.sqrt(weight / np.maximum(ft.power[1 : last + 1], 1e-30))[shell - 1]  # (K,)
            for ft in (target.ft, moving.ft)
        )
        fixed = _normalise(target.components(target.volume, points) * target_gain)
        return cls(target, moving, points, fixed, gain)

    @property
    def lever(self) -> float:
        """Voxels that a rotation by one radian counts as."""
        return self.target.diameter / 4

    @property
    def ramp_rate(self) -> Complex128:
        """Change of the logarithm of each component with a shift by one voxel, (K, 3)."""
        return np.asarray(-2j * np.pi / len(self.target.volume) * self.points, np.complex128)

    def interpolate(self, transform: RigidTransform) -> Complex128:
        """Return the moving map after a transform (voxels), of total length 1, (K,)."""
        values = self.moving.ft.read(transform.rotation[None], self.points)[0]  # (K,)
        displacement = -transform.rotation @ transform.shift  # x -> R x + displacement
        ramp = np.exp(self.ramp_rate @ displacement)  # (K,)
        return _normalise(values * self.gain * ramp)

    def components(self, transform: RigidTransform) -> Complex128:
        """Return what `interpolate` does, but of the resampled map where that is asked for."""
        if not self.resample:
            return self.interpolate(transform)
        whole = _between_boxes(transform, self.target, self.moving)
        moved = rotate_map(self.moving.volume, whole.rotation, whole.shift, threads=self.threads)
        return _normalise(self.target.components(moved, self.points) * self.gain)


@dataclass(frozen=True, slots=True)
class _Pose:
    """The moving map at one transform, beside the target: a state of `climb`.

    A step is a rotation vector times the lever and a shift, both in voxels, (6,).
    """

    comparison: _Comparison
    transform: RigidTransform
    components: Complex128  # (K,)
    score: float

    @classmethod
    def at(cls, comparison: _Comparison, transform: RigidTransform) -> Self:
        components = comparison.components(transform)
        score = float(np.vdot(comparison.fixed, components).real)
        return cls(comparison, transform, components, score)

    def moved(self, step: Float64) -> _Pose:
        """Return the pose after one more rotation and shift of the map."""
        return _Pose.at(self.comparison, self._changed(step))

    def _changed(self, step: Float64) -> RigidTransform:
        rotation = scipy.spatial.transform.Rotation.from_rotvec(
            step[:3] / self.comparison.lever
        ).as_matrix()
        return RigidTransform.rotate_then_shift(rotation, step[3:]).after(self.transform)

    def step(self) -> Float64:
        """Return the step that brings the components nearest to the target's, to first order."""
        slopes = np.empty((len(self.components), 6), dtype=np.complex128)  # (K, 6)
        interpolated = self.comparison.interpolate(self.transform)  # (K,)
        for axis, change in enumerate(_SLOPE_STEP * np.eye(3, 6)):
            nearby = self.comparison.interpolate(self._changed(change))
            slopes[:, axis] = (nearby - interpolated) / _SLOPE_STEP
        slopes[:, 3:] = self.comparison.ramp_rate * self.components[:, None]
        residual = self.comparison.fixed / max(self.score, _LEAST_SCORE) - self.components
        normal = (slopes.conj().T @ slopes).real  # (6, 6)
        normal += np.eye(6) * 1e-6 * np.trace(normal)
        step = np.asarray(np.linalg.solve(normal, (slopes.conj().T @ residual).real))
        # a third of the finest wavelength: the slopes say nothing about larger steps
        longest = len(self.comparison.target.volume) / np.abs(self.comparison.points).max() / 3
        return np.asarray(step * min(1.0, longest / max(float(np.abs(step).max()), 1e-12)))


def register_maps(
    reference: FloatArray,
    moving: FloatArray,
    *,
    mask_radius: float | None = None,
    both_hands: bool = True,
    threads: int = 0,
) -> Registration:
    """Find the alignment of `moving` to `reference`, from any orientation.

    Parameters
    ----------
    reference, moving : (n, n, n)
        Real space, of one voxel size.
    mask_radius : float, optional
        Voxels; only density within is compared. Default: 0.45 n.
    both_hands : bool
        Try the mirror image too.
    threads : int
        0 means as many as the process may use.

    Returns
    -------
    Registration
        The same for the same maps, on any number of threads.

    Raises
    ------
    MapError
        Where a map is not a finite cube of the size of the other, or is constant.
    """
    check_pair(reference, moving)
    n = reference.shape[0]
    max_shell = min(_MAX_SHELL, n // 2 - 2)
    small = min(2 * (max_shell + 2), n - n % 2)  # voxels per side of the maps that are compared
    radius = mask_radius or 0.45 * n

    def prepare(volume: FloatArray) -> _Particle:
        return _Particle.of(volume, radius, small)

    with blas_threads(1):  # the same sums on any number of cores
        hands = [moving, mirror_map(moving)] if both_hands else [moving]
        target, *particles = map_in_threads(prepare, [reference, *hands], threads)
        last = int(
            np.clip(small / (_GRID_DETAIL * target.diameter), 3, min(_GRID_SHELL, max_shell))
        )
        best = [_search(target, particle, last, threads) for particle in particles]
        hand = max(range(len(best)), key=lambda i: best[i].score)
        pose = _polish(target, particles[hand], best[hand], threads)
    transform = _between_boxes(pose.transform, target, particles[hand])
    transform = RigidTransform(transform.rotation, transform.shift * (n / small))
    return Registration(transform, hand == 1, pose.score)


def check_pair(first: FloatArray, second: FloatArray) -> None:
    """Refuse two maps that cannot be compared.

    Raises
    ------
    MapError
        Where a map is not a finite cube of the size of the other, or is constant.
    """
    if first.ndim != 3 or len({*first.shape, *second.shape}) != 1:
        raise MapError(
            f"the maps have the shapes {first.shape} and {second.shape}; expected two cubes of "
            "one size: resample them to one box and voxel size first"
        )
    for name, volume in (("first", first), ("second", second)):
        if not np.isfinite(volume).all():
            raise MapError(f"the {name} map contains NaN or infinite values; repair it")
        if volume.min() == volume.max():
            raise MapError(f"the {name} map is constant ({volume.flat[0]:g}); nothing to compare")


def _search(target: _Particle, moving: _Particle, last: int, threads: int) -> _Pose:
    """Return the best pose from a grid of rotations and shifts up to a shell, refined."""
    coarse = _Comparison.of(target, moving, last)
    poses = [_Pose.at(coarse, transform) for transform in _try_grid(coarse, last, threads)]
    for steps, kept in ((_FIRST_STEPS, _CLIMBERS), (_FEW_STEPS - _FIRST_STEPS, _FINALISTS)):
        climbed = map_in_threads(partial(_climb, most_steps=steps), poses, threads)
        poses = sorted(climbed, key=lambda pose: -pose.score)[:kept]
    finer = _Comparison.of(target, moving, min(2 * last, target.ft.max_shell))
    finalists = map_in_threads(
        lambda pose: _climb(_Pose.at(finer, pose.transform), most_steps=_FEW_STEPS), poses, threads
    )
    return max(finalists, key=lambda pose: pose.score)


def _climb(pose: _Pose, *, most_steps: int) -> _Pose:
    return climb(pose, most_steps=most_steps, smallest_step=_SMALL_STEP, smallest_gain=_SMALL_GAIN)


def _try_grid(comparison: _Comparison, last: int, threads: int) -> list[RigidTransform]:
    """Return the best transforms of the grid, no two of them alike."""
    rotations = uniform_rotations(_GRID_SIZE)  # (R, 3, 3)
    step = len(comparison.target.volume) / last / 4
    line = np.arange(-_GRID_REACH, _GRID_REACH + 1) * step
    shifts = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)  # (T, 3)
    x, y, z = np.exp(comparison.ramp_rate.T[:, :, None] * line)  # (K, 5) along each axis
    ramp = y[:, :, None, None] * x[:, None, :, None] * z[:, None, None, :]  # (K, 5, 5, 5)
    ramp = ramp.reshape(len(x), -1)  # (K, T), in the order of the shifts
    kernel = (ramp * comparison.fixed.conj()[:, None]).astype(np.complex64)  # (K, T)
    kernel_parts = np.concatenate([kernel.real, -kernel.imag])  # (2 K, T)

    def score(start: int) -> Float32:
        parts = _rotated_parts(comparison, rotations[start : start + _CHUNK])  # (R, 2 K)
        return np.asarray(parts @ kernel_parts, dtype=np.float32)  # (R, T)

    chunks = map_in_threads(score, range(0, len(rotations), _CHUNK), threads)
    return _pick_distinct(rotations, shifts, np.concatenate(chunks))  # scores (R, T)


def _rotated_parts(comparison: _Comparison, rotations: Float64) -> Float32:
    """Return the rotated, normalised components as real numbers, (R, 2 K)."""
    rotated = comparison.moving.ft.read(rotations, comparison.points)  # (R, K)
    rotated *= comparison.gain.astype(np.float32)
    rotated /= np.linalg.norm(rotated, axis=1, keepdims=True)
    return np.concatenate([rotated.real, rotated.imag], axis=1)


def _pick_distinct(rotations: Float64, shifts: Float64, scores: Float32) -> list[RigidTransform]:
    """Return the best rotations, each with its best shift, at least 20° apart."""
    best = scores.max(axis=1)  # (R,)
    free = np.ones(len(rotations), dtype=bool)
    least_trace = 1 + 2 * np.cos(np.deg2rad(_APART))  # of R1 R2ᵀ for rotations that far apart
    found: list[RigidTransform] = []
    while len(found) < _KEPT and free.any():
        i = int(np.where(free, best, -np.inf).argmax())
        found.append(RigidTransform.rotate_then_shift(rotations[i], shifts[scores[i].argmax()]))
        free &= np.einsum("rij,ij->r", rotations, rotations[i]) < least_trace
    return found


def _polish(target: _Particle, moving: _Particle, pose: _Pose, threads: int) -> _Pose:
    """Refine with all shells that agree, each weighted by its signal-to-noise ratio."""
    for _ in range(2):
        agreement = _shell_agreement(target, moving, pose.transform)
        low = np.flatnonzero(agreement < _LEAST_FSC)
        last = max(int(low[0]) if len(low) else len(agreement), 3)
        trusted = np.clip(agreement[:last], 0.01, 0.97)
        comparison = _Comparison.of(target, moving, last, trusted / (1 - trusted))
        pose = _climb(_Pose.at(comparison, pose.transform), most_steps=_MOST_STEPS)
    resampled = replace(pose.comparison, resample=True, threads=threads)
    return _climb(_Pose.at(resampled, pose.transform), most_steps=_RESAMPLED_STEPS)


def _shell_agreement(target: _Particle, moving: _Particle, transform: RigidTransform) -> Float64:
    """Return the FSC of the two maps in shells 1, 2, ... after a transform."""
    comparison = _Comparison.of(target, moving, target.ft.max_shell)
    rotated, fixed, shell = comparison.components(transform), comparison.fixed, target.ft.shell
    cross = np.bincount(shell, (rotated * fixed.conj()).real)[1:]
    power = (np.bincount(shell, np.abs(part) ** 2)[1:] for part in (rotated, fixed))
    return np.asarray(cross / np.sqrt(np.maximum(np.prod(list(power), axis=0), 1e-30)))


def _between_boxes(
    transform: RigidTransform, target: _Particle, moving: _Particle
) -> RigidTransform:
    """Return a transform about the middles of two particles as one about those of their boxes."""
    shift = transform.shift + moving.middle - transform.rotation.T @ target.middle
    return RigidTransform(transform.rotation, shift)


def _normalise(components: ComplexArray) -> Complex128:
    return np.asarray(components / np.linalg.norm(components), dtype=np.complex128)


def _mass(masked: Float32) -> tuple[Float64, float]:
    """Return centre of mass (x, y, z) and diameter of the dense part of a map, voxels."""
    n = masked.shape[0]
    smooth = scipy.ndimage.gaussian_filter(masked, n / 40)
    weight = np.maximum(smooth - (smooth.mean() + smooth.std()), 0).astype(np.float64)
    total = weight.sum()
    line = np.arange(n) - n // 2
    profiles = [weight.sum(axis=axes) / total for axes in ((0, 1), (0, 2), (1, 2))]  # x, y, z
    centre = np.array([(part * line).sum() for part in profiles])
    spread = sum((part * (line - c) ** 2).sum() for part, c in zip(profiles, centre, strict=True))
    return centre, float(_SOLID * np.sqrt(spread))
